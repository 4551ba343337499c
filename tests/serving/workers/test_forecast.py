"""Least times of batches, and the earliest moment at which a worker is free."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.workers.forecast import MEMORY_S, RecentBatches, earliest_start

SECONDS = st.floats(0.001, 30)


def known(*batches: tuple[int, float], now: float = 0.0) -> RecentBatches:
    quickest = RecentBatches()
    for tokens, seconds in batches:
        for _ in range(3):
            quickest.note(tokens, seconds, now)
    return quickest


def test_fewer_than_three_batches_of_a_size_tell_nothing() -> None:
    quickest = RecentBatches()
    for number in range(3):
        assert quickest.least_s(1000, float(number)) == 0
        quickest.note(1000, 0.5, float(number))
    assert quickest.least_s(1000, 3.0) == 0.5


def test_old_batches_are_forgotten_though_new_ones_of_another_size_come() -> None:
    quickest = known((1000, 0.5))
    for _ in range(3):
        quickest.note(100, 0.1, MEMORY_S + 1)
    assert quickest.least_s(1000, MEMORY_S + 1) == pytest.approx(0.1)


def test_a_slow_time_does_not_outlast_the_quick_ones_that_follow() -> None:
    quickest = known((1000, 9.0))
    quickest.note(1000, 0.5, 1.0)
    assert quickest.least_s(1000, 1.0) == 0.5


@given(
    fixed_s=st.floats(0.001, 1),
    per_token_s=st.floats(1e-6, 1e-3),
    measured=st.lists(st.integers(1, 100_000), min_size=1, max_size=8),
    asked=st.integers(1, 200_000),
)
def test_the_least_time_is_never_more_than_the_time_of_a_worker_that_takes_a_fixed_time_and_some_for_each_token(
    fixed_s: float, per_token_s: float, measured: list[int], asked: int
) -> None:
    def took(tokens: int) -> float:
        return fixed_s + per_token_s * tokens

    quickest = known(*((tokens, took(tokens)) for tokens in measured))
    assert 0 < quickest.least_s(asked, 0.0) <= took(asked) * (1 + 1e-9)


@given(ends=st.lists(SECONDS, min_size=1, max_size=4), ahead=st.lists(SECONDS, max_size=8), more=SECONDS)
def test_what_is_ahead_never_makes_a_worker_free_earlier(ends: list[float], ahead: list[float], more: float) -> None:
    start = earliest_start(ends, ahead, now=1.0)
    assert max(1.0, min(ends)) <= start <= earliest_start(ends, [*ahead, more], now=1.0)


def test_batches_are_shared_out_over_the_workers() -> None:
    assert earliest_start([2.0, 2.5], [1.0, 1.0, 1.0], now=0.0) == 3.5
