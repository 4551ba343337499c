"""The service of the Open Inference Protocol, which answers by the gateway's own path of a request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final, NoReturn, Protocol

import grpc

from foundation.version import project_version
from handlers.contract import ContractError
from serving.oip import open_inference_pb2 as protocol
from serving.oip import open_inference_pb2_grpc
from serving.oip.answers import answer_to_message, singly, wanted_outputs
from serving.oip.metadata import EXTENSIONS, PLATFORM, SERVER, input_metadata, output_metadata
from serving.oip.requests import request_from_message
from serving.traffic.routes import RoutingTable, UnknownRouteError
from serving.v1 import commentary_pb2
from serving.workers.faults import InferenceError

ASKS_FOR_END: Final = "triton_enable_empty_final_response"
"""Parameter by which tritonclient asks to be told the last answer of a request; it is told in any case."""
IS_LAST: Final = "triton_final_response"
"""Parameter of an answer in a stream: whether it is the last one of its request."""
INFERENCE_SERVICE: Final = protocol.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


class Answer(Protocol):
    """Function that answers a request for samples of a call, or raises an `InferenceError`."""

    async def __call__(
        self,
        request: commentary_pb2.GenerateRequest,
        context: grpc.aio.ServicerContext[Any, Any],
        *,
        send: Callable[[commentary_pb2.GenerateResponse], Awaitable[None]] | None = None,
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request."""
        ...


class OpenInference(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Server of the Open Inference Protocol.

    Args:
        answer: answers a request.
        fail: ends a call with the status of its failure.
        is_ready: returns whether a model answers, or one of its versions; without names, the gateway.
        in_flight: counts a request of a stream as a call in flight, or raises an `InferenceError` where none is taken.
        table: live versions.
    """

    def __init__(
        self,
        *,
        answer: Answer,
        fail: Callable[[grpc.aio.ServicerContext[Any, Any], InferenceError], Awaitable[NoReturn]],
        is_ready: Callable[[str, str], bool],
        in_flight: Callable[[], AbstractContextManager[None]],
        table: RoutingTable,
    ) -> None:
        self._answer = answer
        self._fail = fail
        self._is_ready = is_ready
        self._in_flight = in_flight
        self._table = table

    async def ServerLive(  # noqa: N802 - the protocol's name
        self,
        request: protocol.ServerLiveRequest,  # noqa: ARG002 - it is empty
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - the protocol's signature
    ) -> protocol.ServerLiveResponse:
        """Return that the gateway runs."""
        return protocol.ServerLiveResponse(live=True)

    async def ServerReady(  # noqa: N802 - the protocol's name
        self,
        request: protocol.ServerReadyRequest,  # noqa: ARG002 - it is empty
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - the protocol's signature
    ) -> protocol.ServerReadyResponse:
        """Return whether the default model answers."""
        return protocol.ServerReadyResponse(ready=self._is_ready("", ""))

    async def ModelReady(  # noqa: N802 - the protocol's name
        self,
        request: protocol.ModelReadyRequest,
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - the protocol's signature
    ) -> protocol.ModelReadyResponse:
        """Return whether a model or version answers; one that does not exist is not ready."""
        return protocol.ModelReadyResponse(ready=self._is_ready(request.name or self._table.models[0], request.version))

    async def ServerMetadata(  # noqa: N802 - the protocol's name
        self,
        request: protocol.ServerMetadataRequest,  # noqa: ARG002 - it is empty
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - the protocol's signature
    ) -> protocol.ServerMetadataResponse:
        """Describe the gateway."""
        return protocol.ServerMetadataResponse(name=SERVER, version=project_version(), extensions=EXTENSIONS)

    async def ModelMetadata(  # noqa: N802 - the protocol's name
        self, request: protocol.ModelMetadataRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> protocol.ModelMetadataResponse:
        """Describe a model: its live versions, or the named one alone, and its tensors."""
        name, version = request.name or self._table.models[0], request.version
        try:
            self._table.check_model(name)
        except UnknownRouteError as fault:
            await self._fail(context, InferenceError(grpc.StatusCode.NOT_FOUND, str(fault)))
        live = self._table.live_versions(name)
        if version and version not in live:
            reason = f"{name} has no live version {version!r}; live: {', '.join(live) or 'none'}"
            await self._fail(context, InferenceError(grpc.StatusCode.NOT_FOUND, reason))
        return protocol.ModelMetadataResponse(
            name=name,
            versions=(version,) if version else live,
            platform=PLATFORM,
            inputs=input_metadata(),
            outputs=output_metadata(),
        )

    async def ModelInfer(  # noqa: N802 - the protocol's name
        self, request: protocol.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> protocol.ModelInferResponse:
        """Answer a request for samples."""
        try:
            asked, outputs = self._read(request)
            answer = await self._answer(asked, context)
        except InferenceError as fault:
            await self._fail(context, fault)
        return answer_to_message(answer, outputs)

    async def ModelStreamInfer(  # type: ignore[override]  # noqa: N802 - the protocol's name; it writes to the context
        self,
        request_iterator: AsyncIterator[protocol.ModelInferRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> None:
        """Answer the requests of a stream one after the other, each with a message for every sample.

        A request that fails is answered with its reason, and the stream goes on.
        """
        async for request in request_iterator:
            try:
                with self._in_flight():
                    await self._stream(request, context)
            except InferenceError as fault:
                failed = protocol.ModelInferResponse(id=request.id)
                message = protocol.ModelStreamInferResponse(error_message=fault.message, infer_response=failed)
                await context.write(message)

    async def _stream(self, request: protocol.ModelInferRequest, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        """Send each sample of a request as soon as it is ready; the last one with what the end of the answer tells."""
        request.parameters.pop(ASKS_FOR_END, None)
        asked, outputs = self._read(request)
        waiting: list[commentary_pb2.GenerateResponse] = []

        async def write(answer: commentary_pb2.GenerateResponse, *, is_last: bool) -> None:
            message = answer_to_message(answer, outputs)
            message.parameters[IS_LAST].bool_param = is_last
            await context.write(protocol.ModelStreamInferResponse(infer_response=message))

        async def send(part: commentary_pb2.GenerateResponse) -> None:
            waiting.extend(singly(part))
            while len(waiting) > 1:
                await write(waiting.pop(0), is_last=False)

        end = await self._answer(asked, context, send=send)
        del end.samples[:-1]
        await write(end, is_last=True)

    def _read(self, message: protocol.ModelInferRequest) -> tuple[commentary_pb2.GenerateRequest, tuple[str, ...]]:
        """Return the request for samples, and the names of the wanted outputs."""
        try:
            outputs = wanted_outputs(message)
            return request_from_message(message, default_model=self._table.models[0]), outputs
        except ContractError as fault:
            raise InferenceError(grpc.StatusCode.INVALID_ARGUMENT, str(fault), field=fault.field) from fault
