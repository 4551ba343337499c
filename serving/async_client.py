"""Client of the gateway for asyncio: the methods, deadlines, retries and errors of `serving.client`, as coroutines.

The extra `client` brings all that it needs. It belongs to the event loop of its first call.

    from serving.async_client import AsyncCommentaryClient
    from serving.client import CommentaryRequest

    async with AsyncCommentaryClient("127.0.0.1:50051") as client:
        response = await client.generate(CommentaryRequest(genres=["dream pop"]), model="lcgan", version="2")

A call whose task is cancelled ends at once, here and in the gateway. The tree of errors is in `serving.client`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET
from handlers.contract import CommentaryRequest, CommentaryResponse, Sample
from serving import wire
from serving.caller import (
    DEFAULT_RETRY,
    HEALTH_CHECK,
    HEALTH_SERVING,
    Caller,
    check_timeout,
    unchanged,
)
from serving.client_errors import UnavailableError
from serving.credentials import Credentials
from serving.interleaving import InterleavedResponse
from serving.retries import RetryPolicy
from serving.telemetry import names
from serving.telemetry.current import calling
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.wire import LiveModel, RequestLimits

__all__ = ["AsyncCommentaryClient"]

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connection:
    """Channel of one event loop, and the calls over it."""

    loop: asyncio.AbstractEventLoop
    channel: grpc.aio.Channel
    stub: commentary_pb2_grpc.CommentaryAsyncStub
    health: Callable[..., Any]


class AsyncCommentaryClient:
    """Connection to one gateway. The first call connects, and a broken connection is restored by the next call.

    A connection that died without a word is replaced 20 s after the gateway was last heard.

    Args:
        target: address of the gateway, `host:port`; see `serving.targets.parse_target`. With `https://` before it, the
            client speaks TLS. Calls to `dns:///host:port` go to each of its addresses in turn, as long as it serves.
        model: model for calls that name none.
        timeout_s: deadline of calls that name none, in seconds, retries included.
        retry: number of attempts of a failed call, and the pauses between them.
        credentials: how the client verifies the gateway, and what it shows; None speaks in the clear, without a token.

    Raises:
        TargetError: the target is not an address.
        CredentialsError: a file of the credentials cannot be read, or the token would be sent in the clear.
    """

    def __init__(
        self,
        target: str = GATEWAY_TARGET,
        *,
        model: str = DEFAULT_MODEL,
        timeout_s: float = 10.0,
        retry: RetryPolicy = DEFAULT_RETRY,
        credentials: Credentials | None = None,
    ) -> None:
        self._caller = Caller(target, model=model, timeout_s=timeout_s, retry=retry, credentials=credentials)
        self._open: _Connection | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls in flight fail with `UnavailableError`."""
        self._is_closed = True
        if self._open is not None:
            await self._open.channel.close()

    async def generate(
        self,
        request: CommentaryRequest,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout_s: float | None = None,
    ) -> CommentaryResponse:
        """Ask for samples.

        Args:
            request: request for samples.
            model: registered model; None for the client's own.
            version: live version to pin; None for the champion.
            timeout_s: deadline in seconds, retries included; None for the client's own.

        Raises:
            CommentaryError: see the tree in the docstring of `serving.client`.
        """
        message = self._caller.message(request, model, version)
        return wire.response_from_message(await self._generate(message, timeout_s))

    async def generate_stream(
        self,
        request: CommentaryRequest,
        *,
        model: str | None = None,
        version: str | int | None = None,
        timeout_s: float | None = None,
    ) -> AsyncGenerator[tuple[Sample, ...], None]:
        """Yield samples as they are ready, in their order: those that `generate` returns for the same seed.

        A stream is not retried: samples may have come before it failed. To end it early, close the generator.

        Args:
            request: request for samples.
            model: registered model; None for the client's own.
            version: live version to pin; None for the champion.
            timeout_s: deadline of the whole stream in seconds; None for the client's own.

        Raises:
            CommentaryError: see the tree in the docstring of `serving.client`.
        """
        message = self._caller.message(request, model, version)
        attempts = self._caller.attempts(timeout_s)
        # The span is that of the start: what the caller does between two samples is not in it.
        with calling(names.GENERATE_STREAM, self._caller.target) as metadata:
            shown = (*metadata, *self._caller.metadata())
            call = self._connection().stub.GenerateStream(message, timeout=attempts.left_s(), metadata=shown)
        try:
            async for part in call:
                if part.samples:
                    yield wire.samples_from_messages(part.samples)
        except grpc.RpcError as failure:
            raise attempts.final(failure) from failure
        except asyncio.CancelledError as cause:
            if self._is_cancelled():
                raise
            raise self._caller.closed() from cause
        finally:
            call.cancel()

    async def generate_interleaved(
        self, request: CommentaryRequest, *, model: str | None = None, timeout_s: float | None = None
    ) -> InterleavedResponse:
        """Ask all arms of the model's running interleaved experiment for samples, for the same unit and seed.

        Each arm is asked for an equal share of the samples, rounded up. Without such an experiment one version answers,
        as for `generate`, and is the only arm.

        Args:
            request: request for samples; `num_samples` is the number of all arms together.
            model: registered model; None for the client's own.
            timeout_s: deadline in seconds, retries included; None for the client's own.

        Raises:
            CommentaryError: see the tree in the docstring of `serving.client`.
        """
        message = self._caller.message(request, model, None, interleave=True)
        return self._caller.interleaved(await self._generate(message, timeout_s))

    async def _generate(
        self, message: commentary_pb2.GenerateRequest, timeout_s: float | None
    ) -> commentary_pb2.GenerateResponse:
        with calling(names.GENERATE, self._caller.target) as metadata:

            def send(connection: _Connection, limit_s: float) -> Awaitable[commentary_pb2.GenerateResponse]:
                shown = (*metadata, *self._caller.metadata())
                return connection.stub.Generate(message, timeout=limit_s, metadata=shown)

            return await self._call(send, timeout_s)

    async def describe(self, model: str = "", *, timeout_s: float | None = None) -> tuple[LiveModel, ...]:
        """Return the live models, or the named one alone.

        Raises:
            CommentaryError: see the tree in the docstring of `serving.client`.
        """
        return wire.live_models_from_message(await self._describe(model, timeout_s))

    async def limits(self, *, timeout_s: float | None = None) -> RequestLimits:
        """Return the limits of one request.

        Raises:
            CommentaryError: see the tree in the docstring of `serving.client`.
        """
        return wire.limits_from_message(await self._describe("", timeout_s))

    async def _describe(self, model: str, timeout_s: float | None) -> commentary_pb2.DescribeResponse:
        message = commentary_pb2.DescribeRequest(model=model)

        def send(connection: _Connection, limit_s: float) -> Awaitable[commentary_pb2.DescribeResponse]:
            return connection.stub.Describe(message, timeout=limit_s, metadata=self._caller.metadata())

        return await self._call(send, timeout_s)

    async def is_serving(self, *, timeout_s: float = 2.0) -> bool:
        """Return whether the gateway reports SERVING; False also if it cannot be reached."""
        check_timeout(timeout_s)
        try:
            return bool(await self._connection().health(b"", timeout=timeout_s) == HEALTH_SERVING)
        except (grpc.RpcError, UnavailableError):
            return False
        except asyncio.CancelledError:
            if self._is_cancelled():
                raise
            return False

    async def _call(self, send: Callable[[_Connection, float], Awaitable[_Answer]], timeout_s: float | None) -> _Answer:
        """Send a call until it succeeds, fails for good, or its deadline is over. Errors become `CommentaryError`s."""
        attempts = self._caller.attempts(timeout_s)
        while True:
            try:
                answer = await send(self._connection(), attempts.left_s())
            except grpc.RpcError as failure:
                pause_s = attempts.pause_after(failure)
            except asyncio.CancelledError as cause:
                if self._is_cancelled():
                    raise
                raise self._caller.closed() from cause
            else:
                attempts.succeeded()
                return answer
            await asyncio.sleep(pause_s)

    def _is_cancelled(self) -> bool:
        """Return whether a cancellation is the task's own: gRPC cancels the calls of a channel that is closed."""
        task = asyncio.current_task()
        return not self._is_closed or (task is not None and task.cancelling() > 0)

    def _connection(self) -> _Connection:
        """Return the connection, which is made in the event loop of the first call."""
        if self._is_closed:
            raise self._caller.closed()
        loop = asyncio.get_running_loop()
        if self._open is None:
            channel = self._caller.async_channel()
            self._open = _Connection(
                loop=loop,
                channel=channel,
                stub=commentary_pb2_grpc.CommentaryStub(channel),
                health=channel.unary_unary(HEALTH_CHECK, request_serializer=unchanged, response_deserializer=unchanged),
            )
        elif self._open.loop is not loop:
            raise RuntimeError("the client belongs to the event loop of its first call; make one for each event loop")
        return self._open
