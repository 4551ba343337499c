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

    async def _request_call(self) -> None:
        """Answer such calls until the server stops, which raises; the library's loop gets none of them."""
        nothing = cygrpc._MethodResolver([], {})  # noqa: SLF001 - see the module
        while True:
            call = await super()._request_call()
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
