"""Lanes: the order in which waiting requests are sent to the worker host, and how many it holds.

Where the gateway forms the batches, all requests are of one lane here, without a limit: the `Batcher` has lanes of its
own. The rest is for versions whose batches the worker host forms.

A host hands whatever waits in its queue to the next free worker as one batch, and answers a batch as a whole. A
light request that gets into a batch with a heavy one waits for all of it. Therefore a heavy request is sent only while
the host holds no light one, so that a worker is free and takes it at once; then nothing is sent until that worker
has closed its batch. Heavy requests hold all workers but one at most. With a single worker, both lanes take turns.

Within a lane the oldest request is sent first, except while a crowd of clients gives up early (`crowd`).

All times are seconds of the monotonic clock and are handed in, so nothing here reads a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from serving.traffic.admission.crowd import Crowd
from serving.traffic.admission.measures import DecodeRate
from serving.traffic.admission.ticket import Ticket

_Request = TypeVar("_Request", bound=Ticket)

_HELD_S: Final = 0.5
"""Decode time of the light requests that the host holds for each worker: some batches, far below responseTimeout."""
_HELD_BESIDE_HEAVY_S: Final = 0.25
"""The same while heavy requests are there: each of them waits until the worker host has answered the light ones."""
_SLACK_S: Final = 0.004
"""Time between sending a request and its arrival in the worker host's queue, on a busy machine."""
_STALLED_S: Final = 3.0
"""Time after which a light request does not count as held any more: its worker hangs, and what it holds must not keep
the others from being served. It is held for far shorter than that otherwise."""
_HEAVY_STALLED_S: Final = 30.0
"""The same for a heavy request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionLimits:
    """Facts about a version's workers that bound what the worker host may hold of it."""

    workers: int
    batch_size: int
    """Maximum number of requests in a batch."""
    batch_delay_s: float
    """Time for which a worker waits for a batch to fill."""
    response_timeout_s: float
    """Time after which the worker host ends a worker that has not answered."""
    forms_batches: bool = False
    """Whether the gateway forms the batches. Then requests wait for a worker in the gateway (`Batcher`), which keeps
    heavy ones from light ones, and the worker host never holds more than its workers decode."""


class Lane(Generic[_Request]):
    """Requests of one kind, light or heavy.

    Args:
        workers: number of workers that may decode its requests at once.
        stalled_s: time after which a request that is held counts as stalled.
    """

    def __init__(self, workers: int, stalled_s: float) -> None:
        self._workers = workers
        self.waiting: dict[_Request, None] = {}
        self.held: dict[_Request, None] = {}
        self.held_tokens = 0
        self.crowd = Crowd()
        self._stalled_s = stalled_s
        self.wake_at = float("inf")
        self._blocked_until = float("-inf")

    def pick(self, now: float) -> _Request | None:
        """Return the request to send next, which still waits; None if none may be sent now."""
        if not self.waiting:
            return None
        oldest, newest = next(iter(self.waiting)), next(reversed(self.waiting))
        if not self.crowd.is_there:
            return oldest
        if now < self._blocked_until:  # all but new ones were looked at, and none of them may be sent yet
            self.wake_at = self._blocked_until
            return self.crowd.first_trusted((newest,), now)
        trusted = self.crowd.first_trusted(self.waiting, now)
        if trusted is not None:
            return trusted
        if self._is_idle(now) and self.crowd.allows_one(now):
            # The newest has the most time left before its client gives up.
            return newest
        self.wake_at = self._blocked_until = self.crowd.next_change(oldest, now)
        return None

    def _is_idle(self, now: float) -> bool:
        """Return whether a worker is free, or takes the requests of this moment as one batch.

        Behind a batch that is being decoded, a doubtful request would wait for too long.
        """
        return len(self.held) < self._workers or next(reversed(self.held)).sent == now

    def send(self, ticket: _Request, now: float) -> _Request:
        """Move a request from those that wait to those that the worker host holds."""
        del self.waiting[ticket]
        ticket.sent = now
        self._blocked_until = float("-inf")
        self.held[ticket] = None
        self.held_tokens += ticket.work.tokens
        self.crowd.sent(ticket, now)
        return ticket

    def release(self, ticket: _Request) -> None:
        """Forget a request that is no longer held, or counts as stalled."""
        self._blocked_until = float("-inf")
        if ticket in self.held:
            del self.held[ticket]
            self.held_tokens -= ticket.work.tokens

    def release_stalled(self, now: float) -> None:
        """Stop counting requests that are held for too long; set the moment at which the next one will be."""
        while self.held:
            oldest = next(iter(self.held))
            if now < oldest.sent + self._stalled_s:
                self.wake_at = min(self.wake_at, oldest.sent + self._stalled_s)
                return
            self.release(oldest)


