"""Locust's load shapes over the plans.

Locust runs the first shape class that it sees in a locustfile, wanted or not, so the locustfile does not show these:
`--shape` picks one when the run is prepared.
"""

from __future__ import annotations

from typing import ClassVar, Final

from locust import LoadTestShape

from loadtest.plans import Plan, SpikePlan, StepPlan

SPAWN_RATE: Final = 100.0
"""Users started or stopped per second between levels: at once, as far as locust goes without a warning."""


class _PlannedShape(LoadTestShape):
    abstract: ClassVar[bool] = True

    def __init__(self, plan: Plan) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # locust says it is typed, with holes
        self.plan = plan

    def tick(self) -> tuple[int, float] | None:
        """Users and spawn rate for this moment; None ends the run."""
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]  # likewise
        users = self.plan.users_at(elapsed)
        return None if users is None else (users, SPAWN_RATE)


class StepShape(_PlannedShape):
    """Stairs up, see `StepPlan`."""

    abstract: ClassVar[bool] = False

    def __init__(self, plan: StepPlan) -> None:
        super().__init__(plan)


class SpikeShape(_PlannedShape):
    """A sudden crowd, see `SpikePlan`."""

    abstract: ClassVar[bool] = False

    def __init__(self, plan: SpikePlan) -> None:
        super().__init__(plan)


def shape_for(plan: Plan) -> LoadTestShape:
    """The shape that follows a plan."""
    return StepShape(plan) if isinstance(plan, StepPlan) else SpikeShape(plan)
