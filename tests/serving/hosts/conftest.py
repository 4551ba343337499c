"""Both worker hosts, one after the other, for one suite of tests: what serving needs of a host holds for each."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from serving.pool.pool import Pool
from serving.pool.settings import PoolSettings
from serving.torchserve.process import TorchServeSettings
from serving.torchserve.supervisor import Supervisor
from serving.workers.cores import CoreShares
from serving.workers.host import RunningHost, WorkerHost
from serving.workers.kinds import WorkerHostKind
from tests.serving.support import PLANTED, build_archive

MODEL = "hosted"
ANSWERING, OTHER, IMPATIENT, BROKEN = "1", "2", "3", "4"
"""Versions: two that answer, one whose worker has a second for an answer, and one that cannot be loaded."""

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Hosted:
    """A worker host that runs, and the event loop in which it does."""

    kind: WorkerHostKind
    host: WorkerHost
    runner: asyncio.Runner
    folder: Path

    @property
    def running(self) -> RunningHost:
        assert self.host.running is not None
        return self.host.running

    def run(self, scene: Coroutine[Any, Any, _T], *, timeout_s: float = 60) -> _T:
        return self.runner.run(asyncio.wait_for(scene, timeout_s))

    async def register(self, version: str, *, workers: int = 1, model: str = MODEL) -> None:
        await self.running.register(
            f"{model}_{version}.mar", model=model, version=version, workers=workers, timeout_s=30
        )


@pytest.fixture(scope="session")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the versions' archives."""
    folder = tmp_path_factory.mktemp("hosted")
    for version in (ANSWERING, OTHER):
        build_archive(folder, MODEL, version, batch_size=1, signs=True)
    build_archive(folder, MODEL, IMPATIENT, batch_size=1, response_timeout_s=1)
    build_archive(folder, MODEL, BROKEN, batch_size=1, broken=True)
    return folder


def open_host(kind: WorkerHostKind, store: Path, logs: Path) -> WorkerHost:
    if kind is WorkerHostKind.POOL:
        return Pool(PoolSettings(model_store=store, log_dir=logs), on_down=lambda: None)
    return Supervisor(TorchServeSettings(model_store=store, log_dir=logs), on_down=lambda: None)


@pytest.fixture(
    scope="module",
    params=[pytest.param(WorkerHostKind.TORCHSERVE, marks=pytest.mark.pool), WorkerHostKind.POOL],
    ids=str,
)
def hosted(
    request: pytest.FixtureRequest, archives: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosted]:
    """A host that runs, with one version that answers in two workers."""
    folder = tmp_path_factory.mktemp(str(request.param))
    shutil.copytree(archives, folder / "store")
    with asyncio.Runner() as runner, pytest.MonkeyPatch.context() as patch:
        for variable, secret in PLANTED.items():
            patch.setenv(variable, secret)

        async def start() -> WorkerHost:
            opened = open_host(request.param, folder / "store", folder / "logs")
            await opened.start()
            return opened

        host = runner.run(start())
        hosted = Hosted(kind=request.param, host=host, runner=runner, folder=folder)
        try:
            CoreShares(hosted.running.threads_file, workers=2).add(MODEL, ANSWERING)
            hosted.run(hosted.register(ANSWERING, workers=2))
            yield hosted
        finally:
            runner.run(host.stop())
