"""Training of a discriminator: real sentences against the model's own samples, weighted to be of the same kinds.

Shapes: B sentences of a batch, T positions, M sentences, V tokens of the vocabulary, E embedding.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from torch import Tensor, nn

from handlers.model.bundle import Bundle
from handlers.model.discriminator import Discriminator, DiscriminatorConfig, DiscriminatorNetwork
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID
from training.acceptability.samples import Sentences
from training.acceptability.weights import Kinds
from training.progress import Progress
from training.settings import AcceptabilitySettings
from training.tracking.port import Run

_LOG_STEPS: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Real sentences and samples, with labels and weights."""

    ids: list[tuple[int, ...]]
    real_M: NDArray[np.float32]
    """1 for a real sentence, 0 for a sample."""
    weights_M: NDArray[np.float32]
    """Weights of which each class has half."""

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(cls, real: Sentences, samples: Sentences, kinds: Kinds) -> Labelled:
        """Label and weight real sentences and samples."""
        half = (len(real) + len(samples)) / 2
        weights_M = np.concatenate(
            [kinds.weights(real) * (half / len(real)), np.full(len(samples), half / len(samples))]
        )
        return cls(
            ids=[*real.ids, *samples.ids],
            real_M=np.repeat([1, 0], [len(real), len(samples)]).astype(np.float32),
            weights_M=weights_M.astype(np.float32),
        )

    def batches(self, batch_size: int, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Iterate over tokens [B, T], labels [B] and weights [B] of batches of similar lengths, in random order."""
        lengths_M = np.array([len(each) for each in self.ids]) + random.random(len(self)) * 3
        parts = np.array_split(np.argsort(lengths_M), math.ceil(len(self) / batch_size))
        for number in random.permutation(len(parts)):
            part = parts[number]
            yield (
                padded([self.ids[index] for index in part]),
                torch.from_numpy(self.real_M[part]),
                torch.from_numpy(self.weights_M[part]),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscriminatorScores:
    """Scores on held-out real sentences and fresh samples, weighted to be of the same kinds."""

    auc: float
    """Area under the ROC curve: 0.5 where samples cannot be told from real sentences, 1 where they always can."""
    nats: float
    """Cross-entropy; ln 2 = 0.69 for a constant."""
    kind_auc: float
    """Area of a classifier that sees topics and length alone, after weighting; 0.5 if they give nothing away."""
    explained: float
    """Share of the variance of samples' log odds that their topics and lengths explain."""

    def metrics(self) -> dict[str, float]:
        """Return the scores as metrics by name."""
        return {"auc": self.auc, "nats": self.nats, "kind_auc": self.kind_auc, "explained": self.explained}


def train_discriminator(
    bundle: Bundle,
    train: tuple[Sentences, Sentences],
    held_out: tuple[Sentences, Sentences],
    settings: AcceptabilitySettings,
    *,
    seed: int,
    run: Run,
    progress: Progress,
) -> tuple[Discriminator, DiscriminatorScores]:
    """Train a discriminator and return it as it was after its best epoch, with its scores.

    Args:
        bundle: model whose samples are told from real sentences.
        train: real sentences and samples to train on.
        held_out: real sentences of another split and fresh samples.
        settings: sizes and schedule.
        seed: seed of all random numbers.
        run: gets the metrics.
        progress: gets the number of epochs done.
    """
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    kinds = Kinds.of(*train)
    data, unseen = Labelled.of(*train, kinds), Labelled.of(*held_out, kinds)
    network = new_network(bundle, settings)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    steps = settings.epochs * math.ceil(len(data) / settings.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=steps)
    best, best_network = math.inf, network
    for epoch in range(settings.epochs):
        loss = _epoch(network, optimizer, schedule, data.batches(settings.batch_size, random))
        log_odds_M = np.array(Discriminator(copy.deepcopy(network)).logits(unseen.ids))
        nats, auc = _nats(unseen, log_odds_M), _auc(unseen, log_odds_M)
        run.log_metrics(
            {"discriminator.train_nats": loss, "discriminator.nats": nats, "discriminator.auc": auc}, step=epoch
        )
        progress(epoch + 1, settings.epochs, f"area {auc:.3f}")
        if nats < best:
            best, best_network = nats, copy.deepcopy(network)
    discriminator = calibrated(best_network, unseen)
    return discriminator, score(discriminator, held_out, kinds)


def new_network(bundle: Bundle, settings: AcceptabilitySettings) -> DiscriminatorNetwork:
    """Return an untrained network whose token embedding is a random projection of the decoder's."""
    config = DiscriminatorConfig(
        vocabulary_size=len(bundle.vocabulary),
        embedding_size=settings.embedding_size,
        num_filters=settings.num_filters,
        hidden_size=settings.hidden_size,
    )
    network = DiscriminatorNetwork(config, dropout=settings.dropout)
    with torch.no_grad():
        known_VE = bundle.decoder.token_embedding.weight
        projected_VE = known_VE @ torch.randn(known_VE.shape[1], settings.embedding_size)
        network.token_embedding.weight.copy_(projected_VE / projected_VE.std())
        network.token_embedding.weight[PAD_ID] = 0
    return network


def calibrated(network: DiscriminatorNetwork, unseen: Labelled) -> Discriminator:
    """Return the discriminator whose log odds are right on average on held-out sentences (Platt scaling)."""
    log_odds_M = np.array(Discriminator(network).logits(unseen.ids))
    fitted = LogisticRegression(C=1e6).fit(log_odds_M[:, None], unseen.real_M, sample_weight=unseen.weights_M)
    with torch.no_grad():
        network.output.weight.mul_(float(fitted.coef_[0, 0]))
        network.output.bias.mul_(float(fitted.coef_[0, 0])).add_(float(fitted.intercept_[0]))
    return Discriminator(network)


def score(discriminator: Discriminator, held_out: tuple[Sentences, Sentences], kinds: Kinds) -> DiscriminatorScores:
    """Score a discriminator on held-out real sentences and fresh samples."""
    real, samples = held_out
    unseen = Labelled.of(real, samples, kinds)
    log_odds_M = np.array(discriminator.logits(unseen.ids))
    own_M = np.concatenate([kinds.classifier.decision_function(kinds.features(each)) for each in held_out])
    return DiscriminatorScores(
        auc=_auc(unseen, log_odds_M),
        nats=_nats(unseen, log_odds_M),
        kind_auc=_auc(unseen, -own_M),
        explained=kinds.explained(samples, log_odds_M[len(real) :]),
    )


def padded(sentences: list[tuple[int, ...]]) -> Tensor:
    """Return sentences as tokens with start and end mark, then padding, [B, T]."""
    tokens_BT = torch.full((len(sentences), max(map(len, sentences)) + 2), PAD_ID)
    for row, sentence in enumerate(sentences):
        tokens_BT[row, : len(sentence) + 2] = torch.tensor((BOS_ID, *sentence, EOS_ID))
    return tokens_BT


def _epoch(
    network: DiscriminatorNetwork,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    batches: Iterator[tuple[Tensor, Tensor, Tensor]],
) -> float:
    """Train on some batches and return the mean of the loss."""
    network.train()
    losses = []
    for tokens_BT, real_B, weights_B in batches:
        loss = nn.functional.binary_cross_entropy_with_logits(network(tokens_BT), real_B, weight=weights_B)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))
    return float(np.mean(losses))


def _nats(labelled: Labelled, log_odds_M: NDArray[np.float64]) -> float:
    real_M = 1 / (1 + np.exp(-log_odds_M))
    return float(log_loss(labelled.real_M, real_M, sample_weight=labelled.weights_M))


def _auc(labelled: Labelled, log_odds_M: NDArray[np.float64]) -> float:
    return float(roc_auc_score(labelled.real_M, log_odds_M, sample_weight=labelled.weights_M))
