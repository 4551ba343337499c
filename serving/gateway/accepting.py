"""gRPC server for asyncio that goes on whatever path a call names.

grpcio decodes the path of a call to a method that nobody has registered in the loop that accepts all calls (release
1.85.3, `AioServer._server_main_loop`). A path that is not UTF-8 ends this loop, and with it the server: one request of
anybody who reaches the port, before the token is looked at. All methods of the gateway are registered, and calls of
those never take this way, so calls of any other are answered here, without a look at their paths.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final, cast

import grpc
from grpc._cython import cygrpc
from grpc.aio import _server as grpc_server

_NO_METHOD: Final = "/unknown/unknown"
"""Path that the interceptors see of a call to a method that does not exist."""


_LOGGER: Final = "grpc._cython.cygrpc"
_INVALID: Final = "Invalid encoding on %s"
"""Message of grpcio for a header that is not UTF-8, with its value, which may be a token with a wrong character."""


def _shows_no_value(record: logging.LogRecord) -> bool:
    return record.msg != _INVALID


class _AcceptingServer(cygrpc.AioServer):  # type: ignore[misc] # grpcio has no types for it
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
    """
    logging.getLogger(_LOGGER).addFilter(_shows_no_value)
    server: Any = _Server(interceptors, options)
    return cast("grpc.aio.Server", server)
