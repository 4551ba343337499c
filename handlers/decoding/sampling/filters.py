"""Settings of the next token's distribution: temperature and the filters.

Shapes: B sequences.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

import numpy as np

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray

SORTED_BELOW_TOP_P: Final = 0.5
"""Nucleus below which tokens are drawn in sorted order from the start."""
SORTED_ABOVE_MIN_P: Final = 0.3
"""Minimum share above which tokens are drawn in sorted order from the start."""
COLDEST: Final = 1e-9
"""Stand-in for temperature 0, at which the last bit of a logarithm in single precision decides."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """Settings of each sequence's next token; every array is [B]. See `handlers.contract.SamplingParams`."""

    temperature: FloatArray
    top_k: FloatArray
    top_p: FloatArray
    min_p: FloatArray

    def __getitem__(self, rows: IntArray) -> SamplingSettings:
        """Return the settings of some sequences, given by index."""
        return SamplingSettings(**{name: getattr(self, name)[rows] for name in SETTINGS})

    @cached_property
    def is_sorted(self) -> BoolArray:
        """Sequences that are drawn in sorted order from the start: top-k, a small nucleus, a large min-p."""
        sorted_B: BoolArray = (self.top_k > 0) | (self.top_p < SORTED_BELOW_TOP_P) | (self.min_p > SORTED_ABOVE_MIN_P)
        return sorted_B

    @cached_property
    def has_top_p(self) -> bool:
        """Whether a sequence has a nucleus. A filter that is not used is skipped."""
        return bool((self.top_p < 1).any())

    @cached_property
    def has_min_p(self) -> bool:
        """Whether a sequence has a minimum share."""
        return bool((self.min_p > 0).any())

    @cached_property
    def is_plain(self) -> bool:
        """Whether temperature and a large nucleus are all that acts, as in most requests."""
        return not (self.is_sorted.any() or self.has_min_p)

    def scale(self) -> FloatArray:
        """Return the factors of the logarithms."""
        scale_B: FloatArray = 1.0 / np.maximum(self.temperature, COLDEST)
        return scale_B


SETTINGS: Final = tuple(each.name for each in fields(SamplingSettings))
"""Names of the sampling parameters that act on the distribution of the next token."""
