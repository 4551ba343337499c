"""Measures of recent answers: the time that a request of some size takes, and the rate at which workers decode.

All times are seconds of the monotonic clock and are handed in, so nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

MEMORY_S: Final = 5.0
"""Age at which a service time says nothing any more about the time that a request takes now."""
START_TOKENS_PER_S: Final = 1_000.0
"""Rate of one worker before any is measured, and the lowest that is believed."""
_LONGEST_MEMORY_S: Final = 60.0
"""The same where fewer than `_FEW` are younger than that."""
_LONGEST_PAUSE_S: Final = 10.0
_FEW: Final = 3
_LOW_QUANTILE: Final = 0.1
_KEPT: Final = 32
_REFRESH_S: Final = 0.02
_WINDOW_S: Final = 0.25


@dataclass(slots=True)
class _Recent:
    """Recent service times of one size class."""

    newest: float
    times: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    low_s: float = 0.0
    computed: float = float("-inf")

    def younger_than(self, seconds: float, now: float) -> list[float]:
        """Return the times that were noted within some seconds, the shortest first."""
        return sorted(each for noted, each in self.times if now - noted < seconds)


class ServiceTimes:
    """Times from sending a request to its answer, by size class.

    A low quantile is the time that even a lucky request takes. One with less time left is not worth sending. What is
    refused is not measured, so the measure is forgotten after `MEMORY_S`, and one request goes through to renew it.
    """

    def __init__(self) -> None:
        self._recent: dict[int, _Recent] = {}

    def note(self, size: int, seconds: float, now: float) -> None:
        """Remember the service time of an answer."""
        recent = self._recent.get(size)
        if recent is None:
            recent = self._recent[size] = _Recent(newest=now)
        recent.times.append((now, seconds))
        recent.newest = now

    def low_s(self, size: int, now: float) -> float:
        """Return the low quantile of a class; 0 while nothing is known."""
        recent = self._recent.get(size)
        if recent is None:
            return 0.0
        if now - recent.computed > _REFRESH_S:
            # After a hang, a single slow answer may be all that is fresh: it says little about the next.
            times = recent.younger_than(MEMORY_S, now)
            if len(times) < _FEW:
                times = recent.younger_than(_LONGEST_MEMORY_S, now)
            if times:
                recent.low_s = times[int(_LOW_QUANTILE * len(times))]
            recent.computed = now
        return recent.low_s

    def may_probe(self, size: int, remaining_s: float, now: float) -> bool:
        """Return whether a request that seems hopeless may go through, to renew a measure that is out of date.

        It is true once, and then again only when the measure is out of date again. The less time a request has left,
        the older a measure of several answers must be.
        """
        recent = self._recent.get(size)
        if recent is None or remaining_s <= 0:
            return False
        pause_s = MEMORY_S
        if len(recent.times) >= _FEW:
            pause_s = min(MEMORY_S * (recent.low_s / remaining_s) ** 2, _LONGEST_PAUSE_S)
        if now - recent.newest < pause_s:
            return False
        recent.newest = now
        return True


class DecodeRate:
    """Rate at which the workers of a version decode together while they have work.

    Args:
        workers: number of workers.
    """

    def __init__(self, workers: int) -> None:
        self._lowest = START_TOKENS_PER_S * max(1, workers)
        self.tokens_per_s = self._lowest
        self._num_held = 0
        self._since = 0.0
        self._busy_s = 0.0
        self._tokens = 0

    def begin(self, now: float) -> None:
        """Note that a request was sent."""
        if self._num_held == 0:
            self._since = now
        self._num_held += 1

    def end(self, tokens: int, now: float) -> None:
        """Note an answer; without tokens if nothing was decoded for it."""
        self._num_held -= 1
        self._tokens += tokens
        self._busy_s += now - self._since
        self._since = now
        if self._busy_s >= _WINDOW_S:
            measured = self._tokens / self._busy_s
            self.tokens_per_s = max(self._lowest, (self.tokens_per_s + measured) / 2)
            self._busy_s, self._tokens = 0.0, 0
