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
from serving.gateway.asking import Asking
from serving.gateway.interleaved import Interleaver
from serving.gateway.parts import SendPart, answer_in_parts, send_in_time
from serving.gateway.records import Dealt, Records
from serving.gateway.traces import CallTrace, Traces
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
from serving.workers.faults import InferenceError
from serving.workers.inference import Inference


class Calls:
    """Requests for samples, from their message to their answer.

    Args:
        table: live versions.
        inference: returns the connection to the worker host, or None while the host is down.
        max_in_flight: requests that may wait or be with the worker host at once.
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
        self.asking: Final = Asking(inference=inference, max_in_flight=max_in_flight)
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
        self.counts: Final = self.asking.counts
        """Counts of requests that were not simply answered."""

    @property
    def in_flight(self) -> int:
        """Requests that wait or that the worker host holds, those of clients that have left included."""
        return self.asking.in_flight

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
        self.asking.check_room()
        inference = self.asking.connection()
        route, assignment = self._resolve(message)
        self.pressure.note()
        request = with_seed(request, policy) if send is None else seeded(request)
        dealt = trace.deal(
            Dealt(request=request, route=route, assignment=assignment, policy=policy, trace_id=trace.trace_id)
        )
        try:
            if send is None:
                course = trace.begin_course(route.info)
                response = await self.asking.ask(route, inference, request, deadline_s, client=client, course=course)
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
        self.asking.check_room(len(experiment.versions))
        inference = self.asking.connection()
        self.pressure.note()

        async def ask(route: Route, asked: CommentaryRequest, timeout_s: float) -> CommentaryResponse:
            started = time.perf_counter()
            course = trace.begin_course(route.info)
            response = await self.asking.ask(route, inference, asked, timeout_s, client=client, course=course)
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
        route, ends, place = dealt.route, time.monotonic() + deadline_s, self.asking.place()

        def remaining_s() -> float:
            return ends - time.monotonic()

        async def ask(part: CommentaryRequest, earlier_seeds: Sequence[int]) -> CommentaryResponse:
            started = time.perf_counter()
            response = await self.asking.ask(
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
        response = await self.asking.ask(route, self.asking.connection(), request, timeout_s, is_shadow=True)
        return _signed(response, route, time.perf_counter() - started)

    def _resolve(self, message: commentary_pb2.GenerateRequest) -> tuple[Route, Assignment]:
        try:
            return self._table.assign(
                message.model or self._table.models[0], message.version or None, message.unit or None
            )
        except UnknownRouteError as fault:
            raise InferenceError(grpc.StatusCode.NOT_FOUND, str(fault)) from fault
        except NotReadyError as fault:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, str(fault)) from fault


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
