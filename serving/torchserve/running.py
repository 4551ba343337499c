"""A running TorchServe as a worker host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from foundation.threads import in_thread
from serving.torchserve.census import end_ghosts, take_lists
from serving.torchserve.jvm import JvmJudge, JvmLook
from serving.torchserve.process import Instance
from serving.torchserve.processes import kill_worker, read_workers
from serving.torchserve.registration import register_version
from serving.torchserve.repairs import VersionRepairs
from serving.workers.descriptions import WorkerDescription
from serving.workers.host import Census, HostLook, HostVerdict, Repairs, RunningHost
from serving.workers.inference import Inference
from serving.workers.processes import read_process


@dataclass(slots=True, kw_only=True, eq=False)
class Running(RunningHost):
    """A TorchServe that answers, and the connection to it. It starts without models."""

    instance: Instance
    inference: Inference
    _jvm: JvmJudge = field(default_factory=JvmJudge)
    _ghosts: set[int] = field(default_factory=set)
    """Processes of workers that the last census found in no list."""

    @property
    @override
    def metrics_url(self) -> str:
        return self.instance.metrics_url

    @property
    @override
    def addresses(self) -> Mapping[str, Any]:
        return {"torchserve_pid": self.instance.pid, "metrics": self.instance.metrics_url}

    @property
    @override
    def threads_file(self) -> Path:
        return self.instance.threads_file

    @override
    async def register(self, source: str, *, model: str, version: str, workers: int, timeout_s: float) -> None:
        await register_version(
            self.instance, source, model=model, version=version, workers=workers, timeout_s=timeout_s
        )

    @override
    async def unregister(self, model: str, version: str) -> None:
        await self.instance.management.unregister(model, version)

    @override
    async def prefer(self, model: str, version: str) -> None:
        await self.instance.management.set_default(model, version)

    @override
    async def describe_worker(self, model: str, version: str) -> WorkerDescription:
        return await self.instance.management.describe_worker(model, version)

    @override
    async def is_healthy(self) -> bool:
        return await self.instance.management.is_healthy()

    @override
    async def take_census(self) -> Census:
        lists = await take_lists(self.instance)
        self._ghosts = end_ghosts(lists, self._ghosts, self.instance)
        return lists

    @override
    async def worker_ids(self) -> frozenset[str]:
        return frozenset((await in_thread(lambda: read_workers(self.instance.pid))).values())

    @override
    def judge(self, look: HostLook) -> HostVerdict:
        reading = read_process(self.instance.pid)
        if reading is None:  # it has ended, and the supervisor is about to notice
            return HostVerdict(answers=False)
        return self._jvm.judge(
            JvmLook(
                now_s=time.monotonic(),
                reachable=look.reachable,
                answered=look.answered,
                stopped=reading.stopped,
                cpu_s=reading.cpu_s,
                has_folder=self.instance.folder.is_dir(),
                busy=look.busy,
            )
        )

    @override
    def new_repairs(self, model: str, version: str) -> Repairs:
        return VersionRepairs()

    @override
    async def scale(self, model: str, version: str, workers: int) -> None:
        await self.instance.management.begin_scaling(model, version, workers)

    @override
    def kill_worker(self, pid: int) -> bool:
        return kill_worker(pid, self.instance.pid)
