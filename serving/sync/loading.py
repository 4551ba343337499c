"""Versions into the worker host and out of it: fetched, verified, registered, tried, described, drained."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import grpc

from foundation.threads import in_thread
from handlers.contract import CommentaryRequest, SamplingParams, archive_name
from serving.errors import ServingError
from serving.registry.archives import bring_archive
from serving.registry.contents import ArchiveInfo
from serving.registry.trust import Trust
from serving.registry.unpacked import Unpacked, forms_batches
from serving.registry.versions import RegisteredVersion
from serving.traffic.route import Route, make_route
from serving.workers.cores import CoreShares
from serving.workers.faults import Failure, InferenceError
from serving.workers.host import HostGoneError, RunningHost, WorkerHost
from serving.workers.inference import Inference

_log = logging.getLogger(__name__)

CANARY: Final = CommentaryRequest(
    genres=(), num_samples=1, sampling=SamplingParams(max_tokens=8), seed=0, request_id="canary"
)
_REMOVAL_PAUSES_S: Final = (1.0, 5.0, 30.0)
"""Pauses before a version that the host did not remove is removed again: its workers would stay for ever."""


async def try_route(route: Route, inference: Inference, *, timeout_s: float) -> None:
    """Ask a version for a few tokens, in the way in which its requests are sent.

    Raises:
        InferenceError: it does not answer, or with an error.
    """
    try:
        async with asyncio.timeout(timeout_s):
            await route.ask(CANARY, inference, timeout_s=timeout_s)
    except TimeoutError as cause:
        reason = f"{route.info.model} {route.info.version} did not answer within {timeout_s:g} s"
        raise InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, reason) from cause


class Fetcher(Protocol):
    """Source of archives."""

    def fetch_archive(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download a version's archive into a folder."""


