"""Composition root of the serving side: TorchServe, registry sync and gateway, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from serving.errors import ArchiveError
from serving.gateway.metrics_page import metrics_page
from serving.gateway.server import Gateway
from serving.settings import ServiceSettings
from serving.sync.counts import SyncCounts
from serving.sync.loop import Sync
from serving.torchserve.supervisor import Supervisor
from serving.traffic.exposures import Recorder
from serving.traffic.routes import RoutingTable
from serving.traffic.segments import Segments

_log = logging.getLogger(__name__)

_PARENT_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Service:
    """A running service."""

    target: str
    """Address of the gateway."""
    metrics_url: str
    """Address of the gateway's Prometheus page."""
    table: RoutingTable
    supervisor: Supervisor
    failed: asyncio.Future[None]
    """Future that gets the exception of a part that ends, since no part should."""
    changed: asyncio.Condition

    async def wait_live(self) -> None:
        """Wait until every model has a champion that answers."""
        async with self.changed:
            await self.changed.wait_for(
                lambda: all(self.table.champion(model) is not None for model in self.table.models)
            )


@contextlib.asynccontextmanager
async def running_service(settings: ServiceSettings) -> AsyncIterator[Service]:
    """Run the service for the length of the block, then drain it and end its processes.

    Raises:
        PortInUseError: the gateway's port is taken.
        JavaMissingError, TorchServeError: TorchServe cannot be started.
        RegistryError: the registry does not exist, and there is no last good state to start with.
        ArchiveError: the model store cannot be made.
    """
    table = RoutingTable(settings.models)
    changed = asyncio.Condition()
    wake = asyncio.Event()

    def on_down() -> None:
        table.suspend()
        wake.set()

    supervisor = Supervisor(settings.torchserve, on_down=on_down)
    segments = Segments(settings.exposures) if settings.exposures is not None else None
    gateway = Gateway(
        settings.gateway,
        table=table,
        inference=lambda: supervisor.running.inference if supervisor.running is not None else None,
        recorder=Recorder(segments),
        shadow=settings.shadow,
    )
    async with contextlib.AsyncExitStack() as stack:
        # The exits run in the opposite order: sync ends, requests in flight are answered, TorchServe stops.
        if segments is not None:
            stack.callback(segments.close)
        stack.push_async_callback(supervisor.stop)
        stack.push_async_callback(gateway.stop)
        # The port first: it is the likeliest problem and the quickest to check.
        target = await gateway.start()
        metrics_url = stack.enter_context(
            metrics_page(
                gateway.metrics,
                settings.gateway_metrics_port,
                torchserve_url=lambda: running.instance.metrics_url if (running := supervisor.running) else None,
            )
        )
        _make_model_store(settings.torchserve.model_store)
        sync_counts = SyncCounts(settings.models)
        for count in ("switches", "errors", "refused_versions"):
            gateway.metrics.counts.name_source(f"sync_{count}", partial(getattr, sync_counts, count))
        sync = Sync(
            settings.sync,
            tracking_uri=settings.tracking_uri,
            supervisor=supervisor,
            table=table,
            on_change=wake.set,
            observer=sync_counts,
        )
        await _start_torchserve_and_registry(supervisor, sync)
        endless = [supervisor.watch(), sync.run(), _spread_changes(wake, changed, gateway)]
        if segments is not None:
            endless.append(segments.run())
        failed = await stack.enter_async_context(_in_background(*endless))
        yield Service(
            target=target, metrics_url=metrics_url, table=table, supervisor=supervisor, failed=failed, changed=changed
        )


async def serve(settings: ServiceSettings, *, stop_with_parent: bool = False) -> None:
    """Run the service until SIGTERM or SIGINT, then drain.

    Args:
        settings: what to run.
        stop_with_parent: also stop when the parent process ends, in whatever way.

    Raises:
        ServingError: see `running_service`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stopping = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_run(settings))
    waiting = [stopping, running]
    if stop_with_parent:
        waiting.append(asyncio.create_task(_parent_gone(os.getppid())))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            _log.info("draining")
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    if not running.cancelled():
        running.result()


async def _run(settings: ServiceSettings) -> None:
    """Run the service until it is cancelled or fails."""
    async with running_service(settings) as service:
        _log.info("gateway listens on %s, with its metrics on %s", service.target, service.metrics_url)
        if (running := service.supervisor.running) is not None:
            _log.info("metrics of the workers are on %s", running.instance.metrics_url)
        live = asyncio.create_task(service.wait_live())
        await asyncio.wait([live, service.failed], return_when=asyncio.FIRST_COMPLETED)
        if live.done():
            _log.info("every model is live: %s", ", ".join(service.table.models))
            with _ready_file(settings.ready_file, service):
                await service.failed
        live.cancel()
        await service.failed


def _make_model_store(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise ArchiveError(
            f"the model store {folder} cannot be made ({cause.strerror}); choose another with --model-store"
        ) from cause


async def _start_torchserve_and_registry(supervisor: Supervisor, sync: Sync) -> None:
    """Start TorchServe and open the registry at once, as each takes seconds; if one fails, TorchServe is stopped."""
    starting = asyncio.create_task(supervisor.start())
    try:
        await sync.open()
        await starting
    except BaseException:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        raise


@contextlib.asynccontextmanager
async def _in_background(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Future[None]]:
    """Run coroutines that should never end; the future gets the exception of the first that fails."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(task: asyncio.Task[None]) -> None:
        fault = None if task.cancelled() else task.exception()
        if fault is not None and not failed.done():
            failed.set_exception(fault)

    tasks = [asyncio.create_task(work) for work in endless]
    for task in tasks:
        task.add_done_callback(note)
    try:
        yield failed
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        failed.cancel()


async def _spread_changes(wake: asyncio.Event, changed: asyncio.Condition, gateway: Gateway) -> None:
    """Report every change to health watchers and to the waiters on `changed`."""
    while True:
        await wake.wait()
        wake.clear()
        await gateway.update_health()
        async with changed:
            changed.notify_all()


async def _parent_gone(parent: int) -> None:
    while True:  # there is no portable event for it
        await asyncio.sleep(_PARENT_POLL_S)
        if os.getppid() != parent:
            return


@contextlib.contextmanager
def _ready_file(path: Path | None, service: Service) -> Iterator[None]:
    """Keep a file with the service's addresses for the length of the block. It is written in one step."""
    if path is None:
        yield
        return
    running = service.supervisor.running
    document = {
        "target": service.target,
        "pid": os.getpid(),
        "torchserve_pid": running.instance.pid if running else None,
        "metrics": running.instance.metrics_url if running else None,
        "gateway_metrics": service.metrics_url,
        "champions": {model: service.table.champion(model) for model in service.table.models},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.replace(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
