"""Number of users over time: the arithmetic of the load shapes, without locust."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """Stairs: `users` more at every step, to find the load at which the service falls behind.

    Raises:
        ValueError: a value is not positive.
    """

    users: int = 5
    """Users added at the start of each step."""
    seconds: float = 20.0
    """Length of one step in seconds. Percentiles in locust's history cover the last 10 s, so shorter steps blur."""
    steps: int = 5

    def __post_init__(self) -> None:
        _check_positive(users=self.users, seconds=self.seconds, steps=self.steps)

    @property
    def total_seconds(self) -> float:
        """Length of the whole run in seconds."""
        return self.seconds * self.steps

    def users_at(self, elapsed: float) -> int | None:
        """Return the number of users `elapsed` seconds after the start; None after the end of the run."""
        step = int(elapsed // self.seconds)
        return self.users * (step + 1) if step < self.steps else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikePlan:
    """Calm, a spike of users, calm again, to see whether the service sheds the load and recovers.

    Raises:
        ValueError: a value is not positive, or the spike is not larger than the calm.
    """

    calm_users: int = 5
    spike_users: int = 50
    calm_seconds: float = 20.0
    """Length of the calm before the spike, and of the calm after it, in seconds."""
    spike_seconds: float = 10.0

    def __post_init__(self) -> None:
        _check_positive(
            calm_users=self.calm_users,
            spike_users=self.spike_users,
            calm_seconds=self.calm_seconds,
            spike_seconds=self.spike_seconds,
        )
        if self.spike_users <= self.calm_users:
            raise ValueError(f"spike_users must be more than calm_users, got {self.spike_users} and {self.calm_users}")

    @property
    def total_seconds(self) -> float:
        """Length of the whole run in seconds."""
        return 2 * self.calm_seconds + self.spike_seconds

    def users_at(self, elapsed: float) -> int | None:
        """Return the number of users `elapsed` seconds after the start; None after the end of the run."""
        if elapsed >= self.total_seconds:
            return None
        in_spike = self.calm_seconds <= elapsed < self.calm_seconds + self.spike_seconds
        return self.spike_users if in_spike else self.calm_users


Plan = StepPlan | SpikePlan


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        # `not >` also refuses NaN
        if not value > 0:
            raise ValueError(f"{name} must be more than 0, got {value:g}")
