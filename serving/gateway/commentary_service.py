"""The typed gRPC service, `serving/v1/commentary.proto`, before the gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

import grpc

from serving.gateway.parts import SendPart
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.workers.faults import InferenceError

COMMENTARY_SERVICE: Final = commentary_pb2.DESCRIPTOR.services_by_name["Commentary"].full_name


class AnswerCall(Protocol):
    """Function that answers a request for samples."""

    async def __call__(
        self,
        request: commentary_pb2.GenerateRequest,
        context: grpc.aio.ServicerContext[Any, Any],
        *,
        send: SendPart | None = None,
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request, and send samples as they are ready where that is asked for.

        Raises:
            InferenceError: the request fails; it holds the status that the client gets.
        """


class FailCall(Protocol):
    """Function that ends a call with the status of a fault."""

    async def __call__(self, context: grpc.aio.ServicerContext[Any, Any], fault: InferenceError) -> NoReturn:
        """End a call."""


class CommentaryService(commentary_pb2_grpc.CommentaryServicer):
    """Methods of the service.

    Args:
        answer: answers a request for samples.
        describe: describes the live models and versions, or one model; raises `InferenceError` for an unknown one.
        fail: ends a call with the status of a fault.
    """

    def __init__(
        self, *, answer: AnswerCall, describe: Callable[[str], commentary_pb2.DescribeResponse], fail: FailCall
    ) -> None:
        self._answer = answer
        self._describe = describe
        self._fail = fail

    async def Generate(  # noqa: N802 - the protocol's name
        self,
        request: commentary_pb2.GenerateRequest,
        context: grpc.aio.ServicerContext[commentary_pb2.GenerateRequest, commentary_pb2.GenerateResponse],
    ) -> commentary_pb2.GenerateResponse:
        """Answer a request for samples."""
        try:
            return await self._answer(request, context)
        except InferenceError as fault:
            await self._fail(context, fault)

    async def GenerateStream(  # type: ignore[override]  # noqa: N802 - the protocol's name; it writes to the context
        self,
        request: commentary_pb2.GenerateRequest,
        context: grpc.aio.ServicerContext[commentary_pb2.GenerateRequest, commentary_pb2.GenerateStreamResponse],
    ) -> None:
        """Answer a request for samples, and send them as they are ready."""

        async def send(part: commentary_pb2.GenerateResponse) -> None:
            await context.write(commentary_pb2.GenerateStreamResponse(samples=part.samples))

        try:
            end = await self._answer(request, context, send=send)
        except InferenceError as fault:
            await self._fail(context, fault)
        del end.samples[:]
        await context.write(commentary_pb2.GenerateStreamResponse(end=end))

    async def Describe(  # noqa: N802 - the protocol's name
        self,
        request: commentary_pb2.DescribeRequest,
        context: grpc.aio.ServicerContext[commentary_pb2.DescribeRequest, commentary_pb2.DescribeResponse],
    ) -> commentary_pb2.DescribeResponse:
        """List the live models and versions."""
        try:
            return self._describe(request.model)
        except InferenceError as fault:
            await self._fail(context, fault)
