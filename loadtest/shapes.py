"""Load shapes of locust that follow the plans.

Locust always runs the first shape class in a locustfile, so the locustfile does not import these: `--shape` selects one
during the setup of the run.
"""

from __future__ import annotations

from typing import ClassVar, Final

from locust import LoadTestShape

from loadtest.plans import Plan, SpikePlan, StepPlan

SPAWN_RATE: Final = 100.0
"""Users started or stopped per second between levels: the most that locust accepts without a warning."""


class _PlannedShape(LoadTestShape):
    abstract: ClassVar[bool] = True

    def __init__(self, plan: Plan) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # locust's type information is incomplete
        self.plan = plan

    def tick(self) -> tuple[int, float] | None:
        """Return the current number of users and the spawn rate; None ends the run."""
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]  # likewise
        users = self.plan.users_at(elapsed)
        return None if users is None else (users, SPAWN_RATE)


class StepShape(_PlannedShape):
    """Shape of a `StepPlan`."""

    abstract: ClassVar[bool] = False

    def __init__(self, plan: StepPlan) -> None:
        super().__init__(plan)


class SpikeShape(_PlannedShape):
    """Shape of a `SpikePlan`."""

    abstract: ClassVar[bool] = False

    def __init__(self, plan: SpikePlan) -> None:
        super().__init__(plan)


def shape_for(plan: Plan) -> LoadTestShape:
    """Return the shape that follows a plan."""
    return StepShape(plan) if isinstance(plan, StepPlan) else SpikeShape(plan)
