"""Random numbers of sequences, and their seeds.

Every random number of a sequence comes from a counter-based generator (Philox) keyed by the sequence's seed alone, so
it is the same in any batch, in any place of it, on any worker.

Shapes: B sequences, N numbers.
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
    """Return the seed of a request's sequence number `index`; number 0 has the request's seed.

    So each sample can be requested alone, by its own seed. Seeds that are derived from a derived seed are those of the
    first one's other sequences, so all sequences of a request must be numbered by one index. The value is SplitMix64
    (Steele, Lea and Flood 2014) of the index-th point after `seed`.
    """
    if index == 0:
        return seed
    x = (seed + index * _GOLDEN) & _MASK_64
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK_64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK_64
    return (x ^ (x >> 31)) & _MASK_63


def row_uniforms(seeds: Sequence[int], count: int) -> Tensor:
    """Return numbers in (0, 1) for each sequence, a function of its seed alone.

    Args:
        seeds: seed of each sequence, 0 to 2^63 - 1.
        count: numbers per sequence, N.

    Returns:
        float64 [B, N].
    """
    raw = np.empty((len(seeds), count), dtype=np.uint64)
    for row, seed in enumerate(seeds):
        # Philox's raw output is part of NumPy's compatibility promise; its floating-point methods are not.
        raw[row] = np.random.Philox(key=seed).random_raw(count)
    # The upper 53 bits, shifted by half a step: neither 0 nor 1 can occur.
    return torch.from_numpy(((raw >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53)


def standard_normals(uniforms: Tensor) -> Tensor:
    """Return an N(0, 1) number for each uniform number, by the inverse of the distribution function."""
    normals: Tensor = torch.special.ndtri(uniforms)
    return normals