class Loader:
    """Loader of versions into the running host.

    Args:
        model_store: folder of the archives.
        workers: workers of each version.
        load_timeout_s: time for a version's workers to load it.
        canary_timeout_s: time for the answer to the request that tests a version.
        fetch_timeout_s: time to download an archive.
        drain_timeout_s: time for the requests in flight of a removed version.
        archives: source of archives that the model store does not hold.
        trust: check of the archives' signatures.
        unpacked: place of the unpacked archives.
        host: the worker host.
    """

    def __init__(
        self,
        *,
        model_store: Path,
        workers: int,
        load_timeout_s: float,
        canary_timeout_s: float,
        fetch_timeout_s: float,
        drain_timeout_s: float,
        archives: Fetcher,
        trust: Trust,
        unpacked: Unpacked,
        host: WorkerHost,
    ) -> None:
        self._model_store = model_store
        self._workers = workers
        self._load_timeout_s = load_timeout_s
        self._canary_timeout_s = canary_timeout_s
        self._fetch_timeout_s = fetch_timeout_s
        self._drain_timeout_s = drain_timeout_s
        self._archives = archives
        self._trust = trust
        self._unpacked = unpacked
        self._host = host
        self._shares: dict[RunningHost, CoreShares] = {}
        """Core shares of the running host."""

    async def prove(self, version: RegisteredVersion, running: RunningHost, *, is_first: bool = False) -> Route:
        """Fetch, verify, register and test a version, and return its route.

        Args:
            version: the version.
            running: the host that runs.
            is_first: whether nothing answers for its model yet: it is proven with one worker, which then has the cores
                for itself and answers sooner, and the watch adds the others.

        Raises:
            ServingError: the version cannot serve; the host does not hold it then.
            HostGoneError: the host ended meanwhile, or does not answer any more.
        """
        try:
            info = await self._bring(version)
            shares = self._shares_of(running)
            shares.add(version.model, version.version)
            archive = archive_name(version.model, version.version)
            folder = await in_thread(lambda: self._unpacked.folder(self._model_store / archive, info))
            await running.register(
                str(folder) if folder is not None else archive,
                model=version.model,
                version=version.version,
                workers=1 if is_first else self._workers,
                timeout_s=self._load_timeout_s,
            )
            batching = running.inference if folder is not None and forms_batches(info) else None
            route = make_route(info, workers=self._workers, aliases=version.aliases, batching=batching)
            await try_route(route, running.inference, timeout_s=self._canary_timeout_s)
        except Exception as fault:
            unreachable = isinstance(fault, InferenceError) and fault.failure is Failure.UNREACHABLE
            gone = unreachable or self._host.running is not running
            if gone or not await running.is_healthy():
                raise HostGoneError(f"the worker host went away while it loaded {version.name}") from fault
            await self._undo(version, running)
            # An archive or a machine may fail in ways that no library lists, and none of them may end the service.
            raise _refusal(fault) from fault
        if self._host.running is not running:
            raise HostGoneError(f"the worker host went away while it loaded {version.name}")
        return route

    async def describe(self, route: Route, running: RunningHost) -> None:
        """Fetch the description of a version's worker, once, and again when its share of the cores changes."""
        shares = self._shares_of(running)
        if route.described_with_threads == shares.threads:
            return
        route.described_with_threads = shares.threads
        try:
            route.worker = await running.describe_worker(route.info.model, route.info.version)
        except ServingError as fault:  # the version answers requests, which is what counts
            _log.warning("%s", fault)

    def needs_description(self, route: Route, running: RunningHost) -> bool:
        """Return whether `describe` has something to ask."""
        return route.described_with_threads != self._shares_of(running).threads

    async def drain(self, route: Route, running: RunningHost) -> None:
        """Wait for the requests in flight of a version that was removed from the table, and unregister it."""
        model, version = route.info.model, route.info.version
        try:
            await asyncio.wait_for(route.wait_idle(), self._drain_timeout_s)
        except TimeoutError:
            _log.warning("removing %s/%s with %d requests in flight", model, version, route.in_flight)
        for pause_s in (*_REMOVAL_PAUSES_S, None):
            if self._host.running is not running:
                return
            try:
                await self._remove(model, version, running)
            except ServingError as fault:
                _log.warning("%s", fault)
            else:
                _log.info("%s/%s is drained and removed", model, version)
                await in_thread(lambda: self._unpacked.discard(route.info))
                return
            if pause_s is not None:
                await asyncio.sleep(pause_s)

    async def _bring(self, version: RegisteredVersion) -> ArchiveInfo:
        def bring() -> ArchiveInfo:
            # First of all: what no trusted key has signed is not even fetched.
            self._trust.check(version)
            return bring_archive(
                self._model_store,
                model=version.model,
                version=version.version,
                sha256=version.archive_sha256,
                fetch=partial(self._archives.fetch_archive, version),
            )

        try:
            async with asyncio.timeout(self._fetch_timeout_s):
                return await in_thread(bring)
        except TimeoutError as cause:
            raise ServingError(
                f"the archive of {version.name} did not come within {self._fetch_timeout_s:g} s"
            ) from cause

    async def _undo(self, version: RegisteredVersion, running: RunningHost) -> None:
        try:
            await self._remove(version.model, version.version, running)
        except ServingError as fault:
            _log.warning("%s", fault)

    async def _remove(self, model: str, version: str, running: RunningHost) -> None:
        await running.unregister(model, version)
        self._shares_of(running).remove(model, version)

    def _shares_of(self, running: RunningHost) -> CoreShares:
        if (known := self._shares.get(running)) is not None:
            return known
        shares = CoreShares(running.threads_file, workers=self._workers)
        if self._host.running is running:
            self._shares = {running: shares}
        return shares


def _refusal(fault: Exception) -> ServingError:
    """Return a fault with a reason that people can read."""
    if isinstance(fault, ServingError):
        return fault
    return ServingError(f"it cannot be loaded ({type(fault).__name__}: {fault}); see workers.log")
