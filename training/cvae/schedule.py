"""Schedule of a CVAE training: how KL weight, free nats, learning rate and genre dropout depend on the fraction done.

Shapes: B rows, Z latent vector.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from training.cvae.batches import COARSER_GENRES, NO_GENRES, OWN_GENRES
from training.settings import CvaeSettings


def kl_weight(fraction_done: float, settings: CvaeSettings) -> float:
    """Weight of KL: 0 in the autoencoder phase, then rising to 1 over the warm-up."""
    if fraction_done < settings.autoencoder:
        return 0.0
    if settings.warm_up == 0:
        return 1.0
    return min(1.0, (fraction_done - settings.autoencoder) / (1 - settings.autoencoder) / settings.warm_up)


def learning_rate_factor(fraction_done: float) -> float:
    """Learning rate relative to the setting: constant for the first half, then a cosine down to a twentieth.

    >>> [round(learning_rate_factor(fraction), 3) for fraction in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.525, 0.05]
    """
    if fraction_done < 0.5:
        return 1.0
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (min(fraction_done, 1.0) - 0.5) * 2))


def free_kl(kl_Z: Tensor, free_nats: float) -> Tensor:
    """KL per sentence in nats, each dimension's batch mean [Z] raised to at least its share of the free nats."""
    return kl_Z.clamp_min(free_nats / len(kl_Z)).sum()


def genre_detail(rng: np.random.Generator, rows: int, dropout: float) -> np.ndarray:
    """Draw how much each row shows of its genres: `NO_GENRES`, `COARSER_GENRES` or `OWN_GENRES`, [B].

    The first two have the probability `dropout` each. The model thereby learns to write without genres, and learns the
    coarser genres that an unknown genre is resolved to.
    """
    drawn_B = rng.random(rows)
    return np.select([drawn_B < dropout, drawn_B < 2 * dropout], [NO_GENRES, COARSER_GENRES], OWN_GENRES)
