"""Acceptance predictor: fit it to values of decoded sentences, and compare it with a constant.

Shapes: N labelled vectors, B rows of a batch, Z latent vector, A genre embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from training.errors import NotLearnedError
from training.lcgan.labels import LabelledVectors
from training.lcgan.networks import AcceptancePredictor
from training.settings import LcganSettings
from training.tracking.port import Run

_REFRESH_EPOCHS: Final = 3
_MIN_EXPLAINED: Final = 0.03
"""Minimum of the explained share, as for topics (`training.lcgan.predictor`)."""


@dataclass(slots=True, kw_only=True)
class Reward:
    """Reward of the generator for sentences that curators accept."""

    predictor: AcceptancePredictor
    weight: float
    """Weight of the loss -log P(accepted | z', a) in the generator's loss."""

    def loss(self, z_BZ: Tensor, genres_BA: Tensor) -> Tensor:
        """Return the mean of -log P(accepted | z, a)."""
        return nn.functional.softplus(-self.predictor(z_BZ, genres_BA)).mean()

    def refit(self, data: LabelledVectors, fresh: LabelledVectors, settings: LcganSettings) -> None:
        """Fit the predictor further, to vectors that the generator shifted and twice as many of the others."""
        self.predictor.requires_grad_(requires_grad=True)
        optimizer = torch.optim.AdamW(self.predictor.parameters(), lr=0.5 * settings.learning_rate, weight_decay=0.05)
        for _ in range(_REFRESH_EPOCHS):
            mixed = data.sample(2 * len(fresh)).concatenated(fresh)
            _epoch(self.predictor, optimizer, mixed, torch.randperm(len(mixed)), settings.batch_size)
        self.predictor.requires_grad_(requires_grad=False)


def train_acceptance(
    data: LabelledVectors, settings: LcganSettings, *, seed: int, run: Run
) -> tuple[AcceptancePredictor, float]:
    """Fit the acceptance predictor to nine tenths of the values; return it with the explained share of the last tenth.

    Raises:
        NotLearnedError: the values hardly depend on z, so a shift of z could not raise them.
    """
    torch.manual_seed(seed)
    held = max(1, len(data) // 10)
    predictor = AcceptancePredictor(
        data.z_NZ.shape[1], data.genres_NA.shape[1], hidden_size=settings.hidden_size, num_layers=settings.num_layers
    ).to(data.z_NZ.device)
    optimizer = torch.optim.AdamW(predictor.parameters(), lr=settings.learning_rate, weight_decay=0.05)
    best, best_state = -torch.inf, predictor.state_dict()
    for epoch in range(settings.predictor_epochs):
        _epoch(predictor, optimizer, data, held + torch.randperm(len(data) - held), settings.batch_size)
        explained = _explained(predictor, data, held)
        run.log_metrics({"acceptance.explained": explained}, step=epoch)
        if explained > best:
            best, best_state = explained, {key: value.clone() for key, value in predictor.state_dict().items()}
    predictor.load_state_dict(best_state)
    if not best > _MIN_EXPLAINED:
        raise NotLearnedError(
            f"the acceptance predictor explains {best:.1%} of the variance of held-out values: what curators accept "
            "does not depend on the latent vector, so the LC-GAN cannot raise it. Judge more samples, give more "
            "lcgan.num_samples, or train without --verdicts"
        )
    return predictor.eval().requires_grad_(requires_grad=False), best


@torch.no_grad()
def _explained(predictor: AcceptancePredictor, data: LabelledVectors, held: int) -> float:
    """Share of the variance of the first `held` values that the predictor explains."""
    values_N = _values(data)[:held]
    predicted_N = torch.sigmoid(predictor(data.z_NZ[:held], data.genres_NA[:held]))
    residual = ((predicted_N - values_N) ** 2).mean()
    return float(1 - residual / values_N.var(correction=0).clamp_min(1e-9))


def _values(data: LabelledVectors) -> Tensor:
    if data.values_N is None:
        raise ValueError("the labelled vectors have no values; give the labeller a value function")
    return data.values_N


def _epoch(
    predictor: AcceptancePredictor,
    optimizer: torch.optim.Optimizer,
    data: LabelledVectors,
    order: Tensor,
    batch_size: int,
) -> None:
    values_N = _values(data)
    for rows in torch.split(order.to(data.z_NZ.device), batch_size):
        log_odds_B = predictor(data.z_NZ[rows], data.genres_NA[rows])
        loss = nn.functional.binary_cross_entropy_with_logits(log_odds_B, values_N[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        optimizer.step()
