"""Connections of the door: how many there may be, and how long one may wait.

uvicorn bounds the pause between two requests alone. Here a client that sends a head byte by byte, that sends nothing,
or that does not read its answer loses its connection as well: every connection ends at some time, unless it asks again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_HEAD_BYTES: Final = 16 * 2**10


class BoundedConnection(H11Protocol):
    """Connection with limits. `connection_class` makes the class for a server.

    Attributes:
        max_connections: connections of the server that may be open at once.
        head_s: time for the head of a request, in seconds.
        idle_s: time before it, in which an answer is read and the connection may be idle.
        request_s: time from the head of a request to its answer.
    """

    max_connections: int
    head_s: float
    idle_s: float
    request_s: float

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._end: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's own type
        if len(self.connections) >= self.max_connections:
            transport.abort()
            return
        super().connection_made(transport)
        self._end_after(self.head_s)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._keep()
        if self.transport is not None:
            super().connection_lost(exc)

    @override
    def handle_events(self) -> None:
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._end_after(self.request_s)

    @override
    def on_response_complete(self) -> None:
        self._end_after(self.idle_s + self.head_s)
        super().on_response_complete()

    def _end_after(self, seconds: float) -> None:
        self._keep()
        self._end = self.loop.call_later(seconds, self.transport.abort)

    def _keep(self) -> None:
        if self._end is not None:
            self._end.cancel()
            self._end = None


def connection_class(
    *, max_connections: int, head_s: float, idle_s: float, request_s: float
) -> type[BoundedConnection]:
    """Return the class of a server's connections; see `BoundedConnection`."""
    limits = {"max_connections": max_connections, "head_s": head_s, "idle_s": idle_s, "request_s": request_s}
    return type("Connection", (BoundedConnection,), limits)
