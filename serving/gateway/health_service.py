"""The standard health checking service, without a lock that one of its watchers could hold.

The servicer of grpcio-health-checking writes to each watcher under a lock that a change of the status needs as well. A
watcher that grants no window for its answers, which takes one frame, would stop every change of health and the drain.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_messages: Final[Any] = health_pb2  # its published types do not know `List` yet


class HealthService(health_pb2_grpc.HealthServicer):
    """Status of each service, to be asked for (`Check`, `List`) or watched (`Watch`)."""

    def __init__(self) -> None:
        self._statuses: dict[str, int] = {}
        self._changed = asyncio.Event()
        self._is_final = False

    async def set(self, service: str, status: int) -> None:
        """Set the status of a service; the empty name is the whole server."""
        if not self._is_final and self._statuses.get(service) != status:
            self._statuses[service] = status
            self._tell()

    async def enter_graceful_shutdown(self) -> None:
        """Set every service to NOT_SERVING for good."""
        self._is_final = True
        self._statuses = dict.fromkeys(self._statuses, _NOT_SERVING)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def Check(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        """Return the status of a service."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no service of this name reports its health")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(  # noqa: N802 - the protocol's name
        self,
        request: Any,  # noqa: ARG002 - it is empty
        context: grpc.aio.ServicerContext[Any, Any],  # noqa: ARG002 - the protocol's signature
    ) -> Any:
        """Return the status of every service."""
        return _messages.HealthListResponse(
            statuses={
                service: health_pb2.HealthCheckResponse(status=status) for service, status in self._statuses.items()
            }
        )

    async def Watch(  # noqa: N802 - the protocol's name
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> None:
        """Send the status of a service now and whenever it changes."""
        sent: int | None = None
        while True:
            changed = self._changed  # before the status is read: a change meanwhile ends the wait at once
            status = self._statuses.get(request.service, _UNKNOWN)
            if status != sent:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                sent = status
            await changed.wait()
