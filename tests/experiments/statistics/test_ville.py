"""Comparison with `ville`, an independent implementation of confidence sequences and e-processes.

`expectation` would be another one, but needs Python 3.12.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from experiments.statistics.betting import BETS, Floats, Side, confidence_sequence, log_e_process

ville: Any = pytest.importorskip("ville")

RATES = (0.05, 0.3, 0.5, 0.8)


def _songs(rate: float, seed: int, count: int = 400) -> Floats:
    """Return acceptances of songs with two samples, correlated."""
    generator = np.random.default_rng(seed)
    chances = generator.beta(2.4 * rate, 2.4 * (1 - rate), count)
    return np.asarray(generator.binomial(2, chances) / 2)


class _FixedBet(ville.BettingTest):  # type: ignore[misc]
    """Test of ville with one of our bets instead of its own, which are estimated."""

    def __init__(self, bet: float, **arguments: Any) -> None:
        self._bet = bet
        super().__init__(**arguments)

    def _process(self, x: Floats) -> Any:
        low, high = self.bounds
        null = (self.m0 - low) / (high - low)
        z = (x - low) / (high - low)
        if self.alternative == "greater":
            return self._log_up + np.cumsum(np.log1p(self._bet / null * (z - null)))
        return self._log_down + np.cumsum(np.log1p(-self._bet / (1 - null) * (z - null)))


@pytest.mark.parametrize("side", Side)
def test_the_mixture_is_ville_s_mean_of_e_values_of_the_same_bets(side: Side) -> None:
    differences = np.random.default_rng(11).choice([-1.0, -0.5, 0.0, 0.5, 1.0], size=80)
    each = [
        _FixedBet(bet, m0=0.1, bounds=(-1.0, 1.0), alternative=side.value).fit(differences).e_values_ for bet in BETS
    ]
    expected = ville.evalues.combine(np.stack(each), axis=0)
    assert np.exp(log_e_process(differences, 0.1, -1.0, 1.0, side)) == pytest.approx(expected)


@pytest.mark.parametrize("rate", RATES)
def test_the_evidence_is_as_great_as_that_of_ville_s_own_bets(rate: float) -> None:
    # Ville estimates its bets, ours are a fixed mixture: they differ by a few units, not by an order.
    xs = _songs(rate, seed=12)
    null = rate / 2
    ours = log_e_process(xs, null, 0.0, 1.0)[-1]
    theirs = ville.BettingTest(m0=null, alternative="greater").fit(xs).log_e_values_[-1]
    assert ours > 0.8 * theirs
    assert ours > math.log(20)


@pytest.mark.parametrize("rate", RATES)
def test_intervals_are_not_wider_than_those_of_ville(rate: float) -> None:
    xs = _songs(rate, seed=13)
    lower, upper = confidence_sequence(xs, low=0.0, high=1.0, alpha=0.05)
    betting = ville.BettingCS(grid=2001).fit(xs)
    bernstein = ville.EmpiricalBernsteinCS().fit(xs)
    for count in (50, 100, 200, 400):
        width = upper[count - 1] - lower[count - 1]
        assert width <= 1.1 * (betting.upper_[count - 1] - betting.lower_[count - 1])
        assert width <= bernstein.upper_[count - 1] - bernstein.lower_[count - 1]


@pytest.mark.parametrize("rate", RATES)
def test_intervals_of_both_have_the_mean_in_them(rate: float) -> None:
    xs = _songs(rate, seed=14)
    lower, upper = confidence_sequence(xs, low=0.0, high=1.0, alpha=0.05)
    assert np.all(lower < rate)
    assert np.all(rate < upper)
    theirs = ville.BettingCS(grid=2001).fit(xs)
    assert np.all(np.maximum(lower, theirs.lower_) < np.minimum(upper, theirs.upper_))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_at_most_one_of_twenty_sequences_ever_misses_the_mean(rate: float) -> None:
    missed = 0
    for seed in range(300):
        lower, upper = confidence_sequence(_songs(rate, seed, count=200), low=0.0, high=1.0, alpha=0.05)
        missed += bool(lower[-1] > rate or upper[-1] < rate)
    # With probability 0.99, at most 24 of 300 that miss with probability 0.05 each.
    assert missed <= 24
