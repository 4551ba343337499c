"""What a row asks of its next token: temperature and the filters.

Shapes: B rows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

import numpy as np

from handlers.decoding.arrays import BoolArray, FloatArray, IntArray

SORTED_BELOW_TOP_P: Final = 0.5
SORTED_ABOVE_MIN_P: Final = 0.3
COLDEST: Final = 1e-9
"""Stands for temperature 0: one bit's last digit in single precision decides."""


@dataclass(frozen=True, kw_only=True)
class SamplingSettings:
    """How each row's next token is chosen; every array is [B]. See `handlers.contract.CommentaryRequest`."""

    temperature: FloatArray
    top_k: FloatArray
    top_p: FloatArray
    min_p: FloatArray

    def __getitem__(self, rows: IntArray) -> SamplingSettings:
        """The settings of some rows, given by index."""
        return SamplingSettings(**{name: getattr(self, name)[rows] for name in SETTINGS})

    @cached_property
    def is_sorted(self) -> BoolArray:
        """Rows that are drawn likely tokens first from the start: top-k, a small nucleus, a large min-p."""
        sorted_B: BoolArray = (self.top_k > 0) | (self.top_p < SORTED_BELOW_TOP_P) | (self.min_p > SORTED_ABOVE_MIN_P)
        return sorted_B

    @cached_property
    def has_top_p(self) -> bool:
        """Whether some row has a nucleus. A filter that no row uses is not looked at."""
        return bool((self.top_p < 1).any())

    @cached_property
    def has_min_p(self) -> bool:
        """Whether some row has a least share."""
        return bool((self.min_p > 0).any())

    def scale(self) -> FloatArray:
        """What logarithms are multiplied by."""
        scale_B: FloatArray = 1.0 / np.maximum(self.temperature, COLDEST)
        return scale_B


SETTINGS: Final = tuple(each.name for each in fields(SamplingSettings))
"""Names of the sampling parameters that act on the distribution of the next token."""
