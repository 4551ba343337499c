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
        services: full names of the gateway's services; a model's health is asked for as `SERVICE/MODEL`.
        table: live versions.
        is_up: whether the worker host runs.
    """

    def __init__(self, *services: str, table: RoutingTable, is_up: Callable[[], bool]) -> None:
        self._services = services
        self._table = table
        self._is_up = is_up
        self.servicer: Final = HealthService()

    @property
    def serves(self) -> bool:
        """Whether a worker of the default model answers."""
        return self._is_up() and self._table.answers(self._table.models[0])

    def answers(self, model: str, version: str = "") -> bool:
        """Return whether a worker of a model answers, or of one of its versions; False for one that is not served."""
        if model not in self._table.models or not self._is_up():
            return False
        if not version:
            return self._table.answers(model)
        route = self._table.route(model, version)
        return route is not None and route.answers

    async def update(self) -> None:
        """Tell the health as it is now to those who ask and those who watch."""
        up = self._is_up()
        serving = {model: up and self._table.answers(model) for model in self._table.models}
        default = serving[self._table.models[0]]
        names = {"": default}
        for service in self._services:
            names[service] = default
            names.update((f"{service}/{model}", answers) for model, answers in serving.items())
        for name, answers in names.items():
            await self.servicer.set(name, SERVING if answers else NOT_SERVING)

    async def stop(self) -> None:
        """Report NOT_SERVING from now on, whatever happens."""
        await self.servicer.enter_graceful_shutdown()
