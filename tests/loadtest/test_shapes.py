import time
from types import ModuleType

import pytest

from loadtest.plans import SpikePlan, StepPlan

pytestmark = pytest.mark.slow


def test_ticks_of_a_step_shape_follow_the_plan_and_end_it(shapes: ModuleType) -> None:
    shape = shapes.StepShape(StepPlan(users=4, seconds=10, steps=2))
    ticks = []
    for elapsed in (1, 11, 21):
        shape.start_time = time.perf_counter() - elapsed
        ticks.append(shape.tick())
    assert ticks == [(4, shapes.SPAWN_RATE), (8, shapes.SPAWN_RATE), None]


def test_ticks_of_a_spike_shape_follow_the_plan_and_end_it(shapes: ModuleType) -> None:
    shape = shapes.SpikeShape(SpikePlan(calm_users=1, spike_users=9, calm_seconds=10, spike_seconds=10))
    ticks = []
    for elapsed in (1, 11, 21, 31):
        shape.start_time = time.perf_counter() - elapsed
        ticks.append(shape.tick())
    assert ticks == [(1, shapes.SPAWN_RATE), (9, shapes.SPAWN_RATE), (1, shapes.SPAWN_RATE), None]


def test_a_reset_starts_the_plan_again(shapes: ModuleType) -> None:
    shape = shapes.StepShape(StepPlan(users=4, seconds=10, steps=2))
    shape.start_time = time.perf_counter() - 99
    assert shape.tick() is None
    shape.reset_time()
    assert shape.tick() == (4, shapes.SPAWN_RATE)


@pytest.mark.parametrize(("plan", "name"), [(StepPlan(), "StepShape"), (SpikePlan(), "SpikeShape")])
def test_each_plan_has_its_shape(shapes: ModuleType, plan: StepPlan | SpikePlan, name: str) -> None:
    assert type(shapes.shape_for(plan)).__name__ == name
