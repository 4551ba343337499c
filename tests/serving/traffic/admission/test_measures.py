from __future__ import annotations

import pytest

from serving.traffic.admission.measures import MEMORY_S, START_TOKENS_PER_S, DecodeRate, ServiceTimes


def test_nothing_is_refused_for_a_size_that_was_never_measured() -> None:
    times = ServiceTimes()
    times.note(4, 2.0, now=0.0)
    assert times.low_s(5, now=0.1) == 0.0
    assert not times.may_probe(5, remaining_s=0.1, now=100.0)


def test_a_low_quantile_of_recent_answers_is_kept_and_old_ones_are_forgotten() -> None:
    times = ServiceTimes()
    for number in range(20):
        times.note(4, 1.0 + number, now=0.0)
    assert times.low_s(4, now=0.1) == 3.0
    later = MEMORY_S + 1
    for _ in range(3):
        times.note(4, 9.0, now=later)
    assert times.low_s(4, now=later + 0.1) == 9.0


def test_a_single_slow_answer_after_a_hang_is_not_taken_for_the_rule() -> None:
    times = ServiceTimes()
    for _ in range(200):
        times.note(4, 0.005, now=0.0)
    assert times.low_s(4, now=0.1) == 0.005
    times.note(4, 12.0, now=12.0)
    assert times.low_s(4, now=12.1) == 0.005


def test_a_single_slow_answer_with_nothing_before_it_is_checked_soon() -> None:
    times = ServiceTimes()
    times.note(4, 12.0, now=0.0)
    assert times.low_s(4, now=0.1) == 12.0
    assert not times.may_probe(4, remaining_s=2.0, now=MEMORY_S - 0.1)
    assert times.may_probe(4, remaining_s=2.0, now=MEMORY_S)


def test_one_hopeless_request_goes_through_when_the_measure_is_out_of_date() -> None:
    times = ServiceTimes()
    times.note(4, 1.0, now=0.0)
    assert times.low_s(4, now=0.1) == 1.0
    assert not times.may_probe(4, remaining_s=0.9, now=1.0)
    stale = 2 * MEMORY_S
    assert times.low_s(4, now=stale) == 1.0
    assert times.may_probe(4, remaining_s=0.9, now=stale)
    assert not times.may_probe(4, remaining_s=0.9, now=stale + 0.01)


def test_the_more_hopeless_a_request_is_the_rarer_it_goes_through() -> None:
    times = ServiceTimes()
    for _ in range(3):
        times.note(4, 1.0, now=0.0)
    assert times.low_s(4, now=0.1) == 1.0
    assert not times.may_probe(4, remaining_s=0.5, now=1.5 * MEMORY_S)
    assert times.may_probe(4, remaining_s=0.5, now=2 * MEMORY_S)
    assert not times.may_probe(4, remaining_s=0.0, now=1000.0)


def test_the_rate_is_that_of_the_time_in_which_there_was_work() -> None:
    rate = DecodeRate(workers=1)
    now = 0.0
    for _ in range(20):
        rate.begin(now)
        rate.end(5_000, now + 0.5)
        now += 60.0
    assert rate.tokens_per_s == pytest.approx(10_000, rel=0.01)


def test_what_was_not_decoded_lowers_the_rate_to_its_floor() -> None:
    rate = DecodeRate(workers=2)
    for now in range(20):
        rate.begin(now)
        rate.end(0, now + 0.5)
    assert rate.tokens_per_s == 2 * START_TOKENS_PER_S
