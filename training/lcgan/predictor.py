"""Fitting the topic predictor, holding it against a constant, and keeping it for later comparisons.

Shapes: N labelled rows, B rows of a step, K topics.
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
_LEAST_EXPLAINED: Final = 0.03
"""On labels of pure noise, the best of a dozen epochs was seen to explain up to 0.02 by luck."""
_REFRESH_EPOCHS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictorScores:
    """Cross-entropy in nats against the held-out labels."""

    predictor: float
    constant: float
    """The best constant's: the mean of the training labels."""
    entropy: float
    """Of the labels themselves: the floor."""
    rarity_explained: float
    """Share of the variance of the held-out rarities that is explained."""

    @property
    def explained(self) -> float:
        """Share of what a constant leaves open that the predictor explains; 0 is no better, 1 is perfect."""
        return (self.constant - self.predictor) / max(self.constant - self.entropy, 1e-9)


def train_predictor(
    data: LabelledVectors, settings: LcganSettings, *, seed: int, run: Run
) -> tuple[TopicPredictor, PredictorScores]:
    """Fit the topic predictor and hold it against a constant on a tenth of the labels.

    Raises:
        NotLearnedError: it is hardly better than the constant: z says next to nothing about the topic of what is
            decoded from it.
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
    # The best epoch was picked by these same labels, so a little better than a constant may be luck.
    if not final.explained > _LEAST_EXPLAINED:
        raise NotLearnedError(
            f"the topic predictor ({final.predictor:.3f} nats on held-out samples) hardly beats a constant "
            f"({final.constant:.3f}): the decoder's topics do not depend on z. Train the CVAE longer, raise "
            "cvae.mu_scale, or give more lcgan.num_samples"
        )
    return predictor.eval().requires_grad_(requires_grad=False), final


def refresh_predictor(
    predictor: TopicPredictor, data: LabelledVectors, fresh: LabelledVectors, settings: LcganSettings
) -> None:
    """Teach the predictor what the generator's own vectors decode to, beside as many of the others.

    A generator finds where its judge is wrong; this is where the judge learns from it.
    """
    predictor.requires_grad_(requires_grad=True)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=0.5 * settings.learning_rate, weight_decay=0.05)
    for _ in range(_REFRESH_EPOCHS):
        others = data.sampled(2 * len(fresh))
        joined = others.joined(fresh)
        _epoch(predictor, optimizer, joined, torch.randperm(len(joined)), settings.batch_size)
    predictor.requires_grad_(requires_grad=False)


@torch.no_grad()
def score_predictor(predictor: TopicPredictor, data: LabelledVectors, held: int) -> PredictorScores:
    """Scores on the first `held` rows, the constant being the mean of the others."""
    labels_BK = data.topics_NK[:held]
    constant_K = data.topics_NK[held:].mean(dim=0).clamp_min(1e-9).log()
    log_share_BK, rarity_B = predictor(data.z_NZ[:held], data.genres_NA[:held])
    left_over = ((rarity_B - data.rarity_N[:held]) ** 2).mean()
    spread = data.rarity_N[:held].var(correction=0).clamp_min(1e-9)
    return PredictorScores(
        predictor=float(-(labels_BK * log_share_BK).sum(dim=1).mean()),
        constant=float(-(labels_BK * constant_K).sum(dim=1).mean()),
        entropy=float(-(labels_BK * labels_BK.clamp_min(1e-9).log()).sum(dim=1).mean()),
        rarity_explained=float(1 - left_over / spread),
    )


def save_predictor(predictor: TopicPredictor, path: Path) -> None:
    """Keep a predictor for a later comparison."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in predictor.state_dict().items()}
    with atomic_path(path) as partial:
        partial.write_bytes(save(tensors))


def load_predictor(path: Path, bundle: Bundle) -> TopicPredictor:
    """Read what `save_predictor` wrote.

    Raises:
        SettingError: the file is not there, or belongs to another model.
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
            f"{path} is no topic predictor of this model ({type(cause).__name__}); train the LC-GAN again: it is "
            "written beside the bundle"
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