class Lanes(Generic[_Request]):
    """Waiting and held requests of one version.

    Args:
        limits: its workers.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.rate = DecodeRate(limits.workers)
        self._max_heavy = max(1, limits.workers - 1)
        self._light = Lane[_Request](limits.workers, _STALLED_S)
        self._heavy = Lane[_Request](self._max_heavy, _HEAVY_STALLED_S)
        self._quiet_until = float("-inf")
        self._lights_turn = False

    @property
    def wake_at(self) -> float:
        """Moment at which `take` may return a request though none came or ended; infinite if there is none."""
        if not self._light.waiting and not self._heavy.waiting:
            return float("inf")
        return min(self._light.wake_at, self._heavy.wake_at)

    def add(self, ticket: _Request) -> None:
        """Let a request wait."""
        self._lane(ticket).waiting[ticket] = None

    def remove(self, ticket: _Request, now: float) -> None:
        """Remove a request that waits, because its client has left or its deadline has passed."""
        lane = self._lane(ticket)
        del lane.waiting[ticket]
        lane.crowd.left(ticket, now)

    def take(self, now: float) -> _Request | None:
        """Return the next request to send, which is held from now on; None if the worker host should get none now."""
        light, heavy = self._light, self._heavy
        light.wake_at = heavy.wake_at = float("inf")
        if not light.waiting and not heavy.waiting:
            return None
        if now < self._quiet_until:
            light.wake_at = self._quiet_until
            return None
        if heavy.waiting and not self._lights_turn:
            heavy.release_stalled(now)
            found = heavy.pick(now) if len(heavy.held) < self._max_heavy else None
            if found is not None:
                light.release_stalled(now)
                return None if light.held else self._send_heavy(found, now)
        return self._take_light(now)

    def release(self, ticket: _Request, *, decoded: bool, now: float) -> None:
        """Note that the worker host has answered a request, and whether it decoded it."""
        lane = self._lane(ticket)
        lane.release(ticket)
        lane.crowd.ended(ticket, served=decoded and not ticket.gone, now=now)
        self.rate.end(ticket.work.tokens if decoded else 0, now)

    def leave(self, ticket: _Request, now: float) -> None:
        """Note that the client of a request that is held has left."""
        ticket.gone = True
        self._lane(ticket).crowd.wasted(ticket, now)

    def _send_heavy(self, ticket: _Request, now: float) -> _Request:
        self._quiet_until = now + self.limits.batch_delay_s + _SLACK_S
        self._lights_turn = True
        self.rate.begin(now)
        return self._heavy.send(ticket, now)

    def _take_light(self, now: float) -> _Request | None:
        free = self.limits.workers - len(self._heavy.held)
        if free <= 0 and self.limits.workers > 0:
            self._heavy.release_stalled(now)
            return None
        found = self._light.pick(now)
        if found is not None and self._has_room(found, free):
            self.rate.begin(now)
            return self._light.send(found, now)
        if found is not None:
            self._light.release_stalled(now)
        if self._lights_turn:
            self._lights_turn = False
            return self.take(now)
        return None

    def _has_room(self, ticket: _Request, free: int) -> bool:
        """Return whether the worker host may hold one more light request."""
        lane, limits = self._light, self.limits
        if limits.forms_batches:
            return True
        # One batch that runs and one that waits keep each worker busy; requests beyond those could not be cancelled.
        if len(lane.held) >= limits.batch_size * (free + 1):
            return False
        held_s = _HELD_BESIDE_HEAVY_S if self._heavy.waiting or self._heavy.held else _HELD_S
        share = free / max(1, limits.workers)
        return not lane.held or lane.held_tokens + ticket.work.tokens <= self.rate.tokens_per_s * share * held_s

    def _lane(self, ticket: _Request) -> Lane[_Request]:
        return self._heavy if ticket.heavy else self._light
