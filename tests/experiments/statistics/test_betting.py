import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.betting import BETS, MeanTest, Side, confidence_sequence, log_e_process
from experiments.statistics.errors import StatisticsError
from tests.examples import examples

SHARES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0]), min_size=1, max_size=40)


def test_one_observation_multiplies_the_capital_of_each_bet() -> None:
    (log_e,) = log_e_process([1.0], null=0.25, low=0.0, high=1.0)
    by_hand = sum(1 + bet / 0.25 * (1.0 - 0.25) for bet in BETS) / len(BETS)
    assert log_e == pytest.approx(math.log(by_hand))


def test_the_expected_capital_is_one_when_the_mean_is_the_null() -> None:
    # All sequences of eight observations, by their probabilities: an exact expectation, not a simulation.
    outcomes = np.array(np.meshgrid(*[[0.0, 1.0]] * 8)).reshape(8, -1).T
    weights = np.prod(np.where(outcomes == 1.0, 0.3, 0.7), axis=1)
    capitals = np.exp(log_e_process(outcomes, null=0.3, low=0.0, high=1.0))
    assert weights @ capitals == pytest.approx(np.ones(8))
    below = np.prod(np.where(outcomes == 1.0, 0.2, 0.8), axis=1)
    assert np.all(below @ capitals < 1)


@given(xs=SHARES)
@examples(40)
def test_one_observation_at_a_time_gives_the_same_as_all_at_once(xs: list[float]) -> None:
    test = MeanTest(null=0.4, low=0.0, high=1.0)
    singles = []
    for x in xs:
        test.update(x)
        singles.append(test.log_e)
    assert singles == pytest.approx(list(log_e_process(xs, 0.4, 0.0, 1.0)), abs=1e-9)
    assert test.peak == pytest.approx(max(0.0, *singles))


@given(xs=SHARES)
@examples(40)
def test_the_two_sides_are_mirror_images(xs: list[float]) -> None:
    mirrored = [1 - x for x in xs]
    greater = log_e_process(xs, 0.3, 0.0, 1.0, Side.GREATER)
    less = log_e_process(mirrored, 0.7, 0.0, 1.0, Side.LESS)
    assert list(greater) == pytest.approx(list(less), abs=1e-9)


@given(xs=SHARES, alpha=st.sampled_from([0.01, 0.05, 0.3]))
@examples(40)
def test_a_bound_is_where_its_test_rejects(xs: list[float], alpha: float) -> None:
    lower, upper = confidence_sequence(xs, low=0.0, high=1.0, alpha=alpha)
    if 0 < lower[-1] < 1:
        at = log_e_process(xs, lower[-1] - 1e-6, 0.0, 1.0)
        above = log_e_process(xs, lower[-1] + 1e-6, 0.0, 1.0)
        assert at.max() >= math.log(2 / alpha) > above.max()
    if lower[-1] < upper[-1] < 1:
        at = log_e_process(xs, upper[-1] + 1e-6, 0.0, 1.0, Side.LESS)
        assert at.max() >= math.log(2 / alpha)


@given(xs=SHARES)
@examples(40)
def test_intervals_never_grow_and_stay_in_range(xs: list[float]) -> None:
    lower, upper = confidence_sequence(xs, low=0.0, high=1.0, alpha=0.1)
    assert np.all(np.diff(lower) >= 0)
    assert np.all(lower <= upper)
    assert lower[0] >= 0
    assert np.all(upper <= 1)


def test_the_scale_of_the_observations_does_not_matter() -> None:
    xs = np.random.default_rng(1).beta(2, 3, 30)
    lower, upper = confidence_sequence(xs, low=0.0, high=1.0, alpha=0.05)
    wide_lower, wide_upper = confidence_sequence(10 * xs - 3, low=-3.0, high=7.0, alpha=0.05)
    assert wide_lower == pytest.approx(10 * lower - 3)
    assert wide_upper == pytest.approx(10 * upper - 3)


def test_many_distinct_values_are_rounded_to_the_safe_side() -> None:
    xs = np.random.default_rng(2).random(200)
    lower, _ = confidence_sequence(xs, low=0.0, high=1.0, alpha=0.05)
    rejecting = log_e_process(xs, lower[-1], 0.0, 1.0).max()
    assert rejecting >= math.log(2 / 0.05)
    assert lower[-1] > 0.35


def test_no_observation_gives_no_interval() -> None:
    lower, upper = confidence_sequence([], low=0.0, high=1.0, alpha=0.05)
    assert lower.size == upper.size == 0


def test_only_zeros_give_an_upper_bound_that_shrinks() -> None:
    lower, upper = confidence_sequence([0.0] * 100, low=0.0, high=1.0, alpha=0.05)
    assert not lower.any()
    assert upper[-1] < 0.06


@pytest.mark.parametrize("x", [-1.01, 1.5, math.nan, math.inf])
def test_an_observation_out_of_range_is_refused(x: float) -> None:
    with pytest.raises(StatisticsError, match="observations must be from -1 to 1"):
        log_e_process([0.0, x], 0.0, -1.0, 1.0)
    with pytest.raises(StatisticsError, match="observations must be from -1 to 1"):
        MeanTest(null=0.0, low=-1.0, high=1.0).update(x)


@pytest.mark.parametrize("null", [-1.0, 1.0, 2.0, math.nan])
def test_a_null_that_is_not_inside_the_range_is_refused(null: float) -> None:
    with pytest.raises(StatisticsError, match="null must be more than low"):
        MeanTest(null=null, low=-1.0, high=1.0)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, math.nan])
def test_a_level_out_of_range_is_refused(alpha: float) -> None:
    with pytest.raises(StatisticsError, match="alpha must be"):
        confidence_sequence([0.5], low=0.0, high=1.0, alpha=alpha)
