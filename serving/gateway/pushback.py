"""Pushback: the pause that a client is asked for when the gateway is at its limit."""

from __future__ import annotations

import math
import random
from typing import Final

SHORTEST_S: Final = 0.05
LONGEST_S: Final = 5.0
_REFUSED_PER_ANSWER: Final = 1 / 8
"""Refusals that the pauses aim at for each answer, so that refusing takes little of the gateway's time. Fewer would
leave places empty for longer when a crowd has gone."""
_MEMORY_S: Final = 2.0
_SPREAD: Final = 0.5


class Pushback:
    """Pauses for refused clients, which grow with the crowd.

    The crowd is the number of clients that pause now: as each pause that was asked for fills its own time, it is their
    sum over the time in which they were asked for. Pauses are such that an eighth of the gateway's recent rate of
    answers comes back in each second, and at least an eighth of its concurrency limit. A client's pause is drawn from
    0.5 to 1.5 times that, so that those who were refused together do not come back together.

    Times are seconds of one clock and are handed in.

    Args:
        max_in_flight: concurrency limit of the gateway.
    """

    def __init__(self, *, max_in_flight: int) -> None:
        self._least_answers = max_in_flight * _MEMORY_S
        self._paused_s = 0.0
        self._answers = 0.0
        self._now = -math.inf

    def note_answer(self, now: float) -> None:
        """Count an answered request."""
        self._fade(now)
        self._answers += 1

    def draw_s(self, now: float) -> float:
        """Draw the pause for a client that is refused now, in seconds from 0.05 to 5."""
        self._fade(now)
        returning = _REFUSED_PER_ANSWER * max(self._answers, self._least_answers)
        mean_s = max(SHORTEST_S, self._paused_s / returning)
        pause_s = min(LONGEST_S, max(SHORTEST_S, mean_s * random.uniform(1 - _SPREAD, 1 + _SPREAD)))
        self._paused_s += pause_s
        return pause_s

    def _fade(self, now: float) -> None:
        """Let what happened before count less: both sums are of about the last two seconds."""
        kept = math.exp((self._now - now) / _MEMORY_S)
        self._paused_s *= kept
        self._answers *= kept
        self._now = now
