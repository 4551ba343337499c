"""Budget of retries: what many clients may add to the load of a service that refuses them."""

from __future__ import annotations

import gc

import pytest

from serving.retries import RetryBudget, budget_of


def test_where_nothing_succeeds_ten_retries_are_paid_for() -> None:
    budget = RetryBudget()
    assert sum(budget.pay() for _ in range(1000)) == 10


@pytest.mark.parametrize("num_calls", [100, 1000])
def test_retries_stay_a_tenth_of_the_calls_that_succeed(num_calls: int) -> None:
    budget = RetryBudget()
    paid = 0
    for _ in range(num_calls):
        budget.earn()
        paid += budget.pay()
    assert paid == pytest.approx(10 + num_calls / 10, abs=2)


def test_a_long_good_time_saves_for_a_hundred_retries_and_no_more() -> None:
    budget = RetryBudget()
    for _ in range(100_000):
        budget.earn()
    assert sum(budget.pay() for _ in range(1000)) == 100


def test_after_an_outage_a_client_that_asks_seldom_may_retry_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("serving.retries.time.monotonic", lambda: now)
    budget = RetryBudget()
    while budget.pay():
        pass
    now = 60.0
    assert sum(budget.pay() for _ in range(1000)) == 6


def test_the_clients_of_an_address_share_a_budget_until_the_last_is_gone() -> None:
    first = budget_of("a:1")
    assert budget_of("a:1") is first
    assert budget_of("a:2") is not first
    while first.pay():
        pass
    del first
    gc.collect()
    assert budget_of("a:1").pay()
