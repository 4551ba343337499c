"""Growth of a series over a run, with an interval that knows that neighbouring readings are alike."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

BLOCKS: Final = 12
_T_975: Final = 2.228
"""Quantile of Student's t for BLOCKS - 2 degrees of freedom."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Growth from the begin of a series to its end, with a 95% interval."""

    growth: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.growth:+.1f} ({self.low:+.1f} to {self.high:+.1f})"


def trend(values: Sequence[float]) -> Trend:
    """Growth of evenly spaced readings: a line through the means of blocks, which are nearly independent.

    Raises:
        ValueError: there are fewer than two readings for each block.
    """
    if len(values) < 2 * BLOCKS:
        raise ValueError(f"{2 * BLOCKS} readings are needed, got {len(values)}")
    edges = [round(number * len(values) / BLOCKS) for number in range(BLOCKS + 1)]
    means = [statistics.fmean(values[begin:end]) for begin, end in itertools.pairwise(edges)]
    places = [(number + 0.5) / BLOCKS for number in range(BLOCKS)]
    slope, intercept = statistics.linear_regression(places, means)
    residual = sum((mean - intercept - slope * place) ** 2 for place, mean in zip(places, means, strict=True))
    spread = sum((place - 0.5) ** 2 for place in places)
    half = _T_975 * math.sqrt(residual / (BLOCKS - 2) / spread)
    return Trend(growth=slope, low=slope - half, high=slope + half)
