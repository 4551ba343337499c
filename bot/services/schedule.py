"""Schedule of the parts that call external services: rate limits, back-off after failures, the time between passes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bot.domain.errors import CredentialsError, NetworkError
from bot.ports import Pause, Store

_FIRST_BACKOFF_S = 30.0
_LONGEST_BACKOFF_S = 900.0
_LONGEST_PAUSE = timedelta(hours=25)
"""Longest pause that is honoured: no service asks for more than a day, so a longer one means that the clock jumped."""
_MOST_IDLE = 5.0
"""Maximum factor by which idle passes lengthen the interval."""


class Clock:
    """Clock with the time of day, which may jump, and a monotonic time."""

    def now(self) -> datetime:
        """Return the aware time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()


class Schedule:
    """Schedule of the parts that call external services.

    Pauses that a service asked for are stored and survive a restart; the bot's own back-off does not.

    Args:
        store: keeps the pauses that services asked for.
        clock: the time.
        spread: random part of pauses, from 0 to 1, so that several bots do not call in step.
    """

    def __init__(self, store: Store, clock: Clock, *, spread: Callable[[], float] = random.random) -> None:
        self._store = store
        self._clock = clock
        self._spread = spread
        self._failures: dict[str, int] = {}
        self._backoff_until: dict[str, float] = {}
        self._reasons: dict[str, str] = {}
        self._idle_passes = 0

    def waits_for(self, part: str) -> str:
        """Reason why a part may not call its service now; empty if it may."""
        now = self._clock.now()
        for pause in self._store.pauses():
            if pause.part == part and now < pause.until <= now + _LONGEST_PAUSE:
                return f"{part} is paused until {pause.until:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"
        left = self._backoff_until.get(part, 0.0) - self._clock.monotonic()
        return f"{part} is paused for {left:.0f} s after a failure" if left > 0 else ""

    def reason_of(self, part: str) -> str:
        """The error of a part's last attempt; empty if it succeeded, or if there was none since the start."""
        return self._reasons.get(part, "")

    def failed(self, part: str, error: NetworkError) -> None:
        """Pause a part: until the time that the service gave, else with a back-off that grows with each failure."""
        self._reasons[part] = str(error)
        if error.retry_at is not None:
            self._store.set_pause(part, Pause(part=part, until=error.retry_at, reason=str(error)))
            return
        failures = self._failures.get(part, 0)
        self._failures[part] = failures + 1
        # A person has to act: a retry every half minute is useless.
        doublings = min(failures + (4 if isinstance(error, CredentialsError) else 0), 10)
        pause = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0**doublings)
        self._backoff_until[part] = self._clock.monotonic() + pause * (0.5 + 0.5 * self._spread())

    def succeeded(self, part: str) -> None:
        """Reset the failures and pauses of a part."""
        self._failures.pop(part, None)
        self._reasons.pop(part, None)
        self._backoff_until.pop(part, None)
        if any(pause.part == part for pause in self._store.pauses()):
            self._store.set_pause(part, None)

    def next_wait(self, interval_s: float, *, idle: bool) -> float:
        """Return the seconds to the next pass: the interval, give or take 10%, and longer after idle passes."""
        self._idle_passes = self._idle_passes + 1 if idle else 0
        slower = min(_MOST_IDLE, 1.2 ** max(0, self._idle_passes - 3))
        return interval_s * slower * (0.9 + 0.2 * self._spread())


class SettleTimer:
    """Timer of writes in doubt: after `settle_s`, a write has either been applied or never will be.

    Args:
        clock: the time.
        settle_s: maximum seconds after which a slow server may still apply a write that it did not answer.
    """

    def __init__(self, clock: Clock, settle_s: float) -> None:
        self._clock = clock
        self._settle_s = settle_s
        self._since: dict[str, float] = {}

    def begin(self, key: str) -> None:
        """Record that a write begins."""
        self._since[key] = self._clock.monotonic()

    def is_settled(self, key: str, began_at: str | None) -> bool:
        """Whether a write has settled; `began_at` is its time in the database, for a write of an earlier process."""
        if key not in self._since and began_at is not None:
            elapsed = (self._clock.now() - datetime.fromisoformat(began_at)).total_seconds()
            if elapsed < 0:
                # The clock was set back, so the time of day is useless: count from now.
                self.begin(key)
            return elapsed >= self._settle_s
        return key not in self._since or self._clock.monotonic() - self._since[key] >= self._settle_s
