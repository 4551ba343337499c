"""Path of a request for samples through the gateway: check, version, admission, answer."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import grpc

from foundation.processors import num_processors
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, ModelIdentity, Timings
from serving import wire
from serving.gateway.interleaved import Interleaver
from serving.gateway.parts import Place, SendPart, answer_in_parts, send_in_time
from serving.gateway.records import Dealt, Records
from serving.gateway.traces import CallTrace, Traces, following
from serving.telemetry.course import Course
from serving.torchserve.faults import InferenceError
from serving.torchserve.inference import Inference
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.work import work_of
from serving.traffic.drift_book import DriftBook
from serving.traffic.experiment import ExperimentArms
from serving.traffic.exposures import Recorder
from serving.traffic.figures import FigureBook
from serving.traffic.policy import Assignment, TrafficPolicy
from serving.traffic.pressure import Pressure
from serving.traffic.route import Route
from serving.traffic.routes import NotReadyError, RoutingTable, UnknownRouteError
from serving.traffic.shadow import Mirror, ShadowSettings, seeded, with_seed
from serving.v1 import commentary_pb2

_TIMEOUT_MARGIN_S: Final = 10.0
"""Time beyond the worker's responseTimeout after which a call to TorchServe is given up: a request may wait for a batch
before its own. Without a limit, a call that TorchServe forgets would be held for ever."""


class Calls:
    """Requests for samples, from their message to their answer.

    Args:
        table: live versions.
        inference: returns the connection to TorchServe, or None while TorchServe is down.
        max_in_flight: requests that may wait or be with TorchServe at once.
        recorder: gets the exposure of each answer.
        figures: gets the durations, errors and shadows of each version.
        shadow: limits of shadow traffic.
        drift: compares requests and answers with the versions' references.
        traces: opens the trace of each request.
    """

    def __init__(
        self,
        *,
        table: RoutingTable,
        inference: Callable[[], Inference | None],
        max_in_flight: int,
        recorder: Recorder,
        figures: FigureBook,
        shadow: ShadowSettings,
        drift: DriftBook,
        traces: Traces,
    ) -> None:
        self._table = table
        self._traces = traces
        self._inference = inference
        self._max_in_flight = max_in_flight
        self.pressure: Final = Pressure(table, num_cores=num_processors())
        self.mirror: Final = Mirror(
            shadow,
            table=table,
            ask=self._ask_shadow,
            pressure=self.pressure,
            recorder=recorder,
            figures=figures,
        )
        self._records = Records(
            recorder=recorder, figures=figures, pressure=self.pressure, mirror=self.mirror, drift=drift
        )
        self.interleaver: Final = Interleaver(table=table, records=self._records)
        self._shadow_counts = AdmissionCounts()
        self.in_flight = 0
        """Requests that wait or that TorchServe holds, those of clients that have left included."""
        self.counts: Final = AdmissionCounts()

    async def answer(
        self,
        message: commentary_pb2.GenerateRequest,
        deadline_s: float,
        *,
        client: str = "",
        metadata: Iterable[tuple[str, str | bytes]] = (),
        send: SendPart | None = None,
    ) -> commentary_pb2.GenerateResponse:
        """Return the answer of a version to a request, whose exposure is written by then.

        Args:
            message: the request.
            deadline_s: time for the answer, in seconds.
            client: address of the client's connection; empty if it is not known.
            metadata: metadata of the call, which may have the context of a trace.
            send: sends samples to the client as they are ready; None to have them in the answer alone.

        Raises:
            InferenceError: the request fails; it holds the status that the client gets.
        """
        with self._traces.begin(message, metadata, model=message.model or self._table.models[0]) as trace:
            trace.response = response = await self._answer(message, deadline_s, client=client, trace=trace, send=send)
        response.trace_id = trace.trace_id
        return response

    async def _answer(
        self,
        message: commentary_pb2.GenerateRequest,
        deadline_s: float,
        *,
        client: str,
        trace: CallTrace,
        send: SendPart | None,
    ) -> commentary_pb2.GenerateResponse:
        started = time.perf_counter()
        trace.request = request = _checked(message)
        policy = self._table.policy(message.model or self._table.models[0])
        if message.interleave and not message.version and policy is not None and policy.interleaved is not None:
            return await self._interleave(
                request, policy, policy.interleaved, deadline_s, client=client, trace=trace, send=send
            )
        self._check_room()
        inference = self._connection()
        route, assignment = self._resolve(message)
        self.pressure.note()
        request = with_seed(request, policy) if send is None else seeded(request)
        dealt = trace.deal(
            Dealt(request=request, route=route, assignment=assignment, policy=policy, trace_id=trace.trace_id)
        )
        try:
            if send is None:
                course = trace.begin_course(route.info)
                response = await self._ask(route, inference, request, deadline_s, client=client, course=course)
            else:
                response = await self._stream(dealt, inference, deadline_s, client=client, trace=trace, send=send)
        except InferenceError as fault:
            self._records.failed(dealt, fault, time.perf_counter() - started)
            raise
        except asyncio.CancelledError:
            self._records.ended(dealt, deadline_s, time.perf_counter() - started)
            raise
        response = _signed(response, route, time.perf_counter() - started)
        key = self._records.answered(dealt, response)
        experiment = policy.experiment_of(assignment) if policy is not None else ""
        return wire.response_to_message(response, exposure_id=key, experiment=experiment)

    async def _interleave(
        self,
        request: CommentaryRequest,
        policy: TrafficPolicy,
        experiment: ExperimentArms,
        deadline_s: float,
        *,
        client: str,
        trace: CallTrace,
        send: SendPart | None,
    ) -> commentary_pb2.GenerateResponse:
        """Return the answer of all arms of an experiment; nothing is sent before all have answered and are mixed."""
        ends = time.monotonic() + deadline_s
        self._check_room(len(experiment.versions))
        inference = self._connection()
        self.pressure.note()

        async def ask(route: Route, asked: CommentaryRequest, timeout_s: float) -> CommentaryResponse:
            started = time.perf_counter()
            course = trace.begin_course(route.info)
            response = await self._ask(route, inference, asked, timeout_s, client=client, course=course)
            return _signed(response, route, time.perf_counter() - started)

        answer = await self.interleaver.answer(request, policy, experiment, ask, deadline_s, trace=trace)
        response = wire.interleaved_to_message(answer)
        if send is not None:
            await send_in_time(response, send, ends - time.monotonic())
        return response

    async def _stream(
        self,
        dealt: Dealt,
        inference: Inference,
        deadline_s: float,
        *,
        client: str,
        trace: CallTrace,
        send: SendPart,
    ) -> CommentaryResponse:
        """Send the samples of a request as they are ready, and return the whole answer."""
        route, ends, place = dealt.route, time.monotonic() + deadline_s, Place(self._ended)

        def remaining_s() -> float:
            return ends - time.monotonic()

        async def ask(part: CommentaryRequest, earlier_seeds: Sequence[int]) -> CommentaryResponse:
            started = time.perf_counter()
            response = await self._ask(
                route,
                inference,
                part,
                remaining_s(),
                client=client,
                course=trace.begin_course(route.info),
                earlier_seeds=earlier_seeds,
                place=place,
            )
            return _signed(response, route, time.perf_counter() - started)

        self.in_flight += 1
        place.join()
        try:
            with route.admission.kept():
                return await answer_in_parts(
                    dealt.request, ask, send, split=route.answers_parts, remaining_s=remaining_s
                )
        finally:
            place.leave()

    async def _ask_shadow(self, route: Route, request: CommentaryRequest, timeout_s: float) -> CommentaryResponse:
        started = time.perf_counter()
        response = await self._ask(route, self._connection(), request, timeout_s, is_shadow=True)
        return _signed(response, route, time.perf_counter() - started)

    def _check_room(self, calls: int = 1) -> None:
        if self.in_flight + min(calls, self._max_in_flight) > self._max_in_flight:
            self.counts.refused_full += 1
            raise InferenceError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the gateway is at its limit of {self._max_in_flight} concurrent requests; retry later",
            )

    def _connection(self) -> Inference:
        inference = self._inference()
        if inference is None:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, "TorchServe is being restarted; retry later")
        return inference

    def _resolve(self, message: commentary_pb2.GenerateRequest) -> tuple[Route, Assignment]:
        try:
            return self._table.assign(
                message.model or self._table.models[0], message.version or None, message.unit or None
            )
        except UnknownRouteError as fault:
            raise InferenceError(grpc.StatusCode.NOT_FOUND, str(fault)) from fault
        except NotReadyError as fault:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, str(fault)) from fault

    async def _ask(
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


def _checked(message: commentary_pb2.GenerateRequest) -> CommentaryRequest:
    try:
        return wire.request_from_message(message)
    except ContractError as fault:
        raise InferenceError(grpc.StatusCode.INVALID_ARGUMENT, str(fault), field=fault.field) from fault


def _signed(response: CommentaryResponse, route: Route, elapsed_s: float) -> CommentaryResponse:
    """Add the version that answered and the time outside of its worker."""
    decode_ms = response.timings.decode_ms
    return dataclasses.replace(
        response,
        model=ModelIdentity(name=route.info.model, version=route.info.version, archive_sha256=route.info.sha256),
        timings=Timings(queue_ms=max(0.0, 1000 * elapsed_s - decode_ms), decode_ms=decode_ms),
        batch=None,
    )
