"""Health of the gateway and of each model, by the standard service grpc.health.v1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from grpc_health.v1 import health_pb2

from serving.gateway.health_service import HealthService
from serving.traffic.routes import RoutingTable

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    """Health per model, and of the gateway as a whole, which is that of the default model.

    A model is SERVING while a worker answers of its champion, or of any version that has a share of its requests.

    Args:
        service: full name of the gateway's service; a model's health is asked for as `SERVICE/MODEL`.
        table: live versions.
        is_up: whether TorchServe runs.
    """

    def __init__(self, service: str, *, table: RoutingTable, is_up: Callable[[], bool]) -> None:
        self._service = service
        self._table = table
        self._is_up = is_up
        self.servicer: Final = HealthService()

    @property
    def serves(self) -> bool:
        """Whether a worker of the default model answers."""
        return self._is_up() and self._table.answers(self._table.models[0])

    async def update(self) -> None:
        """Tell the health as it is now to those who ask and those who watch."""
        up = self._is_up()
        serving = {model: up and self._table.answers(model) for model in self._table.models}
        default = serving[self._table.models[0]]
        names = {"": default, self._service: default}
        names.update((f"{self._service}/{model}", answers) for model, answers in serving.items())
        for name, answers in names.items():
            await self.servicer.set(name, SERVING if answers else NOT_SERVING)

    async def stop(self) -> None:
        """Report NOT_SERVING from now on, whatever happens."""
        await self.servicer.enter_graceful_shutdown()
