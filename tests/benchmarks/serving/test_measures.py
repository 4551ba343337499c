"""Percentiles, throughput, batches and the knee."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.serving.calls import Call, Phase
from benchmarks.serving.measures import batches, find_knee, level, median_level, percentile, throughput

PHASE = Phase(clients=4, settle_s=1.0, seconds=4.0)


def calls_of_batches(every_s: float, requests: int, until_s: float, *, samples: int = 5) -> list[Call]:
    """A server that ends a batch every so often; each batch's decode took its own time."""
    ends = [every_s * number for number in range(1, int(until_s / every_s) + 1)]
    return [
        Call(started=end - every_s, ended=end + 0.001 * place, decode_ms=1000 * every_s - 1 - number, samples=samples)
        for number, end in enumerate(ends)
        for place in range(requests)
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_measured_value_that_the_given_share_does_not_exceed(
    values: list[float], percent: float
) -> None:
    found = percentile(sorted(values), percent)
    assert found in values
    assert sum(value <= found for value in values) >= percent / 100 * len(values) - 1e-9


def test_percentiles_of_nothing_are_nan() -> None:
    assert math.isnan(percentile([], 50))


def test_the_hundredth_percentile_is_the_largest() -> None:
    assert percentile([1.0, 5.0, 9.0], 100) == 9.0


def test_calls_of_one_decode_are_one_batch_and_batches_end_with_their_last_call() -> None:
    found = batches(calls_of_batches(0.5, 8, 2.0), 0.0, 10.0)
    assert [(batch.requests, batch.samples) for batch in found] == [(8, 40)] * 4
    assert found[0].ended == pytest.approx(0.507)


def test_throughput_does_not_depend_on_where_the_window_cuts_the_batches() -> None:
    steady = calls_of_batches(0.7, 32, 9.0)
    rates = [
        level(steady, Phase(clients=32, settle_s=settle, seconds=4.0)).samples_per_s
        for settle in (0.5, 0.8, 1.1, 1.35, 1.4)
    ]
    assert rates == pytest.approx([32 * 5 / 0.7] * 5, rel=0.01)


def test_throughput_of_hardly_any_batch_is_what_the_window_saw() -> None:
    assert throughput(batches(calls_of_batches(1.5, 2, 3.0), 0.0, 4.0), 4.0) == pytest.approx(20 / 4)


def test_a_level_counts_calls_that_end_within_its_window_only() -> None:
    calls = [Call(started=0.0, ended=end, decode_ms=end, samples=1) for end in (0.5, 1.5, 2.5, 4.9, 5.1)]
    assert level(calls, PHASE).answered == 3


def test_queue_time_is_the_latency_without_the_decode() -> None:
    calls = [Call(started=2.0, ended=2.25, decode_ms=100.0, samples=1)] * 3
    found = level(calls, PHASE)
    assert (found.p50_ms, found.decode_ms, found.queue_ms) == pytest.approx((250.0, 100.0, 150.0))


def test_errors_are_counted_by_code_even_when_they_end_after_the_window() -> None:
    bad = [Call(started=2.0, ended=when, code="DEADLINE_EXCEEDED") for when in (0.5, 3.0, 35.0)]
    found = level([*calls_of_batches(0.5, 2, 5.0), *bad], PHASE)
    assert found.errors == {"DEADLINE_EXCEEDED": 2}


def test_a_level_without_any_answer_has_no_latency_and_no_throughput() -> None:
    found = level([Call(started=1.0, ended=2.0, code="UNAVAILABLE")], PHASE)
    assert found.samples_per_s == 0
    assert math.isnan(found.p50_ms)
    assert found.errors == {"UNAVAILABLE": 1}


def test_the_median_level_takes_each_figure_by_itself_and_adds_errors_up() -> None:
    rounds = [level(calls_of_batches(every, 4, 6.0), PHASE) for every in (0.2, 0.4, 0.5)]
    broken = level([Call(started=1.0, ended=2.0, code="UNAVAILABLE")] * 2, PHASE)
    found = median_level(rounds)
    assert found.samples_per_s == rounds[1].samples_per_s
    assert found.max_ms == max(each.max_ms for each in rounds)
    assert median_level([*rounds[:2], broken]).errors == {"UNAVAILABLE": 2}


def test_the_knee_is_where_latency_turns_upwards() -> None:
    loads = [10.0, 30, 50, 70, 90, 110]
    assert find_knee(loads, [50.0, 52, 55, 60, 400, 2000]) == 3


def test_the_knee_of_a_queue_formula_lies_where_its_curve_is_farthest_below_its_chord() -> None:
    loads = [load / 100 for load in range(1, 96)]
    curve = [1 / (1 - load) for load in loads]
    # By hand: the derivative of -log(1 - x) equals the chord's slope at x = 1 - 1 / slope.
    slope = math.log(curve[-1] / curve[0]) / (loads[-1] - loads[0])
    assert loads[find_knee(loads, curve)] == pytest.approx(1 - 1 / slope, abs=0.01)


@pytest.mark.parametrize(("loads", "latencies"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 2.0, 3.0], [1.0, 2.0])])
def test_a_knee_of_too_few_points_is_refused(loads: list[float], latencies: list[float]) -> None:
    with pytest.raises(ValueError, match="three points"):
        find_knee(loads, latencies)
