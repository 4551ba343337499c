"""Asking of the workers of a version, by its admission, within the concurrency limit of the gateway."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

import grpc

from handlers.contract import CommentaryRequest, CommentaryResponse
from serving.gateway.parts import Place
from serving.gateway.traces import following
from serving.telemetry.course import Course
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.work import work_of
from serving.traffic.route import Route
from serving.workers.faults import InferenceError
from serving.workers.inference import Inference

_TIMEOUT_MARGIN_S: Final = 10.0
"""Time beyond the worker's responseTimeout after which a call to the worker host is given up: a request may wait for a
batch before its own. Without a limit, a call that the host forgets would be held for ever."""


class Asking:
    """Asker of workers, which counts what is in flight.

    Args:
        inference: returns the connection to the worker host, or None while the host is down.
        max_in_flight: requests that may wait or be with the worker host at once.
    """

    def __init__(self, *, inference: Callable[[], Inference | None], max_in_flight: int) -> None:
        self._inference = inference
        self._max_in_flight = max_in_flight
        self._shadow_counts = AdmissionCounts()
        self.in_flight = 0
        """Requests that wait or that the worker host holds, those of clients that have left included."""
        self.counts: Final = AdmissionCounts()

    def check_room(self, calls: int = 1) -> None:
        """Refuse calls for which the gateway has no room.

        Raises:
            InferenceError: RESOURCE_EXHAUSTED.
        """
        if self.in_flight + min(calls, self._max_in_flight) > self._max_in_flight:
            self.counts.refused_full += 1
            raise InferenceError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the gateway is at its limit of {self._max_in_flight} concurrent requests; retry later",
            )

    def connection(self) -> Inference:
        """Return the connection to the worker host.

        Raises:
            InferenceError: UNAVAILABLE: there is none now.
        """
        inference = self._inference()
        if inference is None:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, "the worker host is being restarted; retry later")
        return inference

    def place(self) -> Place:
        """Take a place among the requests in flight, which those that join it hold together."""
        self.in_flight += 1
        return Place(self._ended)

    async def ask(
        self,
        route: Route,
        inference: Inference,
        request: CommentaryRequest,
        deadline_s: float,
        *,
        client: str = "",
        is_shadow: bool = False,
        course: Course | None = None,
        earlier_seeds: Sequence[int] = (),
        place: Place | None = None,
    ) -> CommentaryResponse:
        """Ask the version's workers when it is the request's turn, within the deadline.

        A part of a request comes with the seeds of the earlier samples, and with the place of the request.
        """
        admission = route.admission
        work = work_of(request, default_best_of=route.info.default_best_of)
        timeout_s = admission.limits.response_timeout_s + _TIMEOUT_MARGIN_S
        is_heavy = work.sequences > route.slots
        attempts, is_wanted = 0, True

        async def send(start_by: float, started: Callable[[], None]) -> CommentaryResponse:
            nonlocal attempts
            attempts += 1
            with route.outcomes.call(), following(course, started) as (attempt, sent):
                response = await route.ask(
                    request,
                    inference,
                    timeout_s=timeout_s,
                    work=work,
                    # A request that lost its worker may be the reason: it does not take others along again.
                    is_heavy=is_heavy or attempts > 1,
                    start_by=start_by,
                    is_wanted=lambda: is_wanted,
                    started=sent,
                    earlier_seeds=earlier_seeds,
                    attempt=attempt,
                )
                if attempt is not None:
                    attempt.times = response.batch
                return response

        on_end = self._begun(is_shadow=is_shadow, place=place)
        try:
            return await admission.ask(
                work,
                send,
                heavy=is_heavy and route.batcher is None,
                deadline=time.monotonic() + deadline_s,
                counts=self._shadow_counts if is_shadow else self.counts,
                client=client,
                on_end=on_end,
            )
        finally:
            is_wanted = False

    def _begun(self, *, is_shadow: bool, place: Place | None) -> Callable[[], None]:
        """Count a request in flight, and return what is to be called at its end."""
        if is_shadow:
            return _nothing
        if place is not None:
            place.join()
            return place.leave
        self.in_flight += 1
        return self._ended

    def _ended(self) -> None:
        self.in_flight -= 1


def _nothing() -> None:
    """Do nothing at the end of a copy, which is not in flight for anybody."""
