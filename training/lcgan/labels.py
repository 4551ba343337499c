"""Labelled latent vectors, the data of the LC-GAN: each has topics and rarity of the sentence decoded from it.

A label describes the sentence decoded from z, not the sentence that z was encoded from.

Shapes: N labelled vectors, B rows of one decode, Z latent vector, A genre embedding, K topics.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.generator import Generator
from handlers.model.topics import topic_words
from training.cvae.batches import EncodedSentences
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.measures import distinct
from training.progress import Progress

_PER_VECTOR: Final = ("z_NZ", "genres_NA", "topics_NK", "rarity_N", "encoded_N", "values_N")
_MAX_TOPIC_SHARE: Final = 0.98
"""Maximum share of labels with the same main topic; beyond it, too few labels are left to learn other topics from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledVectors:
    """Latent vectors, labelled by the topics and the word pairs of the sentences decoded from them."""

    z_NZ: Tensor
    genres_NA: Tensor
    topics_NK: Tensor
    """Topic shares of the decoded sentences; each row sums to 1."""
    rarity_N: Tensor
    """Rarity of each sentence's word pairs: the mean of 1 / count, with counts over a group of sentences.

    The mean over a group, weighted by each sentence's number of pairs, is the group's distinct-2. A pair with a word
    that occurs in no real sentence counts 0, so that misspelling does not look like diversity.
    """
    encoded_N: Tensor
    """Whether z was encoded from a real sentence; otherwise it is of the prior, or shifted."""
    sigma_Z: Tensor
    """Mean posterior standard deviation of each dimension of z."""
    values_N: Tensor | None = None
    """Probability that a curator accepts each decoded sentence, by a value function; None without one."""

    def __len__(self) -> int:
        return len(self.z_NZ)

    def concatenated(self, other: LabelledVectors) -> LabelledVectors:
        """Return the vectors of both, with this one's `sigma_Z`."""
        rows = {name: torch.cat((own, getattr(other, name))) for name, own in self._per_vector()}
        return LabelledVectors(**rows, sigma_Z=self.sigma_Z)

    def sample(self, count: int) -> LabelledVectors:
        """Draw some of the vectors with torch's global generator; all of them if there are not more."""
        chosen = torch.randperm(len(self), device=self.z_NZ.device)[:count]
        return LabelledVectors(**{name: own[chosen] for name, own in self._per_vector()}, sigma_Z=self.sigma_Z)

    def _per_vector(self) -> list[tuple[str, Tensor]]:
        """Tensors with a row per vector, by name."""
        return [(name, own) for name in _PER_VECTOR if (own := getattr(self, name)) is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSample:
    """Labelled sentences decoded from vectors of one kind, for example shifted ones."""

    vectors: LabelledVectors
    distinct_2: float
    log_prob: float
    """Mean log-probability of a token under the decoder, in nats."""

    @property
    def value(self) -> float | None:
        """Mean probability that a curator accepts a sentence; None without a value function."""
        return None if self.vectors.values_N is None else float(self.vectors.values_N.mean())

    def share(self, topic: int) -> float:
        """Return the share of sentences whose main topic is the given one."""
        return float((self.vectors.topics_NK.argmax(dim=1) == topic).float().mean())


class Labeller:
    """Decodes latent vectors and labels them by the decoded sentences.

    Args:
        model: CVAE whose encoder encodes real sentences.
        bundle: bundle of the same CVAE, without a generator.
        train: training split; genres are drawn with its frequencies.
        known: words of real sentences; see `known_words`.
        group: number of sentences among which word pairs are counted.
        device: device to encode and decode on.
        value: value function of sentences, where verdicts are learned from.
    """

    def __init__(
        self,
        model: Cvae,
        bundle: Bundle,
        train: EncodedSentences,
        *,
        known: Container[str],
        group: int,
        device: str,
        value: Callable[[Sequence[str]], Tensor] | None = None,
    ) -> None:
        self._value = value
        self._model = model
        self._bundle = bundle
        self._engine = Engine(bundle, device=device)
        self._train = train
        self._group = group
        self._device = device
        self._known = known

    @torch.no_grad()
    def label(self, count: int, *, seed: int, progress: Progress) -> LabelledVectors:
        """Label vectors, half of them encoded and half of them of the prior.

        Raises:
            NotLearnedError: nearly all labels have the same main topic.
        """
        # The noise of encoded vectors must not depend on what the process did before, such as a stage that was reused.
        torch.manual_seed(seed)
        chosen = np.random.default_rng(seed).choice(len(self._train), size=count)
        encoded_N = torch.arange(count) % 2 == 0
        parts: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        texts: list[str] = []
        for start in range(0, count, 512):
            part = chosen[start : start + 512]
            posterior = self._model.encode(self._train.batch(part).to(self._device))
            rows = [
                SequenceSpec(genres=self._train.genres_of(index), seed=derive_seed(seed, start + i))
                for i, index in enumerate(part)
            ]
            from_encoder_B1 = encoded_N[start : start + 512].unsqueeze(1).to(self._device)
            z_BZ = torch.where(from_encoder_B1, posterior.sample(), self._engine.latent_vectors(rows))
            written = [self._bundle.vocabulary.decode(each.ids) for each in self._engine.decode(rows, z_BZ)]
            shares_BK = self._bundle.topics.shares(written).to(self._device)
            parts.append((z_BZ, self._engine.embed_genres(rows), shares_BK, torch.exp(0.5 * posterior.log_variance)))
            texts += written
            progress(start + len(part), count, "labelled samples")
        z_NZ, genres_NA, topics_NK, sigma_NZ = (torch.cat(tensors).clone() for tensors in zip(*parts, strict=True))
        _check_spread(topics_NK, self._bundle.topics.names)
        return LabelledVectors(
            z_NZ=z_NZ,
            genres_NA=genres_NA,
            topics_NK=topics_NK,
            rarity_N=rarities(texts, self._group, known=self._known).to(self._device),
            encoded_N=encoded_N.to(self._device),
            sigma_Z=sigma_NZ.mean(dim=0),
            values_N=self._values(texts),
        )

    @torch.no_grad()
    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        """Decode and label vectors of the prior, each shifted to a topic if there is a generator."""
        rows = genre_rows(self._train, len(topics), seed=seed)
        z_BZ, genres_BA = self._engine.latent_vectors(rows).clone(), self._engine.embed_genres(rows).clone()
        if generator is not None:
            target_BK = torch.eye(len(self._bundle.topics.names), device=self._device)[list(topics)]
            z_BZ = generator(z_BZ, genres_BA, target_BK)
        decoded = self._engine.decode(rows, z_BZ)
        texts = [self._bundle.vocabulary.decode(each.ids) for each in decoded]
        vectors = LabelledVectors(
            z_NZ=z_BZ,
            genres_NA=genres_BA,
            topics_NK=self._bundle.topics.shares(texts).to(self._device),
            rarity_N=rarities(texts, self._group, known=self._known).to(self._device),
            encoded_N=torch.zeros(len(rows), dtype=torch.bool, device=self._device),
            sigma_Z=torch.ones(z_BZ.shape[1], device=self._device),
            values_N=self._values(texts),
        )
        tokens = max(1, sum(each.token_count for each in decoded))
        return DecodedSample(
            vectors=vectors,
            distinct_2=distinct(texts, 2),
            log_prob=sum(each.log_prob for each in decoded) / tokens,
        )

    def _values(self, texts: Sequence[str]) -> Tensor | None:
        return None if self._value is None else self._value(texts).to(self._device)


def known_words(texts: Sequence[str]) -> frozenset[str]:
    """Return the words of real sentences.

    >>> sorted(known_words(["A slow hiss.", "So slow"]))
    ['a', 'hiss', 'slow', 'so']
    """
    return frozenset(word for text in texts for word in topic_words(text))


def rarities(texts: Sequence[str], group: int, *, known: Container[str]) -> Tensor:
    """Compute the rarity of each text's word pairs within its group, float32 [N]; see `LabelledVectors.rarity_N`.

    A text without a word pair has the maximum, 1.

    >>> rarities(["so warm", "so warm", "so cold", "so cxld"], 4, known={"so", "warm", "cold"}).tolist()
    [0.5, 0.5, 1.0, 0.0]
    """
    values: list[float] = []
    for start in range(0, len(texts), group):
        words = [topic_words(text) for text in texts[start : start + group]]
        pairs = [list(itertools.pairwise(each)) for each in words]
        counts = Counter(pair for each in pairs for pair in each)
        value = {pair: 1 / count if pair[0] in known and pair[1] in known else 0.0 for pair, count in counts.items()}
        values += [sum(value[pair] for pair in each) / len(each) if each else 1.0 for each in pairs]
    return torch.tensor(values)


def genre_rows(train: EncodedSentences, count: int, *, seed: int) -> list[SequenceSpec]:
    """Make sequences with genres as frequent as in the corpus, equal for all models that are compared."""
    chosen = np.random.default_rng(seed).choice(len(train), size=count)
    return [
        SequenceSpec(genres=train.genres_of(index), seed=derive_seed(seed, number))
        for number, index in enumerate(chosen)
    ]


def _check_spread(topics_NK: Tensor, names: Sequence[str]) -> None:
    main_N = topics_NK.argmax(dim=1)
    share_K = torch.bincount(main_N, minlength=len(names)).float() / max(len(main_N), 1)
    largest = int(share_K.argmax())
    if float(share_K[largest]) > _MAX_TOPIC_SHARE:
        raise NotLearnedError(
            f"{float(share_K[largest]):.1%} of {len(main_N)} decoded samples are about one topic ({names[largest]}), "
            "so the LC-GAN has nothing to learn. Look at the CVAE's samples: if they are all alike, train it longer or "
            "raise cvae.mu_scale; if not, try other topics.candidates or lower topics.max_share"
        )
