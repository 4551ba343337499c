"""A running pool as a worker host."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from typing_extensions import override

from foundation.threads import in_thread
from serving.errors import WorkerHostError
from serving.pool.archive import ArchiveFolder, compile_code
from serving.pool.process import Surroundings
from serving.pool.repairs import PoolRepairs
from serving.pool.settings import PoolSettings
from serving.pool.version import PooledVersion
from serving.pool.worker import DESCRIBE_HEADER
from serving.workers.descriptions import WorkerDescription
from serving.workers.faults import InferenceError
from serving.workers.host import Census, HostLook, HostVerdict, Repairs, RunningHost
from serving.workers.inference import Inference
from serving.workers.verdicts import WorkerLook

_DESCRIBE_TIMEOUT_S: Final = 30.0

Versions = dict[tuple[str, str], PooledVersion]
"""Versions by model and number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCensus(Census):
    """The pool's versions; their workers are those of the moment of a look."""

    taken_s: float
    versions: Mapping[tuple[str, str], PooledVersion]

    @override
    def look_at(self, model: str, version: str) -> tuple[WorkerLook, ...] | None:
        held = self.versions.get((model, version))
        return held.look() if held is not None else None


class PoolInference(Inference):
    """Connection to the workers of the pool.

    Args:
        versions: versions of the pool.
    """

    def __init__(self, versions: Versions) -> None:
        self._versions = versions

    @override
    async def predict(
        self,
        fields: dict[str, bytes],
        *,
        model: str,
        version: str,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        held = self._versions.get((model, version))
        if held is None:
            reason = f"{model} {version}: the pool does not hold it; retry later"
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, reason)
        try:
            async with asyncio.timeout(timeout_s):
                return await held.ask(fields, headers or {})
        except TimeoutError as cause:
            reason = f"{model} {version}: the answer did not come within the deadline"
            raise InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, reason) from cause

    @override
    async def answers_ping(self, *, timeout_s: float) -> bool:
        return True  # it is in this process

    @override
    async def close(self, *, grace_s: float | None = None) -> None:
        """Do nothing: the connections are those of the workers, which end with their versions."""


class RunningPool(RunningHost):
    """A pool that answers. It starts without versions.

    Args:
        settings: settings of the pool.
        shared: what all workers share.
        scratch: private folder of the pool.
        metrics_url: address of the workers' Prometheus page.
    """

    def __init__(self, settings: PoolSettings, *, shared: Surroundings, scratch: Path, metrics_url: str) -> None:
        self._settings = settings
        self._shared = shared
        self._scratch = scratch
        self._metrics_url = metrics_url
        self._versions: Versions = {}
        self.inference: PoolInference = PoolInference(self._versions)

    @property
    @override
    def metrics_url(self) -> str:
        return self._metrics_url

    @property
    @override
    def addresses(self) -> Mapping[str, Any]:
        return {"metrics": self._metrics_url}

    @property
    @override
    def threads_file(self) -> Path:
        return self._shared.threads_file

    @override
    async def register(self, source: str, *, model: str, version: str, workers: int, timeout_s: float) -> None:
        await self.unregister(model, version)
        name = f"{model}/{version}"
        archive = await in_thread(
            lambda: ArchiveFolder.read(source, model_store=self._settings.model_store, scratch=self._scratch)
        )
        held = PooledVersion(
            name,
            model,
            archive,
            self._shared,
            backoff_s=self._settings.restart_backoff_s,
            load_timeout_s=timeout_s,
        )
        try:
            async with asyncio.timeout(timeout_s):
                # Confined workers cannot keep bytecode themselves, and each would compile all of it again.
                await compile_code(archive.folder)
                self._versions[model, version] = held
                await held.load(workers)
        except BaseException as fault:
            if self._versions.get((model, version)) is held:
                del self._versions[model, version]
            await held.close()
            if isinstance(fault, TimeoutError):
                raise WorkerHostError(
                    f"the pool did not load {name} within {timeout_s:g} s; see workers.log"
                ) from fault
            raise

    @override
    async def unregister(self, model: str, version: str) -> None:
        held = self._versions.pop((model, version), None)
        if held is not None:
            await held.close()

    @override
    async def prefer(self, model: str, version: str) -> None:
        """Do nothing: nobody but the gateway asks the pool, and it names the version."""

    @override
    async def describe_worker(self, model: str, version: str) -> WorkerDescription:
        try:
            answer = await self.inference.predict(
                {}, model=model, version=version, timeout_s=_DESCRIBE_TIMEOUT_S, headers={DESCRIBE_HEADER: "True"}
            )
            return WorkerDescription.from_document(json.loads(answer))
        except (InferenceError, ValueError, RecursionError) as cause:
            raise WorkerHostError(f"the worker of {model} {version} did not describe itself: {cause}") from cause

    @override
    async def is_healthy(self) -> bool:
        return True

    @override
    async def take_census(self) -> Census:
        return PoolCensus(taken_s=time.monotonic(), versions=self._versions)

    @override
    async def worker_ids(self) -> frozenset[str]:
        return frozenset(worker.id for held in self._versions.values() for worker in held.look() if worker.alive)

    @override
    def judge(self, look: HostLook) -> HostVerdict:
        return HostVerdict(answers=True)

    @override
    def new_repairs(self, model: str, version: str) -> Repairs:
        def failed_starts() -> int:
            held = self._versions.get((model, version))
            return held.failed_starts if held is not None else 0

        return PoolRepairs(failed_starts=failed_starts)

    @override
    async def scale(self, model: str, version: str, workers: int) -> None:
        held = self._versions.get((model, version))
        if held is None:
            raise WorkerHostError(f"the pool could not scale {model} {version}: it does not hold it")
        held.scale(workers)

    @override
    def kill_worker(self, pid: int) -> bool:
        return any(held.kill_worker(pid) for held in self._versions.values())

    async def close(self) -> None:
        """End all versions."""
        versions = list(self._versions)
        await asyncio.gather(*(self.unregister(*each) for each in versions), return_exceptions=True)
