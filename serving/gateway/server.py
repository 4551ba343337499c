"""The gRPC gateway: the typed service, standard health checks and reflection, in front of the worker host.

It validates requests, routes each to a version, sheds load above its concurrency limit, propagates deadlines, and
translates every failure to its correct status code. A request that is refused never reaches a worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NoReturn

import grpc
from grpc_health.v1 import health_pb2_grpc

from serving import wire
from serving.errors import ServingError
from serving.gateway.accepting import accepting_server, wait_ended
from serving.gateway.access_log import AccessLog, current_call
from serving.gateway.calls import Calls
from serving.gateway.commentary_service import COMMENTARY_SERVICE, CommentaryService
from serving.gateway.guard import Guard
from serving.gateway.health import Health
from serving.gateway.listening import check_address, raise_descriptor_limit, server_options
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.parts import SendPart
from serving.gateway.pushback import Pushback
from serving.gateway.reception import SHUTTING_DOWN, Reception
from serving.gateway.reflection import enable_reflection
from serving.gateway.refusals import refuse
from serving.gateway.settings import GatewaySettings
from serving.gateway.traces import Traces
from serving.oip import open_inference_pb2_grpc
from serving.oip.service import INFERENCE_SERVICE, OpenInference
from serving.security.parts import Security
from serving.telemetry.tracing import Tracing
from serving.traffic.drift_book import DriftBook
from serving.traffic.exposures import Recorder
from serving.traffic.figures import FigureBook, with_figures
from serving.traffic.routes import RoutingTable, UnknownRouteError
from serving.traffic.shadow import ShadowSettings
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.workers.faults import Failure, InferenceError
from serving.workers.inference import Inference

_log = logging.getLogger(__name__)

_FLUSH_S: Final = 1.0
"""Time in which the last answers leave when the gateway stops."""


class Gateway:
    """Server of the versions in the routing table.

    Args:
        settings: address and limits.
        table: live versions.
        inference: returns the connection to the worker host, or None while the host is down.
        recorder: gets the exposure of each answer; None keeps none.
        shadow: limits of shadow traffic.
        tracing: makes the spans of requests; None where none are sent.
        drift: watch over the versions' traffic.
        access_log: gets a line for each call; None keeps none.
        host_name: name of the gateway among those that follow the registry; empty if it follows none.

    Raises:
        SecurityError: a file of the security settings cannot be used.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        table: RoutingTable,
        inference: Callable[[], Inference | None],
        recorder: Recorder | None = None,
        shadow: ShadowSettings | None = None,
        tracing: Tracing | None = None,
        drift: DriftBook | None = None,
        access_log: AccessLog | None = None,
        host_name: str = "",
    ) -> None:
        self._settings = settings
        self._host_name = host_name
        self._table = table
        self.access_log: Final = access_log
        """Log of the calls by any protocol; None where none is kept."""
        self._inference = inference
        self._figures = FigureBook()
        self.drift: Final = drift or DriftBook()
        """Watch over the versions' traffic."""
        recorder = recorder or Recorder(None)
        self.calls: Final = Calls(
            table=table,
            inference=inference,
            max_in_flight=settings.max_in_flight,
            recorder=recorder,
            figures=self._figures,
            shadow=shadow or ShadowSettings(),
            drift=self.drift,
            traces=Traces(tracing),
        )
        self._server: grpc.aio.Server | None = None
        self.health: Final = Health(
            COMMENTARY_SERVICE, INFERENCE_SERVICE, table=table, is_up=lambda: inference() is not None
        )
        self.reception: Final = Reception()
        self._open_inference = OpenInference(
            answer=self._answer_call, fail=self._fail, is_ready=self._is_ready, in_flight=self.in_flight, table=table
        )
        self.security: Final = Security(settings.security)
        self._watching: asyncio.Task[None] | None = None
        self._pushback = Pushback(max_in_flight=settings.max_in_flight)
        self.metrics: Final = GatewayMetrics(
            lambda: self.calls.in_flight, book=self._figures, drift=self.drift, access_log=access_log
        )
        self._name_counts(recorder)

    def _name_counts(self, recorder: Recorder) -> None:
        """Let the page of metrics have the counts of calls and exposures."""
        counts, calls = self.metrics.counts, self.calls.counts
        counts.name_source("gateway_exposures", lambda: recorder.written)
        counts.name_source("gateway_exposures_lost", lambda: recorder.lost)
        counts.name_source("gateway_shed", calls.shed)
        counts.name_source("gateway_asked_again", lambda: calls.asked_again)
        counts.name_source("gateway_interleaved", self.calls.interleaver.counts.by_outcome)
        access = self.security.access
        if access is not None:
            counts.name_source("gateway_denied", lambda: access.denied)
            counts.name_source("gateway_client_calls", access.calls_by_client)
        counts.name_source("gateway_reload_errors", self.security.reload_errors)
        counts.name_source("gateway_sequences", lambda: calls.sequences)
        counts.name_source("gateway_sequences_wasted", lambda: calls.sequences_wasted)

    async def start(self) -> str:
        """Listen and return the address, `host:port`.

        Raises:
            SecurityError: other machines could ask without a check.
            PortInUseError: another process has the port.
            ServingError: listening there fails for another reason.
        """
        host, port = self._settings.host, self._settings.port
        check_address(host, port, self._settings.security)
        # An IPv6 address needs brackets before a port.
        written = f"[{host}]" if ":" in host else host
        access = self.security.access
        server = accepting_server(
            interceptors=(self.metrics, *([Guard(access)] if access is not None else []), self.reception),
            options=server_options(
                max_in_flight=self._settings.max_in_flight, max_descriptors=raise_descriptor_limit()
            ),
        )
        typed = CommentaryService(answer=self._answer_call, describe=self.describe, fail=self._fail)
        commentary_pb2_grpc.add_CommentaryServicer_to_server(typed, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health.servicer, server)
        open_inference_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self._open_inference, server)
        enable_reflection(server)
        credentials = self.security.server_credentials()
        try:
            if credentials is None:
                bound = server.add_insecure_port(f"{written}:{port}")
            else:
                bound = server.add_secure_port(f"{written}:{port}", credentials)
        except RuntimeError as cause:
            raise ServingError(f"cannot listen on port {port} of {host}: {cause}") from cause
        await self.update_health()
        await server.start()
        self._server = server
        self._watching = asyncio.create_task(self.security.watch())
        return f"{written}:{bound}"

    async def wait_ended(self) -> None:
        """Wait until no calls are accepted any more, though nobody has stopped the gateway.

        Raises:
            ServingError: it has come to that.
        """
        if self._server is not None:
            reason = await wait_ended(self._server)
            raise ServingError(f"the gateway accepts no calls any more ({reason}); start serve again")

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Report NOT_SERVING, refuse new requests, and end when those in flight are answered.

        Args:
            hurry: ends the wait for them when it is set.
        """
        await self.health.stop()
        await self.calls.mirror.close()
        if self._server is not None:
            answered_all = await self.reception.drain(self._settings.drain_s, hurry or asyncio.Event())
            await self._server.stop(_FLUSH_S if answered_all else None)
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def update_health(self) -> None:
        """Report the health of the gateway and of each model as it is now; call it after every change."""
        await self.health.update()

    async def _answer_call(
        self,
        request: commentary_pb2.GenerateRequest,
        context: grpc.aio.ServicerContext[Any, Any],
        *,
        send: SendPart | None = None,
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request that came by gRPC; see `answer`."""
        return await self.answer(
            request,
            context.time_remaining(),
            client=context.peer(),
            metadata=context.invocation_metadata() or (),
            send=send,
        )

    async def answer(
        self,
        request: commentary_pb2.GenerateRequest,
        timeout_s: float | None,
        *,
        client: str,
        metadata: Iterable[tuple[str, str | bytes]] = (),
        send: SendPart | None = None,
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request for samples, by whichever protocol it came.

        Args:
            request: the request.
            timeout_s: time that the client gives, in seconds; None if it names none.
            client: address of the client's connection.
            metadata: metadata of the call, which may have the context of a trace.
            send: sends samples to the client as they are ready; None to have them in the answer alone.

        Raises:
            InferenceError: the request fails; it holds the status that the client gets.
        """
        call = current_call()
        if call is not None:
            call.note_request(request)
        deadline_s = self.deadline_s(timeout_s)
        response = await self.calls.answer(request, deadline_s, client=client, metadata=metadata, send=send)
        if call is not None:
            call.note_answer(response)
        self._pushback.note_answer(time.monotonic())
        return response

    def deadline_s(self, timeout_s: float | None) -> float:
        """Return the time for an answer, of which the client gives `timeout_s` or names none; all in seconds."""
        return min(timeout_s or self._settings.max_deadline_s, self._settings.max_deadline_s)

    def describe(self, model: str = "") -> commentary_pb2.DescribeResponse:
        """Describe the live models and versions, and the limits of a request.

        Args:
            model: the only model to describe; all if it is empty.

        Raises:
            InferenceError: NOT_FOUND: the model is not served.
        """
        models = with_figures(self._table.describe(), self._figures)
        if model:
            try:
                self._table.check_model(model)
            except UnknownRouteError as fault:
                raise InferenceError(grpc.StatusCode.NOT_FOUND, str(fault)) from fault
            models = tuple(each for each in models if each.name == model)
        return wire.live_models_to_message(models, host=self._host_name)

    @contextlib.contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count a request that gRPC's reception did not count by itself as a call in flight.

        Raises:
            InferenceError: UNAVAILABLE: the gateway drains.
        """
        if self.reception.is_draining:
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN)
        with self.reception.call():
            yield

    def _is_ready(self, model: str, version: str) -> bool:
        """Return whether a model answers, or one of its versions; without names, the gateway."""
        if self.reception.is_draining:
            return False
        return self.health.answers(model, version) if model else self.health.serves

    def pause_ms(self, fault: InferenceError) -> int | None:
        """Draw the pause before a refused client should retry, in milliseconds; None if a retry does not help."""
        if fault.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return round(1000 * max(fault.retry_after_s, self._pushback.draw_s(time.monotonic())))
        return None

    async def _fail(self, context: grpc.aio.ServicerContext[Any, Any], fault: InferenceError) -> NoReturn:
        if fault.code is grpc.StatusCode.INTERNAL:
            _log.error("%s", fault.message)
        facts: dict[str, str] = {}
        if fault.code is grpc.StatusCode.RESOURCE_EXHAUSTED and fault.failure is Failure.OTHER:
            facts["maxInFlight"] = str(self._settings.max_in_flight)
        await refuse(
            context,
            fault.code,
            fault.message,
            field=fault.field,
            retry_after_ms=self.pause_ms(fault),
            kind="" if fault.failure is Failure.OTHER else fault.failure.name,
            facts=facts,
        )
