"""Forecast of the moment at which a worker is free, from the time that recent batches took.

Every batch that is in the way is taken to be as quick as the quickest of its size in the last seconds, and to begin the
moment a worker may be free. Heavy requests that wait take the mean of their size instead: their queue is long in
seconds, and with the quickest most of those that a burst brought were accepted and came too late. This is a hopeful
forecast, not a bound: a worker may become quicker than it was lately, requests may leave before their turn more often
than others did, and the batches may be cut otherwise.

All times are seconds of the monotonic clock and are handed in, so nothing here reads a clock.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

MEMORY_S: Final = 10.0
"""Age at which the time of a batch says nothing any more about the next ones."""
_FEW: Final = 3
"""Batches without which a size says nothing."""
_KEPT: Final = 32


@dataclass(slots=True)
class _Recent:
    """Recent batches of one size class, in which sizes differ by less than a factor of two."""

    batches: deque[tuple[float, int, float]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    """Moment of the answer, tokens, and seconds of each."""
    shortest_s: float = 0.0
    shortest_s_per_token: float = 0.0
    mean_s: float = 0.0
    mean_s_per_token: float = 0.0

    def note(self, tokens: int, seconds: float, now: float) -> None:
        self.batches.append((now, tokens, seconds))
        while self.batches[0][0] < now - MEMORY_S:
            self.batches.popleft()
        self.shortest_s = min(took for _, _, took in self.batches)
        self.shortest_s_per_token = min(took / size for _, size, took in self.batches)
        total_s = sum(took for _, _, took in self.batches)
        self.mean_s = total_s / len(self.batches)
        self.mean_s_per_token = total_s / sum(size for _, size, _ in self.batches)

    def is_known(self, now: float) -> bool:
        return len(self.batches) >= _FEW and now - self.batches[-1][0] < MEMORY_S


class RecentBatches:
    """Least time and mean time that a batch takes, by its expected tokens.

    A larger batch takes no less time than a smaller one, and no more time for each token. So a measured batch of s
    seconds and t tokens lets expect that one of T tokens takes at least s min(1, T / t).
    """

    def __init__(self) -> None:
        self._recent: dict[int, _Recent] = {}

    def note(self, tokens: int, seconds: float, now: float) -> None:
        """Remember how long a worker took for a batch.

        Args:
            tokens: expected tokens of the requests that it decoded.
            seconds: time from the moment at which a worker was free for it.
            now: the moment of its answer.
        """
        tokens = max(1, tokens)
        self._recent.setdefault(tokens.bit_length(), _Recent()).note(tokens, seconds, now)

    def least_s(self, tokens: int, now: float) -> float:
        """Return the least time of a batch of so many expected tokens; 0 while nothing is known.

        >>> batches = RecentBatches()
        >>> for seconds in (0.5, 0.4, 0.6):
        ...     batches.note(1000, seconds, now=1.0)
        >>> batches.least_s(1000, now=1.0), batches.least_s(500, now=1.0), batches.least_s(4000, now=1.0)
        (0.4, 0.2, 0.4)
        >>> batches.least_s(1000, now=20.0)
        0.0
        """
        recent = self._nearest(tokens, now)
        return 0.0 if recent is None else min(recent.shortest_s, tokens * recent.shortest_s_per_token)

    def mean_s(self, tokens: int, now: float) -> float:
        """Return the mean time of a batch of so many expected tokens; 0 while nothing is known.

        >>> batches = RecentBatches()
        >>> for seconds in (0.5, 0.4, 0.6):
        ...     batches.note(1000, seconds, now=1.0)
        >>> round(batches.mean_s(1000, now=1.0), 3), round(batches.mean_s(500, now=1.0), 3)
        (0.5, 0.25)
        """
        recent = self._nearest(tokens, now)
        return 0.0 if recent is None else min(recent.mean_s, tokens * recent.mean_s_per_token)

    def _nearest(self, tokens: int, now: float) -> _Recent | None:
        """Return the times of its own size if they are known, else of the next smaller one, else of the next larger."""
        known = [each for each in self._recent if self._recent[each].is_known(now)]
        if not known:
            return None
        size = tokens.bit_length()
        return self._recent[max((each for each in known if each <= size), default=min(known))]


def earliest_start(ends: Iterable[float], ahead: Iterable[float], now: float) -> float:
    """Return the moment at which a worker may begin a batch at the earliest.

    Args:
        ends: earliest end of the batch that each worker has; any past moment for a worker that has none.
        ahead: least time of each batch that goes first, in their order.
        now: the present moment.

    >>> earliest_start([3.0, 0.0], [], now=1.0)
    1.0
    >>> earliest_start([3.0, 2.0], [0.5, 4.0], now=1.0)
    3.0
    """
    free = [max(now, end) for end in ends]
    heapq.heapify(free)
    for seconds in ahead:
        heapq.heapreplace(free, free[0] + seconds)
    return free[0]
