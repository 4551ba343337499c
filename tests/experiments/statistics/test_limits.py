import math

import numpy as np
import pytest

from experiments.statistics.errors import StatisticsError
from experiments.statistics.limits import (
    Limit,
    TimedAnswer,
    alpha_each,
    find_excess,
    find_failures,
    find_slowness,
)

ALPHA = 0.0025


def _alternating(control: list[float], treatment: list[float]) -> list[TimedAnswer]:
    pairs = zip(control, treatment, strict=True)
    return [TimedAnswer(is_treatment=index == 1, total_ms=ms) for pair in pairs for index, ms in enumerate(pair)]


def test_many_failures_are_found_and_few_are_not() -> None:
    generator = np.random.default_rng(6)
    healthy = [False] * 200
    breach = find_failures(list(generator.random(200) < 0.2), healthy, max_increase=0.05, alpha=ALPHA)
    assert breach is not None
    assert breach.limit is Limit.FAILURES
    assert breach.observations <= 200
    assert breach.excess > 0.1
    assert breach.log_e >= -math.log(ALPHA)
    assert find_failures(list(generator.random(200) < 0.05), healthy, max_increase=0.05, alpha=ALPHA) is None


def test_failures_of_both_are_not_held_against_the_treatment() -> None:
    failures = [True] * 100
    assert find_failures(failures, failures, max_increase=0.05, alpha=ALPHA) is None


def test_a_version_that_is_three_times_slower_is_found_within_fifty_answers() -> None:
    generator = np.random.default_rng(7)
    control, treatment = generator.lognormal(4, 0.5, 100), 3 * generator.lognormal(4, 0.5, 100)
    breach = find_slowness(_alternating(list(control), list(treatment)), max_slowdown=1.5, alpha=ALPHA)
    assert breach is not None
    assert breach.limit is Limit.SLOWNESS
    assert breach.observations <= 50


def test_a_slow_hour_of_the_host_is_not_held_against_the_treatment() -> None:
    generator = np.random.default_rng(8)
    load = np.repeat([1.0, 5.0, 1.0, 8.0], 200)
    control, treatment = load * generator.lognormal(4, 0.5, 800), load * generator.lognormal(4, 0.5, 800)
    assert find_slowness(_alternating(list(control), list(treatment)), max_slowdown=1.5, alpha=ALPHA) is None


def test_a_version_that_is_slow_in_its_tail_alone_is_found() -> None:
    generator = np.random.default_rng(9)
    control, treatment = generator.lognormal(4, 0.3, 300), generator.lognormal(4, 0.3, 300)
    treatment[generator.random(300) < 0.3] *= 5
    breach = find_slowness(_alternating(list(control), list(treatment)), max_slowdown=1.5, alpha=ALPHA)
    assert breach is not None
    assert breach.slowdown is not None
    assert breach.slowdown > 1.5


def test_a_version_that_takes_1_5_times_as_long_is_within_the_limit() -> None:
    generator = np.random.default_rng(10)
    control, treatment = generator.lognormal(4, 0.5, 1000), 1.5 * generator.lognormal(4, 0.5, 1000)
    assert find_slowness(_alternating(list(control), list(treatment)), max_slowdown=1.5, alpha=ALPHA) is None


def test_slow_answers_are_found_before_the_control_has_a_percentile() -> None:
    breach = find_slowness(_alternating([100.0] * 19, [300.0] * 19), max_slowdown=1.5, alpha=ALPHA)
    assert breach is not None
    assert breach.slowdown == pytest.approx(3.0)


def test_the_breach_is_that_of_the_first_moment() -> None:
    breach = find_excess(Limit.COPIES, [1.0] * 50, allowed=0.1, alpha=ALPHA)
    assert breach is not None
    assert breach == find_excess(Limit.COPIES, [1.0] * breach.observations, allowed=0.1, alpha=ALPHA)
    assert find_excess(Limit.COPIES, [1.0] * (breach.observations - 1), allowed=0.1, alpha=ALPHA) is None
    later = [1.0] * breach.observations + [-1.0] * 100
    assert find_excess(Limit.COPIES, later, allowed=0.1, alpha=ALPHA) == breach


def test_no_observation_is_no_breach() -> None:
    assert find_excess(Limit.ACCEPTANCE, [], allowed=0.2, alpha=ALPHA) is None
    assert find_failures([], [True], max_increase=0.05, alpha=ALPHA) is None
    assert find_slowness([], max_slowdown=1.5, alpha=ALPHA) is None


def test_the_level_is_shared_by_limits_and_treatments() -> None:
    assert alpha_each(0.01, treatments=1) == pytest.approx(0.0025)
    assert alpha_each(0.01, treatments=2) == pytest.approx(0.00125)


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(StatisticsError, match="max_slowdown must be more than 1, got 1"):
        find_slowness([], max_slowdown=1.0, alpha=ALPHA)
    with pytest.raises(StatisticsError, match="null"):
        find_failures([True], [False], max_increase=1.0, alpha=ALPHA)
    with pytest.raises(StatisticsError, match="alpha"):
        find_excess(Limit.COPIES, [], allowed=0.1, alpha=0.0)
    with pytest.raises(StatisticsError, match="treatments"):
        alpha_each(0.01, treatments=0)
