"""gRPC server for asyncio that goes on whatever path a call names.

grpcio decodes the path of a call to a method that nobody has registered in the loop that accepts all calls (release
1.85.3, `AioServer._server_main_loop`). A path that is not UTF-8 ends this loop, and with it the server: one request of
anybody who reaches the port, before the token is looked at. All methods of the gateway are registered, and calls of
those never take this way, so calls of any other are answered here, without a look at their paths.

This takes names that are private to grpcio. Where a release lacks one, or its parameters differ, the plain server is
used, and the log says so: a gateway that a wrong path can stop is better than none.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Sequence
from typing import Any, Final, cast

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server as grpc_server

_log = logging.getLogger(__name__)

_MOST_FAULTS: Final = 20
"""Faults in a row after which no more calls are awaited."""
_PAUSE_S: Final = 0.1
_NO_METHOD: Final = "/unknown/unknown"
"""Path that the interceptors see of a call to a method that does not exist."""


_LOGGER: Final = "grpc._cython.cygrpc"
_INVALID: Final = "Invalid encoding on %s"
"""Message of grpcio for a header that is not UTF-8, with its value, which may be a token with a wrong character."""


def _shows_no_value(record: logging.LogRecord) -> bool:
    return record.msg != _INVALID


_PRIVATE: Final = {
    (cygrpc, "_handle_rpc"): (
        "method_name",
        "method_resolver",
        "interceptors",
        "rpc_state",
        "loop",
        "concurrency_exceeded",
    ),
    (cygrpc, "_schedule_rpc_coro"): ("rpc_coro", "rpc_state", "loop", "method_name"),
    (cygrpc, "get_working_loop"): (),
    (grpc_server, "_augment_channel_arguments"): ("base_options", "compression"),
    (getattr(cygrpc, "AioServer", None), "_request_call"): ("self",),
}
"""Private functions of grpcio that are used here, by their place, and the parameters that they have to have."""


def unlike_expected() -> str:
    """Return what differs in this grpcio from the one for which this is written; empty if nothing does."""
    if not hasattr(cygrpc, "_MethodResolver"):
        return "_MethodResolver is missing"
    for (place, name), expected in _PRIVATE.items():
        try:
            found = tuple(inspect.signature(getattr(place, name)).parameters)
        except (AttributeError, TypeError, ValueError) as fault:
            return f"{name} is missing or hides its parameters ({fault})"
        if found != expected:
            return f"{name} has the parameters {found}, not {expected}"
    return ""


class _AcceptingServer(getattr(cygrpc, "AioServer", object)):  # type: ignore[misc] # grpcio has no types for it
    """The library's server, which answers calls of methods that are not registered by itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop, interceptors: Sequence[Any], options: Sequence[Any]) -> None:
        super().__init__(loop, None, (), interceptors, options, None)
        self._own_loop = loop
        self._own_interceptors = tuple(interceptors)
        self._answering: set[asyncio.Task[None]] = set()
        self.is_stopping = False
        self.ended: asyncio.Future[Exception] = loop.create_future()
        """Future that gets the fault by which no calls are accepted any more, though nobody has stopped the server."""

    async def _request_call(self) -> None:
        """Answer such calls until the server stops, which raises; the library's loop gets none of them.

        Whatever is raised here ends the library's loop, and after that its shutdown fails as well. So a fault is
        logged, and the next call awaited; only where one follows the other the server has ended.
        """
        faults = 0
        while True:
            try:
                call = await self._next_call()
                faults = 0
                self._answer(call)
            except Exception as fault:
                if self.is_stopping:
                    raise
                faults += 1
                _log.warning("the gateway could not accept a call (%s: %s)", type(fault).__name__, fault)
                if faults == _MOST_FAULTS:
                    self.ended.set_result(fault)
                    raise
                await asyncio.sleep(_PAUSE_S)

    async def _next_call(self) -> Any:
        return await super()._request_call()

    def _answer(self, call: Any) -> None:
        """Begin to answer a call to a method that does not exist."""
        nothing = cygrpc._MethodResolver([], {})  # noqa: SLF001 - see the module
        answer = cygrpc._handle_rpc(_NO_METHOD, nothing, self._own_interceptors, call, self._own_loop, False)  # noqa: SLF001
        task = self._own_loop.create_task(
            cygrpc._schedule_rpc_coro(answer, call, self._own_loop, _NO_METHOD)  # noqa: SLF001
        )
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)


class _Server(grpc_server.Server):
    """The library's outer part, around a server of the kind above."""

    def __init__(self, interceptors: Sequence[Any], options: Sequence[Any]) -> None:
        # Not the library's constructor, which would make a server of its own kind.
        self._loop = cygrpc.get_working_loop()
        augmented = grpc_server._augment_channel_arguments(options, None)  # noqa: SLF001
        self._server = _AcceptingServer(self._loop, interceptors, augmented)

    @property
    def accepting_ended(self) -> asyncio.Future[Exception]:
        server: _AcceptingServer = self._server
        return server.ended

    async def stop(self, grace: float | None) -> None:
        self._server.is_stopping = True
        try:
            await super().stop(grace)
        except Exception as fault:
            # The library awaits its loop, and raises again what ended it.
            if not self.accepting_ended.done() or fault is not self.accepting_ended.result():
                raise


async def wait_ended(server: grpc.aio.Server) -> str:
    """Wait until a server accepts no calls any more, though nobody has stopped it, and return the reason.

    Args:
        server: a server of `accepting_server`.
    """
    if isinstance(server, _Server):
        await asyncio.wait([server.accepting_ended])
        fault = server.accepting_ended.result()
        return f"{type(fault).__name__}: {fault}"
    # The library waits for a future that its own shutdown needs, so the end of this wait must not reach it.
    await asyncio.shield(server.wait_for_termination())
    return "the log has grpcio's error"


def accepting_server(
    *, interceptors: Sequence[grpc.aio.ServerInterceptor], options: Sequence[tuple[str, Any]]
) -> grpc.aio.Server:
    """Return a server for services whose methods are all registered, as those of generated code are.

    Args:
        interceptors: interceptors of all calls.
        options: options of the server's channel.

    Returns:
        The server, or the library's plain one, with a warning in the log, where grpcio is unlike the one expected.
    """
    logging.getLogger(_LOGGER).addFilter(_shows_no_value)
    difference = unlike_expected()
    if not difference:
        try:
            server: Any = _Server(interceptors, options)
        except (AttributeError, TypeError) as fault:
            difference = str(fault)
        else:
            return cast("grpc.aio.Server", server)
    _log.warning(
        "grpcio %s is not the one that is known here (%s): a call whose path is not UTF-8 can stop this server; "
        "install a release that constraints.txt names",
        grpc.__version__,
        difference,
    )
    return grpc.aio.server(interceptors=list(interceptors), options=list(options))
