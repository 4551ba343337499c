"""Admission of one version's requests to the worker host.

The host acts neither on deadlines nor on cancellations: what it has been sent is decoded. So a request waits here
while it can still be given up, and what the host holds counts as held until it has really answered, whether or not
the client is still there.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

import grpc

from handlers.contract import CommentaryResponse
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.lanes import AdmissionLimits, Lanes
from serving.traffic.admission.measures import ServiceTimes
from serving.traffic.admission.ticket import Ticket
from serving.traffic.admission.work import Work
from serving.workers.faults import Failure, InferenceError

Send = Callable[[float, Callable[[], None]], Awaitable[CommentaryResponse]]
"""Function that asks the host. Its arguments are the latest moment at which the decode may start, in seconds of the
monotonic clock, and a function that it calls when the host gets the request: until then it may still be dropped."""

_NO_WORKER_PAUSE_S: Final = 0.1
"""Pause before a request is asked again that found no worker; one whose worker died is asked again at once."""
_GRACE_S: Final = 0.1
"""Time after a deadline in which gRPC ends the call by itself. An answer to a call that is over is an error of gRPC."""
_LOST: Final = (Failure.WORKER_DIED, Failure.NO_WORKER)


@dataclass(slots=True, kw_only=True, eq=False)
class _Call(Ticket):
    """A ticket with its client and its request."""

    send: Send
    counts: AdmissionCounts
    on_end: Callable[[], None]
    answer: asyncio.Future[CommentaryResponse]


class Admission:
    """Admission of requests to the workers of one version.

    Args:
        limits: the version's workers.
    """

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits: Final = limits
        self._lanes = Lanes[_Call](limits)
        self._times = ServiceTimes()
        self._in_flight = 0
        self._kept = 0
        """Requests in parts, of which another part may follow."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._wake: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        """Requests that wait or that the worker host holds, those of clients that have left included."""
        return self._in_flight

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Let nobody think that the version is idle during the block, between two parts of a request."""
        self._kept += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._kept -= 1
            self._note_idle()

    async def wait_idle(self) -> None:
        """Wait until no request waits and the worker host holds none."""
        await self._idle.wait()

    async def ask(
        self,
        work: Work,
        send: Send,
        *,
        heavy: bool,
        deadline: float,
        counts: AdmissionCounts,
        client: str = "",
        on_end: Callable[[], None] = lambda: None,
    ) -> CommentaryResponse:
        """Ask the worker host when it is the request's turn, and return the answer.

        A client that leaves (the coroutine is cancelled) frees its place in the queue at once. A request that was sent
        runs to its end in a task of its own.

        Args:
            work: work of the request.
            send: asks the worker host.
            heavy: whether the request has more sequences than a worker decodes at a time.
            deadline: moment, in seconds of the monotonic clock, after which the answer is of no use.
            counts: counts to add to.
            client: address of the client's connection; empty if it is not known.
            on_end: called once, when the request holds nothing any more.

        Raises:
            InferenceError: DEADLINE_EXCEEDED, or the failure that `send` raises.
        """
        now = time.monotonic()
        loop = asyncio.get_running_loop()
        call = _Call(
            work=work,
            heavy=heavy,
            arrived=now,
            deadline=deadline,
            client=client,
            send=send,
            counts=counts,
            on_end=on_end,
            answer=loop.create_future(),
        )
        self._in_flight += 1
        self._idle.clear()
        if self._can_be_met(call, now):
            self._lanes.add(call)
            self._send_next(now)
        timer = loop.call_later(deadline - now + _GRACE_S, self._expire, call)
        try:
            return await call.answer
        except asyncio.CancelledError:
            self._leave(call)
            raise
        finally:
            timer.cancel()

    def _can_be_met(self, call: _Call, now: float) -> bool:
        """Return whether a deadline can be met; if not, the request is answered and over."""
        remaining_s, needed_s = call.deadline - now, self._times.low_s(call.work.size, now)
        if remaining_s >= needed_s or call.is_probe:
            return True
        if self._times.may_probe(call.work.size, remaining_s, now):
            call.is_probe = True
            return True
        call.counts.refused_late += 1
        message = (
            f"a request for {call.work.sequences} sequences takes {needed_s:.2g} s now, and its deadline is in "
            f"{max(0, remaining_s):.2g} s; allow more time"
        )
        call.answer.set_exception(InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, message))
        self._end(call)
        return False

    def _send_next(self, now: float) -> None:
        """Send requests for as long as the worker host may get more."""
        while (ticket := self._lanes.take(now)) is not None:
            if ticket.answer.done():
                # Its client has left in this turn of the loop, and `_leave` has not run yet.
                ticket.gone = True
                ticket.counts.left_waiting += 1
                self._lanes.release(ticket, decoded=False, now=now)
                self._end(ticket)
            elif self._can_be_met(ticket, now):
                task = asyncio.get_running_loop().create_task(self._run(ticket))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                self._lanes.release(ticket, decoded=False, now=now)
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if (wake_at := self._lanes.wake_at) != float("inf"):
            self._wake = asyncio.get_running_loop().call_later(max(0.0, wake_at - now), self._on_wake)

    def _on_wake(self) -> None:
        self._wake = None
        self._send_next(time.monotonic())

    async def _run(self, call: _Call) -> None:
        """Ask the worker host, and hold the request's place until it has answered."""
        answer: CommentaryResponse | None = None
        fault: InferenceError | None = None
        try:
            answer = await self._asked(call)
        except InferenceError as reason:
            fault = reason
        except asyncio.CancelledError:  # the connection to the worker host was closed
            fault = InferenceError(
                grpc.StatusCode.UNAVAILABLE,
                "the worker host is being stopped; retry later",
                failure=Failure.UNREACHABLE,
            )
        except Exception as reason:  # noqa: BLE001 - the client gets it, as from any other coroutine
            self._give(call, None, reason)
        self._give(call, answer, fault)
        self._note(call, answer, fault)

    async def _asked(self, call: _Call) -> CommentaryResponse:
        """Ask the worker host, once more if a worker was lost: a sample has no side effects."""
        if call.gone:
            raise InferenceError(grpc.StatusCode.CANCELLED, "the client has left", failure=Failure.TOO_LATE)
        start_by = call.deadline
        if not call.is_probe:
            start_by -= self._times.low_s(call.work.size, call.sent)

        def started() -> None:
            call.started = time.monotonic()

        try:
            return await call.send(start_by, started)
        except InferenceError as fault:
            if fault.failure not in _LOST or call.gone:
                raise
            call.counts.asked_again += 1
            if fault.failure is Failure.NO_WORKER:
                await asyncio.sleep(_NO_WORKER_PAUSE_S)
            return await call.send(start_by, started)

    def _note(self, call: _Call, answer: CommentaryResponse | None, fault: InferenceError | None) -> None:
        """Count an answer of the worker host, free its place, and use it."""
        now = time.monotonic()
        counts = call.counts
        if answer is not None:
            counts.sequences += call.work.sequences
            counts.sequences_wasted += call.work.sequences if call.gone else 0
            self._times.note(call.work.size, now - (call.started or call.sent), now)
        elif fault is not None and not call.gone:
            counts.dropped_late += fault.failure is Failure.TOO_LATE
            counts.refused_queue += fault.failure is Failure.QUEUE_TOO_LONG
        self._lanes.release(call, decoded=answer is not None, now=now)
        self._end(call)
        self._send_next(now)

    @staticmethod
    def _give(call: _Call, answer: CommentaryResponse | None, fault: BaseException | None) -> None:
        if call.answer.done():
            return
        if answer is not None:
            call.answer.set_result(answer)
        elif fault is not None:
            call.answer.set_exception(fault)

    def _expire(self, call: _Call) -> None:
        """End a client's wait at its deadline."""
        if call.answer.done():
            return
        if call.started:
            reason = "the answer did not come within the deadline"
        else:
            reason = "the deadline passed while the request waited in the queue"
        call.answer.set_exception(InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, reason))
        self._withdraw(call)

    def _leave(self, call: _Call) -> None:
        """Note that the client has left."""
        if call.gone or (call.answer.done() and not call.answer.cancelled()):
            return
        self._withdraw(call)

    def _withdraw(self, call: _Call) -> None:
        now = time.monotonic()
        if call.started:
            call.counts.left_decoding += 1
            self._lanes.leave(call, now)
            return
        if now >= call.deadline:
            call.counts.expired_waiting += 1
        else:
            call.counts.left_waiting += 1
        call.gone = True
        if not call.sent:  # one that waits for a batch is dropped by the batcher, which asks whether it is wanted
            self._lanes.remove(call, now)
            self._end(call)
            if call.heavy:  # light ones may have waited for its turn
                self._send_next(now)

    def _note_idle(self) -> None:
        if self._in_flight == 0 and self._kept == 0:
            self._idle.set()

    def _end(self, call: _Call) -> None:
        self._in_flight -= 1
        self._note_idle()
        call.on_end()
