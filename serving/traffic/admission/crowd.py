"""Impatient crowd: many clients that give up sooner than they can be answered.

A request whose client leaves while a worker decodes it is wasted work. When more than a few are, those that are likely
to be wasted as well are *doubtful*: those with as little time as the wasted ones had, and, where clients leave without
a deadline, those that have not yet outlasted the wasted ones. Doubtful requests share a window, which grows slowly with
each that is answered in time and halves with each that is wasted, as the window of a network connection does. All
others are sent as always: a client that has waited longer than the crowd waits is known to be patient, and so is a
connection that got an answer and whose requests have not been given up for a while.

All times are seconds of the monotonic clock and are handed in, so nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, TypeVar

from serving.traffic.admission.ticket import Ticket

_Request = TypeVar("_Request", bound=Ticket)

_TOLERATED: Final = 0.05
"""Share of wasted answers from which there is a crowd."""
_SMOOTHING: Final = 1 / 64
_MEMORY_S: Final = 10.0
_KEPT: Final = 32
_MAX_CLIENTS: Final = 1024
"""Connections of each kind that are remembered."""
_MARGIN: Final = 1.25
"""Factor by which a request must differ from those that were wasted."""
_NEAR_DEADLINE: Final = 0.9
"""Share of the granted time from which a client that leaves is taken to leave because of its deadline."""
_FIRST_WINDOW: Final = 4.0
_LAST_WINDOW: Final = 64.0
"""Window at which the crowd is over."""
_SMALLEST_WINDOW: Final = 1 / 32
_ROUND_S: Final = 0.05
"""Time within which the window is halved once: requests that were sent together are wasted together."""
_STEP: Final = 0.03
"""Growth of a window above 1 by a round of requests that are answered."""
_FACTOR: Final = 1.07
"""Growth of a window below 1 by each request that is answered. It takes ten to make up for one that is wasted."""
_QUIET_S: Final = 5.0
"""Time without waste after which the window opens quickly."""
_PROBE_S: Final = 0.05
"""Pause between doubtful requests at a window of 1; at a smaller one it is as much longer."""


class Crowd:
    """Doubtful requests of one lane."""

    def __init__(self) -> None:
        self.is_there = False
        self._share = 0.0
        self._window = _FIRST_WINDOW
        self._num_sent = 0
        self._last_waste = float("-inf")
        self._halved = float("-inf")
        self._next_probe = float("-inf")
        self._granted = _Wasted()
        self._waited = _Wasted()
        self._clients = _Clients()

    def first_trusted(self, tickets: Iterable[_Request], now: float) -> _Request | None:
        """Return the first request that is not doubtful, None if all are."""
        granted_s, arrived = self._granted.limit_s(now), now - self._waited.limit_s(now)
        for ticket in tickets:
            if ticket.arrived <= arrived and ticket.deadline - ticket.arrived > granted_s:
                return ticket
            if self._clients.are_patient(ticket.client):
                return ticket
        return None

    def allows_one(self, now: float) -> bool:
        """Return whether the window has room for one more doubtful request."""
        if self._window >= 1:
            return self._num_sent < int(self._window)
        return self._num_sent == 0 and now >= self._next_probe

    def next_change(self, oldest: Ticket, now: float) -> float:
        """Return the moment from which more may be allowed, while every request that waits is doubtful."""
        patient = oldest.arrived + self._waited.limit_s(now)
        moments = [each for each in (patient, self._next_probe) if each > now]
        return min(moments, default=now + _QUIET_S)

    def sent(self, ticket: Ticket, now: float) -> None:
        """Note that a request is sent; while there is a crowd, doubtful ones take a place in the window."""
        ticket.doubtful = self.is_there and self.first_trusted((ticket,), now) is None
        if ticket.doubtful:
            self._num_sent += 1
            if self._window < 1:
                self._next_probe = now + _PROBE_S / self._window

    def ended(self, ticket: Ticket, *, served: bool, now: float) -> None:
        """Note that a request that was sent is over; `served` if its client got the answer."""
        if ticket.doubtful:
            self._num_sent -= 1
        if not served:
            return
        self._share -= self._share * _SMOOTHING
        self._clients.answered(ticket.client, now)
        if ticket.doubtful:
            self._grow(now)

    def left(self, ticket: Ticket, now: float) -> None:
        """Note that a client left while its request waited."""
        self._clients.left(ticket.client, now)

    def wasted(self, ticket: Ticket, now: float) -> None:
        """Note that a client left while its request was with a worker."""
        self._clients.left(ticket.client, now)
        waited_s = now - ticket.arrived
        if waited_s >= _NEAR_DEADLINE * ticket.granted_s:
            self._granted.note(ticket.granted_s, now)
        else:
            self._waited.note(waited_s, now)
        self._last_waste = now
        self._share += (1 - self._share) * _SMOOTHING
        if not self.is_there:
            if self._share > _TOLERATED:
                self.is_there, self._window, self._halved = True, _FIRST_WINDOW, now
        elif now - self._halved > _ROUND_S:
            self._window, self._halved = max(_SMALLEST_WINDOW, self._window / 2), now

    def _grow(self, now: float) -> None:
        if now - self._last_waste > _QUIET_S:
            self._window += min(1.0, self._window)
        elif self._window < 1:
            self._window *= _FACTOR
        else:
            self._window += _STEP / self._window
        if self._window >= _LAST_WINDOW:
            self.is_there = False


class _Wasted:
    """Times of requests that were wasted, and the limit below which others are doubtful."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._until = float("-inf")
        self._limit_s = 0.0

    def note(self, seconds: float, now: float) -> None:
        if now >= self._until:
            self._times.clear()
        self._times.append(seconds)
        self._until = now + _MEMORY_S
        # Not the longest: a single client that leaves late would make all others doubtful for as long.
        self._limit_s = _MARGIN * sorted(self._times)[(3 * len(self._times)) // 4]

    def limit_s(self, now: float) -> float:
        return self._limit_s if now < self._until else 0.0


class _Clients:
    """Connections that are known to be patient, and those whose requests were given up."""

    def __init__(self) -> None:
        self._patient: dict[str, None] = {}
        self._left: dict[str, float] = {}

    def are_patient(self, client: str) -> bool:
        return client in self._patient

    def answered(self, client: str, now: float) -> None:
        if not client or client in self._patient or now < self._left.get(client, float("-inf")) + _MEMORY_S:
            return
        self._left.pop(client, None)
        if len(self._patient) >= _MAX_CLIENTS:
            del self._patient[next(iter(self._patient))]
        self._patient[client] = None

    def left(self, client: str, now: float) -> None:
        self._patient.pop(client, None)
        self._left.pop(client, None)
        if len(self._left) >= _MAX_CLIENTS:
            del self._left[next(iter(self._left))]
        self._left[client] = now
