"""Routing table: the live versions, and the champion that answers requests without a pin.

It is read and changed on the event loop of the service only, so every change is atomic for requests.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from serving.errors import ServingError
from serving.registry.contents import ArchiveInfo
from serving.torchserve.management import WorkerDescription
from serving.wire import LiveModel, LiveVersion


class UnknownRouteError(ServingError):
    """No such model or version is live."""


class NotReadyError(ServingError):
    """The model or version is being loaded."""


@dataclass(slots=True, kw_only=True, eq=False)
class Route:
    """One live version."""

    info: ArchiveInfo
    slots: asyncio.Semaphore = field(repr=False)
    """Slots for requests that TorchServe holds at once. The others wait here, where they can still be cancelled:
    TorchServe's own queue cannot drop a request whose client disconnected."""
    in_flight: int = 0
    aliases: tuple[str, ...] = ()
    worker: WorkerDescription = field(default_factory=WorkerDescription)
    described_with_threads: int = 0
    """Threads per worker when the worker was last asked for its description; 0 before."""
    _idle: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def __post_init__(self) -> None:
        self._idle.set()

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Count a request as in flight for the length of the block."""
        self.in_flight += 1
        self._idle.clear()
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Wait until the version has no request in flight."""
        await self._idle.wait()


class RoutingTable:
    """Live versions of the served models.

    Args:
        models: names of the models that this service serves; others are unknown.
    """

    def __init__(self, models: tuple[str, ...]) -> None:
        self._routes: dict[str, dict[str, Route]] = {model: {} for model in models}
        self._champions: dict[str, str] = {}
        self._settled: set[str] = set()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the served models."""
        return tuple(self._routes)

    def add(self, route: Route) -> None:
        """Let a version answer requests that pin it."""
        self._routes[route.info.model][route.info.version] = route

    def switch(self, model: str, version: str) -> None:
        """Make a live version the champion, which answers requests without a pin."""
        if version not in self._routes[model]:
            raise ValueError(f"{model} {version} is not live")
        self._champions[model] = version

    def remove(self, model: str, version: str) -> Route:
        """Remove a version: new requests cannot reach it, requests in flight continue."""
        if self._champions.get(model) == version:
            del self._champions[model]
        return self._routes[model].pop(version)

    def suspend(self) -> None:
        """Remove every version, because TorchServe is down; they are expected back."""
        for routes in self._routes.values():
            routes.clear()
        self._champions.clear()
        self._settled.clear()

    def settle(self, model: str) -> None:
        """Mark a model as completely loaded: from now on a missing version is unknown instead of late."""
        self._settled.add(model)

    def resolve(self, model: str, version: str | None) -> Route:
        """Return the route of a version, or of the champion if the version is None.

        Raises:
            UnknownRouteError: the model or version is not live; the message lists the live ones.
            NotReadyError: it is being loaded.
        """
        if model not in self._routes:
            raise UnknownRouteError(
                f"model {model!r} is not served here; the served models are {', '.join(self._routes) or 'none'}"
            )
        wanted = version or self._champions.get(model)
        route = self._routes[model].get(wanted) if wanted else None
        if route is not None:
            return route
        if model not in self._settled:
            raise NotReadyError(f"{model}{f' {version}' if version else ''} is being loaded; retry later")
        live = ", ".join(self.live_versions(model)) or "none"
        if version is None:
            raise UnknownRouteError(f"{model} has no champion (`deephypebot models promote {model}/VERSION`)")
        raise UnknownRouteError(
            f"{model} has no live version {version!r}; live: {live} (a version with the alias champion, previous or "
            "challenger is)"
        )

    def route(self, model: str, version: str) -> Route | None:
        """Return the route of a version, or None if it is not live."""
        return self._routes[model].get(version)

    def champion(self, model: str) -> str | None:
        """Return the version that answers requests without a pin, or None."""
        return self._champions.get(model)

    def live_versions(self, model: str) -> tuple[str, ...]:
        """Return the live versions in the order of their numbers."""
        return tuple(sorted(self._routes[model], key=lambda version: (len(version), version)))

    def describe(self) -> tuple[LiveModel, ...]:
        """Describe the live models and versions to clients."""
        return tuple(
            LiveModel(
                name=model,
                champion=self._champions.get(model, ""),
                versions=tuple(_describe(self._routes[model][version]) for version in self.live_versions(model)),
            )
            for model in self._routes
        )


def _describe(route: Route) -> LiveVersion:
    return LiveVersion(
        version=route.info.version,
        archive_sha256=route.info.sha256,
        aliases=route.aliases,
        in_flight=route.in_flight,
        topics=route.info.topics,
        desired_topic=route.info.desired_topic,
        num_genres=route.info.num_genres,
        batch_size=route.info.batch_size,
        genres=route.worker.genres,
        lineage=route.worker.lineage,
        precision=route.worker.precision,
        slots=route.worker.slots,
        threads=route.worker.threads,
    )
