"""E-detectors: sequential tests that a mean has changed, which are read after every observation.

Shin, Ramdas and Rinaldo (2022), "E-detectors: a nonparametric framework for sequential change detection", with the
betting e-values of Waudby-Smith and Ramdas (2024), "Estimating means of bounded random variables by betting". While
the mean of the observations is at most the null, given those before, each factor 1 + bet (x - null) has an expectation
of at most 1. The Shiryaev-Roberts sum over all moments at which the change may have come is an e-detector: the
expected time until it first exceeds a threshold is at least the threshold, whatever the distribution is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

BETS: Final = (0.05, 0.15, 0.4, 0.9)
"""Bets, as parts of the largest one, 1 / null. Small ones find small changes, large ones find large changes soon."""

_NOTHING: Final = (0.0, 0.0, 0.0, 0.0)


class Detector:
    """Detector of a mean above the null, of observations from 0 to 1.

    Observations and levels may be arrays of NumPy as well, one element for each of many streams, which simulations use.

    Args:
        null: highest mean that is taken for no change, more than 0 and less than 1.

    Raises:
        ValueError: the null is out of range.

    >>> detector = Detector(0.5)
    >>> [round(detector.add(1.0), 1) for _ in range(4)]
    [1.4, 3.4, 6.4, 11.4]
    """

    __slots__ = ("_bets", "_null", "_sums")

    def __init__(self, null: float) -> None:
        if not 0 < null < 1:
            raise ValueError(f"null must be more than 0 and less than 1, got {null:g}")
        self._null = null
        first, second, third, fourth = BETS
        self._bets = (first / null, second / null, third / null, fourth / null)
        self._sums = _NOTHING

    def add(self, x: float) -> float:
        """Add an observation and return the level: the mean of the sums of all bets, which is an e-detector too.

        Args:
            x: observation, from 0 to 1.
        """
        excess = x - self._null
        (one, two, three, four), (a, b, c, d) = self._sums, self._bets  # a loop takes twice the time
        one = (one + 1.0) * (1.0 + a * excess)
        two = (two + 1.0) * (1.0 + b * excess)
        three = (three + 1.0) * (1.0 + c * excess)
        four = (four + 1.0) * (1.0 + d * excess)
        self._sums = (one, two, three, four)
        return (one + two + three + four) / 4

    def restart(self) -> None:
        """Forget all observations."""
        self._sums = _NOTHING


class Detectors:
    """Detectors of several means, upwards and downwards; their average is one e-detector.

    Args:
        nulls: for each mean the lowest and the highest value that are taken for no change, from 0 to 1. Where the
            lowest is 0, or the highest is 1, that direction is not watched; the level stays 0 if none is.
    """

    __slots__ = ("_levels", "_sides")

    def __init__(self, nulls: Sequence[tuple[float, float]]) -> None:
        self._sides = [
            (index, is_up, Detector(high if is_up else 1.0 - low))
            for index, (low, high) in enumerate(nulls)
            for is_up in (True, False)
            if (high < 1.0 if is_up else low > 0.0)
        ]
        self._levels = [0.0] * len(self._sides)

    def add(self, xs: Sequence[float]) -> float:
        """Add an observation of each mean, from 0 to 1, and return the level of all."""
        self._levels = [detector.add(xs[index] if is_up else 1.0 - xs[index]) for index, is_up, detector in self._sides]
        return sum(self._levels) / len(self._levels) if self._levels else 0.0

    @property
    def highest(self) -> tuple[int, bool]:
        """Number of the mean that changed most, and whether it rose."""
        level = max(self._levels)
        index, is_up, _ = self._sides[self._levels.index(level)]
        return index, is_up

    def restart(self) -> None:
        """Forget all observations."""
        for _, _, detector in self._sides:
            detector.restart()
        self._levels = [0.0] * len(self._sides)
