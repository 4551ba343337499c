"""Tests and intervals for the mean of bounded observations that hold at every look, by betting.

A gambler bets against the claim "the mean is at most m" with a capital of 1. Each observation multiplies the capital by
1 + lambda (x - m). If the claim is true, the capital is a supermartingale that starts at 1, so the probability that it
*ever* reaches 1/alpha is at most alpha (Ville's inequality). One may look after every observation and stop at any time.

The gambler spreads the capital evenly over fixed bets, so nothing has to be known or estimated before. The mixture is a
supermartingale too.

Observations are whole songs, in the order in which they were completed: the claim is that the mean of each one, given
all songs before, is at most m. Samples of one song depend on each other and are never observations of their own.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", JRSSB 86 (2024): the
capital process, and bets that are spread over a grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from experiments.statistics.errors import StatisticsError

Floats = NDArray[np.float64]

_NUM_BETS: Final = 20
BETS: Final[tuple[float, ...]] = tuple((k + 0.5) / _NUM_BETS for k in range(_NUM_BETS))
"""Bets, each the share of its capital that the lowest observation takes; the capital is spread evenly over them."""
_STEPS: Final = 24
"""Halvings of the interval in which a bound lies: 2**-24 of the range is left."""
_MAX_VALUES: Final = 64
"""Number of distinct observations above which they are rounded to so many steps, to the safe side."""


class Side(StrEnum):
    """Alternative of a test."""

    GREATER = "greater"
    """The mean is greater than the null; the claim tested is "at most"."""
    LESS = "less"
    """The mean is less than the null; the claim tested is "at least"."""


class MeanTest:
    """E-process for the claim "the mean is at most `null`", one observation at a time.

    Args:
        null: mean that is claimed at most, strictly between `low` and `high`.
        low: least value that an observation can have.
        high: greatest value that an observation can have.

    Raises:
        StatisticsError: the three are not in order.

    >>> test = MeanTest(null=0.0, low=-1.0, high=1.0)
    >>> for _ in range(10):
    ...     test.update(0.5)
    >>> test.log_e > math.log(5)
    True
    """

    __slots__ = ("_high", "_log_capitals", "_low", "_null", "_peak")

    def __init__(self, *, null: float, low: float, high: float) -> None:
        _check(null=null, low=low, high=high)
        self._null, self._low, self._high = null, low, high
        self._log_capitals = np.zeros(len(BETS))
        self._peak = 0.0

    @property
    def log_e(self) -> float:
        """Natural logarithm of the capital: evidence against the claim so far."""
        return float(_log_mean_exp(self._log_capitals))

    @property
    def peak(self) -> float:
        """Greatest `log_e` of all looks so far, at least 0: what is compared with log(1 / alpha)."""
        return self._peak

    def update(self, x: float) -> None:
        """Take one observation.

        Args:
            x: observation, from `low` to `high`.

        Raises:
            StatisticsError: `x` is outside.
        """
        (scaled,) = _scaled([x], low=self._low, high=self._high)
        null = (self._null - self._low) / (self._high - self._low)
        self._log_capitals += np.log1p(np.asarray(BETS) * (scaled / null - 1.0))
        self._peak = max(self._peak, self.log_e)


def log_e_process(xs: ArrayLike, null: float, low: float, high: float, side: Side = Side.GREATER) -> Floats:
    """Return the e-process of `MeanTest` after every observation.

    Args:
        xs: observations, in order; with several dimensions the last one is the order.
        null: mean of the claim, strictly between `low` and `high`.
        low: least value that an observation can have.
        high: greatest value that an observation can have.
        side: alternative; `LESS` tests the claim "the mean is at least `null`".

    Returns:
        Natural logarithms, in the shape of `xs`.

    Raises:
        StatisticsError: the bounds are not in order, or an observation is outside.
    """
    _check(null=null, low=low, high=high)
    scaled_N = _scaled(xs, low=low, high=high)
    at = (null - low) / (high - low)
    if side is Side.LESS:
        scaled_N, at = 1.0 - scaled_N, 1.0 - at
    total: Floats | None = None
    for bet in BETS:
        log_capital_N = np.cumsum(np.log1p(bet * (scaled_N / at - 1.0)), axis=-1)
        total = log_capital_N if total is None else np.logaddexp(total, log_capital_N)
    return np.asarray(total, dtype=np.float64) - math.log(len(BETS))


def confidence_sequence(
    xs: Sequence[float] | Floats, *, low: float, high: float, alpha: float
) -> tuple[Floats, Floats]:
    """Return intervals for the mean after every observation; with probability 1 - alpha, all of them hold at once.

    The lower bound is the least mean that the test of "at most" has not rejected at alpha / 2 at any look so far, the
    upper bound likewise. The capital falls as the claimed mean grows, for each bet, so a bound is found by halving.

    Args:
        xs: observations, in order.
        low: least value that an observation can have.
        high: greatest value that an observation can have.
        alpha: bound on the probability that any of the intervals misses the mean.

    Returns:
        Lower and upper bounds, one of each for every observation. Intervals never grow. Where no mean is left, which
        happens at most with probability alpha, both bounds are the lower one.

    Raises:
        StatisticsError: a bound, an observation or alpha is out of range.
    """
    _check(null=(low + high) / 2, low=low, high=high)
    check_alpha(alpha)
    scaled_N = _scaled(xs, low=low, high=high)
    log_threshold = math.log(2 / alpha)
    lower_N = low + (high - low) * _lower_bounds(scaled_N, log_threshold)
    upper_N = high - (high - low) * _lower_bounds(1.0 - scaled_N, log_threshold)
    return lower_N, np.maximum(lower_N, upper_N)


def check_alpha(alpha: float) -> None:
    """Check a level.

    Args:
        alpha: probability of an error.

    Raises:
        StatisticsError: it is not more than 0 and less than 1.
    """
    if not 0 < alpha < 1:
        raise StatisticsError(f"alpha must be more than 0 and less than 1, got {alpha:g}")


def _lower_bounds(scaled_N: Floats, log_threshold: float) -> Floats:
    """Return the lower bounds for observations in [0, 1]. Legend: N observations, V distinct values."""
    if not scaled_N.size:
        return scaled_N
    values_V, index_N = np.unique(scaled_N, return_inverse=True)
    if values_V.size > _MAX_VALUES:
        # Rounded down, observations give lower bounds, which hold as well.
        values_V, index_N = np.unique(np.floor(scaled_N * _MAX_VALUES) / _MAX_VALUES, return_inverse=True)
    counts_NV = np.cumsum(index_N[:, None] == np.arange(values_V.size), axis=0)
    # At the mean of the observations, the capital is at most 1, since the logarithm is concave.
    rejected_N, held_N = np.zeros(scaled_N.size), counts_NV @ values_V / np.arange(1, scaled_N.size + 1)
    for _ in range(_STEPS):
        middle_N = (rejected_N + held_N) / 2
        is_out_N = _log_capital(values_V, counts_NV, middle_N) >= log_threshold
        rejected_N, held_N = np.where(is_out_N, middle_N, rejected_N), np.where(is_out_N, held_N, middle_N)
    return np.maximum.accumulate(rejected_N)


def _log_capital(values_V: Floats, counts_NV: NDArray[np.int_], null_N: Floats) -> Floats:
    """Return the capital after each observation, each against its own claim."""
    # Where every observation is 0, the claim is 0 as well, and nothing is ever won.
    gain_NV = values_V / np.maximum(null_N, np.finfo(float).tiny)[:, None] - 1.0
    total_N = np.full(null_N.shape, -np.inf)
    for bet in BETS:
        total_N = np.logaddexp(total_N, np.sum(counts_NV * np.log1p(bet * gain_NV), axis=1))
    return np.asarray(total_N, dtype=np.float64) - math.log(len(BETS))


def _log_mean_exp(logs: Floats) -> float:
    return float(np.logaddexp.reduce(logs)) - math.log(logs.size)


def _check(*, null: float, low: float, high: float) -> None:
    if not low < null < high:
        raise StatisticsError(
            f"null must be more than low and less than high, got null {null:g}, low {low:g}, high {high:g}"
        )


def _scaled(xs: ArrayLike, *, low: float, high: float) -> Floats:
    """Return observations in units of their range, from 0 to 1."""
    array = np.asarray(xs, dtype=np.float64)
    # Also false for NaN.
    if not bool(np.all((array >= low) & (array <= high))):
        outside = array[~((array >= low) & (array <= high))].flat[0]
        raise StatisticsError(f"observations must be from {low:g} to {high:g}, got {outside:g}")
    return (array - low) / (high - low)
