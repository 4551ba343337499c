from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.traffic.detectors import BETS, Detector, Detectors

UNITS = st.floats(0, 1)


@given(null=st.floats(0.01, 0.99), xs=st.lists(UNITS, max_size=30))
def test_the_level_is_the_sum_over_all_moments_of_change_of_the_products_since(null: float, xs: list[float]) -> None:
    detector = Detector(null)
    level = 0.0
    for x in xs:
        level = detector.add(x)
    expected = math.fsum(
        math.prod(1 + part / null * (x - null) for x in xs[begin:]) for part in BETS for begin in range(len(xs))
    ) / len(BETS)
    assert level == pytest.approx(expected, rel=1e-9)
    assert level >= 0


@given(null=st.floats(0.01, 0.99), bet=st.sampled_from(BETS))
def test_a_factor_has_the_expectation_1_at_the_null(null: float, bet: float) -> None:
    # Of all distributions on the unit interval with this mean, the one on its ends has the largest spread.
    ends = [1 + bet / null * (x - null) for x in (0.0, 1.0)]
    assert min(ends) >= 0
    assert null * ends[1] + (1 - null) * ends[0] == pytest.approx(1)


def test_many_streams_can_be_watched_in_one_array() -> None:
    xs = np.random.default_rng(0).random((50, 20))
    both = Detector(0.4)
    levels = [cast("Any", both.add(cast("Any", row))) for row in xs]
    for stream in range(20):
        alone = Detector(0.4)
        assert [alone.add(float(x)) for x in xs[:, stream]] == pytest.approx([row[stream] for row in levels])


@pytest.mark.slow
def test_the_average_run_length_without_a_change_is_at_least_the_threshold() -> None:
    # The hardest case: the mean is exactly the null. 2,000 streams, each until its first alarm.
    threshold, streams, steps = 200.0, 2000, 12_000
    draw = np.random.default_rng(1)
    detector, run_length = Detector(0.2), np.full(streams, float(steps))
    for step in range(steps):
        level: Any = detector.add(cast("Any", (draw.random(streams) < 0.2).astype(float)))
        run_length = np.minimum(run_length, np.where(level >= threshold, step + 1.0, steps))
    # Runs that did not end count as if they had ended now, so the true mean is larger.
    assert run_length.mean() > threshold


def test_the_mean_that_changed_most_is_named_with_its_direction() -> None:
    watch = Detectors([(0.4, 0.6), (0.4, 0.6), (0.0, 0.3)])
    for _ in range(30):
        level = watch.add((0.5, 0.1, 0.1))
    assert watch.highest == (1, False)
    assert level > 10
    watch.restart()
    for _ in range(30):
        watch.add((0.5, 0.5, 0.9))
    assert watch.highest == (2, True)


@pytest.mark.parametrize("null", [0.0, 1.0, -1.0, math.nan])
def test_a_null_that_cannot_be_watched_is_refused(null: float) -> None:
    with pytest.raises(ValueError, match="null must be more than 0 and less than 1"):
        Detector(null)


def test_a_mean_of_which_everything_is_taken_for_no_change_is_not_watched() -> None:
    watch = Detectors([(0.0, 1.0)])
    assert [watch.add((x,)) for x in (0.0, 1.0, 0.5)] == [0.0] * 3
