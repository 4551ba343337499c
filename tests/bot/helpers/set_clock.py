"""A clock that a test sets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.services.schedule import Clock


class SetClock(Clock):
    """Clock that stands still until `pass_by`."""

    def __init__(self) -> None:
        self.time = datetime(2026, 5, 1, 12, tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.seconds += seconds
