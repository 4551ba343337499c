"""Topic predictor: fit it, compare it with a constant, and keep it for later comparisons.

Shapes: N labelled vectors, B rows of a batch, Z latent vector, A genre embedding, K topics.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from handlers.model.bundle import Bundle
from training.errors import NotLearnedError, SettingError
from training.files import atomic_path
from training.lcgan.labels import LabelledVectors
from training.lcgan.networks import TopicPredictor
from training.settings import LcganSettings
from training.tracking.port import Run

PREDICTOR_FILE: Final = "predictor.safetensors"
_MIN_EXPLAINED: Final = 0.03
"""Minimum of `explained`; on labels of pure noise, the best of a dozen epochs explained up to 0.02 by chance."""
_REFRESH_EPOCHS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorScores:
    """Scores of a predictor on held-out labels."""

    predictor: float
    """Cross-entropy of the predicted topics in nats."""
    constant: float
    """Cross-entropy of the best constant, the mean of the training labels, in nats."""
    entropy: float
    """Entropy of the labels in nats, the minimum of the cross-entropy."""
    rarity_explained: float
    """Explained share of the variance of the held-out rarities."""

    @property
    def explained(self) -> float:
        """Share of the constant's excess cross-entropy that the predictor removes, from 0 (none) to 1 (all)."""
        return (self.constant - self.predictor) / max(self.constant - self.entropy, 1e-9)


def train_predictor(
    data: LabelledVectors, settings: LcganSettings, *, seed: int, run: Run
) -> tuple[TopicPredictor, PredictorScores]:
    """Fit the topic predictor and compare it with a constant on a tenth of the labels.

    Raises:
        NotLearnedError: the predictor is hardly better than the constant, so z hardly determines the topic of the
            decoded sentence.
    """
    torch.manual_seed(seed)
    held = max(1, len(data) // 10)
    predictor = TopicPredictor(
        data.z_NZ.shape[1],
        data.genres_NA.shape[1],
        data.topics_NK.shape[1],
        hidden_size=settings.hidden_size,
        num_layers=settings.num_layers,
    ).to(data.z_NZ.device)
    predictor.standardise(data.rarity_N[held:])
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=settings.learning_rate, weight_decay=0.05)
    best, best_state = np.inf, predictor.state_dict()
    for epoch in range(settings.predictor_epochs):
        _epoch(predictor, optimizer, data, held + torch.randperm(len(data) - held), settings.batch_size)
        scores = score_predictor(predictor, data, held)
        run.log_metrics(
            {"predictor.valid_nats": scores.predictor, "predictor.rarity_explained": scores.rarity_explained},
            step=epoch,
        )
        if scores.predictor < best:
            best, best_state = scores.predictor, {key: value.clone() for key, value in predictor.state_dict().items()}
    predictor.load_state_dict(best_state)
    final = score_predictor(predictor, data, held)
    # The best epoch was chosen on the same labels, so a small gain over the constant may be chance.
    if not final.explained > _MIN_EXPLAINED:
        raise NotLearnedError(
            f"the topic predictor ({final.predictor:.3f} nats on held-out samples) is hardly better than a constant "
            f"({final.constant:.3f}): the decoder's topics do not depend on z. Train the CVAE longer, raise "
            "cvae.mu_scale, or give more lcgan.num_samples"
        )
    return predictor.eval().requires_grad_(requires_grad=False), final


def refresh_predictor(
    predictor: TopicPredictor, data: LabelledVectors, fresh: LabelledVectors, settings: LcganSettings
) -> None:
    """Fit the predictor further, to vectors that the generator shifted and twice as many of the others.

    The generator exploits errors of the predictor; this corrects them.
    """
    predictor.requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=0.5 * settings.learning_rate, weight_decay=0.05)
    for _ in range(_REFRESH_EPOCHS):
        mixed = data.sample(2 * len(fresh)).concatenated(fresh)
        _epoch(predictor, optimizer, mixed, torch.randperm(len(mixed)), settings.batch_size)
    predictor.requires_grad_(requires_grad=False)


@torch.no_grad()
def score_predictor(predictor: TopicPredictor, data: LabelledVectors, held: int) -> PredictorScores:
    """Score the predictor on the first `held` vectors; the constant is the mean of the others."""
    labels_BK = data.topics_NK[:held]
    constant_K = data.topics_NK[held:].mean(dim=0).clamp_min(1e-9).log()
    log_share_BK, rarity_B = predictor(data.z_NZ[:held], data.genres_NA[:held])
    residual = ((rarity_B - data.rarity_N[:held]) ** 2).mean()
    spread = data.rarity_N[:held].var(correction=0).clamp_min(1e-9)
    return PredictorScores(
        predictor=float(-(labels_BK * log_share_BK).sum(dim=1).mean()),
        constant=float(-(labels_BK * constant_K).sum(dim=1).mean()),
        entropy=float(-(labels_BK * labels_BK.clamp_min(1e-9).log()).sum(dim=1).mean()),
        rarity_explained=float(1 - residual / spread),
    )


def save_predictor(predictor: TopicPredictor, path: Path) -> None:
    """Write a predictor, for later comparisons."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in predictor.state_dict().items()}
    with atomic_path(path) as partial:
        partial.write_bytes(save(tensors))


def load_predictor(path: Path, bundle: Bundle) -> TopicPredictor:
    """Read a predictor that `save_predictor` wrote.

    Raises:
        SettingError: the file does not exist, or belongs to another model.
    """
    sizes = bundle.config.decoder
    try:
        state = load_file(path)
        weights = [tensor for name, tensor in sorted(state.items()) if name.endswith("weight")]
        predictor = TopicPredictor(
            sizes.z_size,
            sizes.genre_size,
            len(bundle.topics.names),
            hidden_size=len(weights[0]),
            num_layers=len(weights) - 1,
        )
        predictor.load_state_dict(state)
    except (OSError, SafetensorError, RuntimeError, IndexError) as cause:
        raise SettingError(
            f"{path} is not a topic predictor of this model ({type(cause).__name__}); train the LC-GAN again, which "
            "writes it beside the bundle"
        ) from cause
    return predictor.eval().requires_grad_(requires_grad=False)


def _epoch(
    predictor: TopicPredictor,
    optimizer: torch.optim.Optimizer,
    data: LabelledVectors,
    order: torch.Tensor,
    batch_size: int,
) -> None:
    for rows in torch.split(order.to(data.z_NZ.device), batch_size):
        log_share_BK, rarity_B = predictor(data.z_NZ[rows], data.genres_NA[rows])
        topic_loss = -(data.topics_NK[rows] * log_share_BK).sum(dim=1).mean()
        rarity_loss = nn.functional.mse_loss(rarity_B, data.rarity_N[rows]) / predictor.rarity_scale**2
        optimizer.zero_grad(set_to_none=True)
        (topic_loss + 0.5 * rarity_loss).backward()
        optimizer.step()
