"""The benchmark of the ranking of versions by replay."""

from __future__ import annotations

import pytest

from benchmarks.training.version_order import Order, summary

ACCEPTANCE = {"base": 0.40, "cvae": 0.38, "a": 0.60, "b": 0.65, "c": 0.42, "d": 0.41}


def _order(value: dict[str, float], *, seed: int = 0) -> Order:
    return Order(curator="words", seed=seed, acceptance=ACCEPTANCE, value=value)


def test_tau_is_1_for_the_same_order_and_falls_by_each_pair_that_is_turned() -> None:
    same = {name: 0.5 * value for name, value in ACCEPTANCE.items()}
    assert _order(same).tau == pytest.approx(1.0)
    turned = {**same, "a": same["b"], "b": same["a"]}
    assert _order(turned).tau == pytest.approx(1 - 2 / 15)
    assert _order({name: -value for name, value in same.items()}).tau == pytest.approx(-1.0)


def test_the_goal_is_for_the_mean_over_all_orders() -> None:
    same, reverse = dict(ACCEPTANCE), {name: -value for name, value in ACCEPTANCE.items()}
    row = summary([_order(same), _order(reverse, seed=1)])["all tastes"]
    assert (row["orders"], row["tau"], row["is_met"]) == (2, pytest.approx(0.0), False)
    assert summary([_order(same), _order(same, seed=1)])["all tastes"]["is_met"]
    assert summary([]) == {}
