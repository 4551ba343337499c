"""Random numbers of rows, and the seeds that they follow from.

Every random number of a row comes from a counter-based generator (Philox) keyed by the row's seed alone, so a row draws
the same numbers in any batch, in any place of it, on any worker.

Shapes: B rows, N numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from torch import Tensor

_MASK_64: Final = 2**64 - 1
_MASK_63: Final = 2**63 - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15


def derive_seed(seed: int, index: int) -> int:
    """Seed of row `index` of a request; row 0 has the request's own seed, so each sample can be asked for alone.

    Deriving from a derived seed meets the first one's other rows: number all rows of a request with one index.
    SplitMix64 (Steele, Lea and Flood 2014) of the index-th point after `seed`.
    """
    if index == 0:
        return seed
    x = (seed + index * _GOLDEN) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return (x ^ (x >> 31)) & _MASK_63


def row_uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Numbers in (0, 1) for each row, a function of the row's seed alone.

    Args:
        seeds: one per row, 0 to 2^63 - 1.
        count: numbers per row, N.

    Returns:
        float64 [B, N].
    """
    raw = np.empty((len(seeds), count), dtype=np.uint64)
    for row, seed in enumerate(seeds):
        # Philox's raw output is part of NumPy's compatibility promise; its floating-point methods are not.
        raw[row] = np.random.Philox(key=seed).random_raw(count)
    # The upper 53 bits, moved off zero by half a step: neither 0 nor 1 can occur.
    return torch.from_numpy(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def standard_normals(uniforms: Tensor) -> Tensor:
    """N(0, 1) numbers by the inverse of the distribution function, one for each uniform number."""
    normals: Tensor = torch.special.ndtri(uniforms)
    return normals
