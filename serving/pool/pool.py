"""The pool as long as the service: its folder, its log and its metrics page, and the workers of all versions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from typing_extensions import override

from foundation.locked_folders import locked_folder
from foundation.private_files import make_private
from serving.errors import WorkerHostError
from serving.pool.logs import WorkersLog
from serving.pool.metrics import PoolMetrics, metrics_page
from serving.pool.process import Surroundings, caches
from serving.pool.running import RunningPool
from serving.pool.settings import PoolSettings
from serving.workers.host import RunningHost, WorkerHost
from serving.workers.replacements import HostFault

_RUN: Final = "run"
"""Folder beside the log for what the pool needs while it runs."""
_PREFIX: Final = "pool-"


class Pool(WorkerHost):
    """Worker host of this process: it runs for as long as the service, so it is never replaced.

    Args:
        settings: settings of the pool.
        on_down: called when it stops.
    """

    def __init__(self, settings: PoolSettings, *, on_down: Callable[[], None]) -> None:
        self._settings = settings
        self._on_down = on_down
        self._running: RunningPool | None = None
        self._up = asyncio.Event()
        self._stack = contextlib.ExitStack()

    @property
    @override
    def running(self) -> RunningPool | None:
        return self._running

    @override
    async def wait_running(self) -> RunningPool:
        while self._running is None:
            await self._up.wait()
        return self._running

    @override
    async def start(self) -> None:
        settings = self._settings
        with contextlib.ExitStack() as stack:
            try:
                make_private(settings.log_dir)
                parent = settings.log_dir / _RUN
                parent.mkdir(exist_ok=True)
                scratch = stack.enter_context(locked_folder(parent.resolve(), _PREFIX))
                temporary = scratch / "tmp"
                temporary.mkdir()
                for cache in caches(temporary).values():
                    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
                log = WorkersLog(settings.log_dir)
                stack.callback(log.close)
            except OSError as cause:
                raise WorkerHostError(f"the pool of workers could not be started: {cause}") from cause
            metrics = PoolMetrics()
            url = stack.enter_context(metrics_page(metrics.registry, settings.metrics_port))
            shared = Surroundings(
                threads_file=scratch / "threads",
                temporary=temporary,
                log=log,
                metrics=metrics,
                stop_grace_s=settings.stop_grace_s,
                is_confined=settings.is_confined,
            )
            self._running = RunningPool(settings, shared=shared, scratch=scratch, metrics_url=url)
            self._stack = stack.pop_all()
        self._up.set()

    @override
    async def watch(self) -> None:
        """Do nothing until cancelled: the pool is in this process, and its workers are watched by their slots."""
        await asyncio.Event().wait()

    @override
    def replace(self, running: RunningHost, fault: HostFault) -> None:
        """Do nothing: a pool is never of no use (`RunningPool.judge`)."""

    @override
    async def stop(self) -> None:
        running = self._running
        if running is None:
            return
        self._running = None
        self._up.clear()
        self._on_down()
        await running.close()
        self._stack.close()
