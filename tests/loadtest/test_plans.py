import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.plans import SpikePlan, StepPlan


def test_steps_add_the_same_number_of_users_each_time() -> None:
    plan = StepPlan(users=3, seconds=10, steps=3)
    assert [plan.users_at(second) for second in (0, 9.9, 10, 19.9, 20, 29.9)] == [3, 3, 6, 6, 9, 9]


def test_steps_end_after_the_last_one() -> None:
    plan = StepPlan(users=3, seconds=10, steps=3)
    assert plan.users_at(30) is None
    assert plan.users_at(1e9) is None


def test_a_spike_lies_between_two_calms() -> None:
    plan = SpikePlan(calm_users=2, spike_users=20, calm_seconds=5, spike_seconds=3)
    assert [plan.users_at(second) for second in (0, 4.9, 5, 7.9, 8, 12.9, 13)] == [2, 2, 20, 20, 2, 2, None]


@given(
    users=st.integers(1, 50),
    seconds=st.floats(0.5, 100),
    steps=st.integers(1, 20),
    share=st.floats(0, 1, exclude_max=True),
)
def test_users_never_leave_the_range_of_the_steps(users: int, seconds: float, steps: int, share: float) -> None:
    plan = StepPlan(users=users, seconds=seconds, steps=steps)
    present = plan.users_at(share * plan.total_seconds * 0.999)
    assert present is not None
    assert users <= present <= users * steps


@pytest.mark.parametrize(
    ("kind", "values", "named"),
    [
        (StepPlan, {"users": 0}, "users"),
        (StepPlan, {"seconds": -1.0}, "seconds"),
        (StepPlan, {"seconds": math.nan}, "seconds"),
        (StepPlan, {"steps": 0}, "steps"),
        (SpikePlan, {"calm_users": 0}, "calm_users"),
        (SpikePlan, {"spike_seconds": 0}, "spike_seconds"),
        (SpikePlan, {"calm_users": 5, "spike_users": 5}, "spike_users"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_by_name(kind: Any, values: dict[str, float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        kind(**values)
