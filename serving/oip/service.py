"""The service of the Open Inference Protocol, which answers by the gateway's own path of a request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final, NoReturn, Protocol

import grpc

from foundation.version import project_version
from handlers.contract import ContractError
from serving.oip import open_inference_pb2 as protocol
from serving.oip import open_inference_pb2_grpc
from serving.oip.answers import answer_to_message, wanted_outputs
from serving.oip.metadata import EXTENSIONS, PLATFORM, SERVER, input_metadata, output_metadata
from serving.oip.requests import request_from_message
from serving.torchserve.faults import InferenceError
from serving.traffic.routes import RoutingTable
from serving.v1 import commentary_pb2

INFERENCE_SERVICE: Final = protocol.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name


class Answer(Protocol):
    """Function that answers a request for samples within some seconds, or raises an `InferenceError`."""

    async def __call__(
        self,
        request: commentary_pb2.GenerateRequest,
        timeout_s: float | None,
        *,
        client: str,
        metadata: Iterable[tuple[str, str | bytes]],
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request."""
        ...


class OpenInference(open_inference_pb2_grpc.GRPCInferenceServiceServicer):
    """Server of the Open Inference Protocol.

    Args:
        answer: answers a request.
        fail: ends a call with the status of its failure.
        is_ready: returns whether a model answers, or one of its versions; without names, the gateway.
        table: live versions.
    """

    def __init__(
        self,
        *,
        answer: Answer,
        fail: Callable[[grpc.aio.ServicerContext[Any, Any], InferenceError], Awaitable[NoReturn]],
        is_ready: Callable[[str, str], bool],
        table: RoutingTable,
    ) -> None:
        self._answer = answer
        self._fail = fail
        self._is_ready = is_ready
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
        if name not in self._table.models:
            served = ", ".join(self._table.models)
            reason = f"model {name!r} is not served here; the served models are {served}"
            await self._fail(context, InferenceError(grpc.StatusCode.NOT_FOUND, reason))
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
            answer = await self._answer(
                asked,
                context.time_remaining(),
                client=context.peer(),
                metadata=context.invocation_metadata() or (),
            )
        except InferenceError as fault:
            await self._fail(context, fault)
        return answer_to_message(answer, outputs)

    def _read(self, message: protocol.ModelInferRequest) -> tuple[commentary_pb2.GenerateRequest, tuple[str, ...]]:
        """Return the request for samples, and the names of the wanted outputs."""
        try:
            outputs = wanted_outputs(message)
            return request_from_message(message, default_model=self._table.models[0]), outputs
        except ContractError as fault:
            raise InferenceError(grpc.StatusCode.INVALID_ARGUMENT, str(fault), field=fault.field) from fault
