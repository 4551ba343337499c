"""Path of a request for samples through the gateway: check, version, admission, answer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Final

import grpc

from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, ModelIdentity, Timings
from serving import wire
from serving.torchserve.faults import InferenceError
from serving.torchserve.inference import Inference
from serving.traffic.admission.admission import AdmissionCounts
from serving.traffic.admission.work import work_of
from serving.traffic.policy import Assignment
from serving.traffic.routes import NotReadyError, Route, RoutingTable, UnknownRouteError
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
    """

    def __init__(self, *, table: RoutingTable, inference: Callable[[], Inference | None], max_in_flight: int) -> None:
        self._table = table
        self._inference = inference
        self._max_in_flight = max_in_flight
        self.in_flight = 0
        """Requests that wait or that TorchServe holds, those of clients that have left included."""
        self.counts: Final = AdmissionCounts()

    async def answer(self, message: commentary_pb2.GenerateRequest, deadline_s: float) -> CommentaryResponse:
        """Return the answer of a version to a request.

        Args:
            message: the request.
            deadline_s: time for the answer, in seconds.

        Raises:
            InferenceError: the request fails; it holds the status that the client gets.
        """
        started = time.perf_counter()
        request = _checked(message)
        self._check_room()
        inference = self._connection()
        route, _ = self._resolve(message)
        response = await self._ask(route, inference, request, deadline_s)
        return _signed(response, route, time.perf_counter() - started)

    def _check_room(self) -> None:
        if self.in_flight >= self._max_in_flight:
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
        self, route: Route, inference: Inference, request: CommentaryRequest, deadline_s: float
    ) -> CommentaryResponse:
        """Ask the version's workers when it is the request's turn, within the deadline."""
        info, admission = route.info, route.admission
        work = work_of(request, default_best_of=info.default_best_of)
        timeout_s = admission.limits.response_timeout_s + _TIMEOUT_MARGIN_S

        async def send(start_by: float) -> CommentaryResponse:
            return await inference.generate(
                request,
                model=info.model,
                version=info.version,
                timeout_s=timeout_s,
                contract=info.contract,
                batches=route.batches,
                start_by=start_by,
            )

        self.in_flight += 1
        return await admission.ask(
            work,
            send,
            heavy=work.sequences > route.slots,
            deadline=time.monotonic() + deadline_s,
            counts=self.counts,
            on_end=self._ended,
        )

    def _ended(self) -> None:
        self.in_flight -= 1


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
    )
