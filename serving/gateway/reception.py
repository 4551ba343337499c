"""Reception of every call, before its service sees it: messages that cannot be read, and a gateway that drains."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health
from typing_extensions import override

from serving.gateway.refusals import refuse
from serving.oip.service import INFERENCE_SERVICE

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

SHUTTING_DOWN: Final = "the gateway is shutting down; ask another one, or retry when it is back"
MAX_STREAMS: Final = 1_000
"""Health watches and reflections that may be open at once; they cost memory for as long as a client likes."""
_UNREADABLE: Final = "MESSAGE_UNREADABLE"
_ENDING: Final = "SHUTTING_DOWN"
_HEALTH: Final = f"/{health.SERVICE_NAME}/"
_READINESS: Final = tuple(f"/{INFERENCE_SERVICE}/{method}" for method in ("ServerLive", "ServerReady", "ModelReady"))


class Reception(grpc.aio.ServerInterceptor):
    """Interceptor that refuses unreadable messages, and new calls while the gateway drains.

    gRPC answers unreadable bytes with UNKNOWN and writes a traceback into the log. It waits for open streams
    when it stops, and health watches and reflection never end by themselves.
    """

    def __init__(self) -> None:
        self._handlers: dict[str, _Handler] = {}
        self._is_draining = False
        self._num_calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._streams: set[asyncio.Task[Any]] = set()

    @override
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        method: Any = handler_call_details.method
        known = self._handlers.get(method)
        if known is not None:
            return known
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        self._handlers[method] = received = self._received(handler, method)
        return received

    async def drain(self, limit_s: float, hurry: asyncio.Event) -> bool:
        """Refuse new calls, wait for those in flight, then end the streams.

        Args:
            limit_s: longest wait, in seconds.
            hurry: ends the wait when it is set.

        Returns:
            Whether every call was answered.
        """
        self._is_draining = True
        waits = [asyncio.ensure_future(self._idle.wait()), asyncio.ensure_future(hurry.wait())]
        await asyncio.wait(waits, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        for stream in self._streams:
            stream.cancel()
        return self._idle.is_set()

    @property
    def is_draining(self) -> bool:
        """Whether new calls are refused because the gateway stops."""
        return self._is_draining

    @contextlib.contextmanager
    def call(self) -> Iterator[None]:
        """Count the block as a call in flight, for which a drain waits."""
        self._num_calls += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._num_calls -= 1
            if self._num_calls == 0:
                self._idle.set()

    def _received(self, handler: _Handler, method: str) -> _Handler:
        deserializer = _reader(handler.request_deserializer)
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(
                self._call(handler.unary_unary, is_refused=not method.startswith((_HEALTH, *_READINESS))),
                request_deserializer=deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.unary_stream is not None:
            is_watch = method.startswith(_HEALTH)
            receive = self._stream if is_watch else partial(self._call, is_refused=True)
            return grpc.unary_stream_rpc_method_handler(
                receive(handler.unary_stream),
                request_deserializer=deserializer,
                response_serializer=handler.response_serializer,
            )
        if handler.stream_stream is not None:
            return grpc.stream_stream_rpc_method_handler(
                self._stream(handler.stream_stream),
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )
        return handler

    def _call(self, answer: Callable[..., Any], *, is_refused: bool) -> Callable[..., Any]:
        async def call(request: Any, context: _Context) -> Any:
            if isinstance(request, _Unreadable):
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, request.reason, kind=_UNREADABLE)
            if self._is_draining and is_refused:
                await refuse(context, grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN, kind=_ENDING)
            with self.call():
                return await answer(request, context)

        return call

    def _stream(self, answer: Callable[..., Any]) -> Callable[..., Any]:
        async def stream(request: Any, context: _Context) -> None:
            if isinstance(request, _Unreadable):
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, request.reason, kind=_UNREADABLE)
            task: asyncio.Task[Any] | None = asyncio.current_task()
            if task is None or self._is_draining:
                await refuse(context, grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN, kind=_ENDING)
            if len(self._streams) >= MAX_STREAMS:
                reason = f"{MAX_STREAMS} streams are open, and no more are allowed; end some of them"
                await refuse(context, grpc.StatusCode.RESOURCE_EXHAUSTED, reason, kind="TOO_MANY_STREAMS")
            self._streams.add(task)
            whole: Any = _WholeWrites(context)
            try:
                if inspect.isasyncgenfunction(answer):
                    async for message in answer(request, whole):
                        await whole.write(message)
                else:
                    await answer(request, whole)
            except asyncio.CancelledError:
                if not self._is_draining:
                    raise
                await refuse(context, grpc.StatusCode.UNAVAILABLE, SHUTTING_DOWN, kind=_ENDING)
            except DecodeError as fault:  # a message of a stream, which is read within the answer
                reason = f"the message cannot be read: {fault}"
                await refuse(context, grpc.StatusCode.INVALID_ARGUMENT, reason, kind=_UNREADABLE)
            finally:
                self._streams.discard(task)

        return stream


class _WholeWrites:
    """A context whose writes end before a cancellation of their task goes on.

    gRPC cannot send a status while a message is being sent: `abort` would fail with TOO_MANY_OPERATIONS, and the
    call would stay open until the server's grace is over.
    """

    __slots__ = ("_context",)

    def __init__(self, context: _Context) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    async def write(self, message: Any) -> None:
        """Send the message, whole even if this task is cancelled meanwhile."""
        writing = asyncio.ensure_future(self._context.write(message))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing})
            if not writing.cancelled():
                writing.exception()  # a client that is gone; asyncio would tell of a fault that nobody asked for
            raise


class _Unreadable:
    """Bytes of a client that could not be read as a message."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _reader(deserializer: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """Return a deserializer that never raises, since what it raises would be UNKNOWN for the client."""
    if deserializer is None:
        return None

    def read(message: bytes) -> Any:
        try:
            return deserializer(message)
        except DecodeError as fault:
            return _Unreadable(f"the message cannot be read: {fault}")

    return read
