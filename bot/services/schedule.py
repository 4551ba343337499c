"""When each part of the bot may call out again: after a rate limit's reset, after a pause that grows with failures."""

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
"""No service asks for more than a day; a longer pause is the work of a clock that jumped."""
_MOST_IDLE = 5.0
"""How many times longer the interval gets when nothing comes."""


class Clock:
    """The time of day, which may jump, and a time that only grows."""

    def now(self) -> datetime:
        """The aware time of day."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()


class Schedule:
    """Which parts may call out.

    What a service asked for outlives a restart; what the bot makes up by itself does not.

    Args:
        store: keeps what services asked for.
        clock: tells the time.
        spread: the random part of pauses, a number from 0 to 1, so that several bots do not call in step.
    """

    def __init__(self, store: Store, clock: Clock, *, spread: Callable[[], float] = random.random) -> None:
        self._store = store
        self._clock = clock
        self._spread = spread
        self._failures: dict[str, int] = {}
        self._backoff_until: dict[str, float] = {}
        self._idle_passes = 0

    def waits_for(self, part: str) -> str:
        """Why a part may not call out now, in words; empty when it may."""
        now = self._clock.now()
        for pause in self._store.pauses():
            if pause.part == part and now < pause.until <= now + _LONGEST_PAUSE:
                return f"{part} rests until {pause.until:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"
        left = self._backoff_until.get(part, 0.0) - self._clock.monotonic()
        return f"{part} rests for {left:.0f} s after a failure" if left > 0 else ""

    def failed(self, part: str, error: NetworkError) -> None:
        """Let a part rest: until the service's own time where it gave one, else longer with every failure in a row."""
        if error.retry_at is not None:
            self._store.set_pause(part, Pause(part=part, until=error.retry_at, reason=str(error)))
            return
        failures = self._failures.get(part, 0)
        self._failures[part] = failures + 1
        # A person has to act: asking every half minute is no use.
        doublings = min(failures + (4 if isinstance(error, CredentialsError) else 0), 10)
        pause = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2.0**doublings)
        self._backoff_until[part] = self._clock.monotonic() + pause * (0.5 + 0.5 * self._spread())

    def succeeded(self, part: str) -> None:
        """Forget a part's failures."""
        self._failures.pop(part, None)
        self._backoff_until.pop(part, None)
        if any(pause.part == part for pause in self._store.pauses()):
            self._store.set_pause(part, None)

    def next_wait(self, interval_s: float, *, idle: bool) -> float:
        """Seconds to the next pass: the interval, a tenth more or less, and longer while nothing comes."""
        self._idle_passes = self._idle_passes + 1 if idle else 0
        slower = min(_MOST_IDLE, 1.2 ** max(0, self._idle_passes - 3))
        return interval_s * slower * (0.9 + 0.2 * self._spread())


class SettleTimer:
    """Waits until a write in doubt has either been applied or never will be: a slow server may apply it late.

    Args:
        clock: tells the time.
        settle_s: how long a service may take to apply a write that it gave no answer to.
    """

    def __init__(self, clock: Clock, settle_s: float) -> None:
        self._clock = clock
        self._settle_s = settle_s
        self._since: dict[str, float] = {}

    def begin(self, key: str) -> None:
        """Note that a write begins."""
        self._since[key] = self._clock.monotonic()

    def is_settled(self, key: str, began_at: str | None) -> bool:
        """Whether enough time went by; `began_at` is what the database says, for a write of an earlier process."""
        if key not in self._since and began_at is not None:
            elapsed = (self._clock.now() - datetime.fromisoformat(began_at)).total_seconds()
            if elapsed < 0:
                # The clock was set back, so the time of day says nothing: count from here.
                self.begin(key)
            return elapsed >= self._settle_s
        return key not in self._since or self._clock.monotonic() - self._since[key] >= self._settle_s
