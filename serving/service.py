"""Composition root of the serving side: worker host, registry sync and gateway, wired together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from foundation.private_files import keep_writers_out, make_private
from serving.errors import ArchiveError, SecurityError
from serving.gateway.access_log import open_access_log
from serving.gateway.metrics_page import metrics_page
from serving.gateway.server import Gateway
from serving.http.door import Door
from serving.pool.pool import Pool
from serving.pool.settings import PoolSettings
from serving.ready_file import ReadyFile
from serving.registry.host_name import own_host_name
from serving.registry.owned_reasons import OwnedReasons
from serving.registry.unpacked import Unpacked
from serving.settings import ServiceSettings
from serving.sync.counts import SyncCounts
from serving.sync.loop import Sync
from serving.sync.watch import Watch
from serving.telemetry import names
from serving.telemetry.tracing import open_tracing
from serving.torchserve.supervisor import Supervisor
from serving.traffic.drift_book import DriftBook
from serving.traffic.exposures import Recorder
from serving.traffic.learned import LearnedReferences
from serving.traffic.routes import RoutingTable
from serving.traffic.segments import Segments
from serving.workers.host import RunningHost, WorkerHost
from serving.workers.replacements import Replacements

_log = logging.getLogger(__name__)

_PARENT_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Service:
    """A running service."""

    target: str
    """Address of the gateway."""
    metrics_url: str
    """Address of the gateway's Prometheus page."""
    http_url: str
    """Address of the HTTP/JSON door; empty if there is none."""
    table: RoutingTable
    host: WorkerHost
    failed: asyncio.Future[None]
    """Future that gets the exception of a part that ends, since no part should."""
    changed: asyncio.Condition

    @property
    def is_live(self) -> bool:
        """Whether every model has a champion that answers."""
        return all(self.table.champion(model) is not None for model in self.table.models)


@contextlib.asynccontextmanager
async def running_service(settings: ServiceSettings, *, hurry: asyncio.Event) -> AsyncIterator[Service]:
    """Run the service for the length of the block, then drain it and end its processes.

    Args:
        settings: what to run.
        hurry: ends the drain when it is set.

    Raises:
        PortInUseError: the gateway's port is taken.
        WorkerHostError: what runs the workers cannot be started.
        RegistryError: the registry does not exist, and there is no last good state to start with.
        ArchiveError: the model store cannot be made.
        SecurityError: the file of trusted keys cannot be used, or others may write the model store with it.
        TracingError: the environment's variables for traces cannot be followed.
    """
    table = RoutingTable(settings.models)
    changed = asyncio.Condition()
    wake = asyncio.Event()

    def on_down() -> None:
        table.suspend()
        wake.set()

    def on_webhook() -> None:
        sync.wake()  # the door opens when there is a sync

    replacements = Replacements()
    host = _worker_host(settings, on_down=on_down, replacements=replacements)
    segments = Segments(settings.exposures) if settings.exposures is not None else None
    async with contextlib.AsyncExitStack() as stack:
        tracing, sender = stack.enter_context(open_tracing(names.GATEWAY)) or (None, None)
        access_log = stack.enter_context(open_access_log(settings.access_log))
        reasons = OwnedReasons(host=stack.enter_context(own_host_name(settings.sync.last_good)))
        gateway = Gateway(
            settings.gateway,
            table=table,
            inference=lambda: host.running.inference if host.running is not None else None,
            recorder=Recorder(segments),
            shadow=settings.shadow,
            tracing=tracing,
            access_log=access_log,
            drift=DriftBook(learned=LearnedReferences(settings.learned_references)),
            host_name=reasons.host,
        )
        if sender is not None:
            gateway.metrics.counts.name_source("gateway_spans", sender.counts)
            gateway.metrics.counts.name_source("gateway_traces_dropped", lambda: sender.dropped)
        door = Door(settings.http, gateway=gateway, wake=on_webhook) if settings.http is not None else None
        _make_model_store(settings.sync.model_store, is_trusted=settings.sync.trusted_keys is not None)
        unpacked = stack.enter_context(Unpacked(settings.sync.model_store))
        # The exits run in the opposite order: sync ends, requests in flight are answered, the workers stop.
        if segments is not None:
            stack.callback(segments.close)
        stack.push_async_callback(host.stop)
        if door is not None:
            stack.push_async_callback(door.stop)
        stack.push_async_callback(gateway.stop, hurry)
        # The port first: it is the likeliest problem and the quickest to check.
        target = await gateway.start()
        metrics_url = stack.enter_context(
            metrics_page(
                gateway.metrics,
                settings.gateway_metrics_port,
                host=settings.gateway_metrics_host,
                workers_url=lambda: running.metrics_url if (running := host.running) else None,
            )
        )
        sync_counts = SyncCounts(settings.models)
        for count in ("switches", "errors", "refused_versions"):
            gateway.metrics.counts.name_source(f"sync_{count}", partial(getattr, sync_counts, count))
        sync = Sync(
            settings.sync,
            tracking_uri=settings.tracking_uri,
            host=host,
            table=table,
            unpacked=unpacked,
            on_change=wake.set,
            observer=sync_counts,
            drift=gateway.drift,
            reasons=reasons,
        )
        if settings.sync.trusted_keys is None:
            _log.info("archives need no signature; --trusted-keys names the keys that must have signed them")
        http_url = await door.start() if door is not None else ""
        await _start_host_and_registry(host, sync)
        watch = Watch(
            host=host,
            table=table,
            workers=settings.sync.workers,
            replacements=replacements,
            on_change=wake.set,
            reload=sync.reload,
            withdraw=sync.withdraw,
        )
        gateway.metrics.counts.name_source("workers_replaced", lambda: replacements.workers)
        gateway.metrics.counts.name_source("torchserve_restarts", lambda: replacements.host)
        endless = [
            host.watch(),
            sync.run(),
            watch.run(),
            _spread_changes(wake, changed, gateway),
            gateway.wait_ended(),
        ]
        if segments is not None:
            endless.append(segments.run())
        failed = await stack.enter_async_context(_in_background(*endless))
        yield Service(
            target=target,
            metrics_url=metrics_url,
            http_url=http_url,
            table=table,
            host=host,
            failed=failed,
            changed=changed,
        )


async def serve(settings: ServiceSettings, *, stop_with_parent: bool = False) -> None:
    """Run the service until SIGTERM or SIGINT, then drain. A second signal ends the drain, a third the process.

    Args:
        settings: what to run.
        stop_with_parent: also stop when the parent process ends, in whatever way.

    Raises:
        ServingError: see `running_service`.
    """
    stop, hurry = asyncio.Event(), asyncio.Event()
    _on_signals(stop, hurry)
    stopping = asyncio.create_task(stop.wait())
    running = asyncio.create_task(_run(settings, hurry))
    waiting = [stopping, running]
    if stop_with_parent:
        waiting.append(asyncio.create_task(_parent_gone(os.getppid())))
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            _log.info(
                "draining: waiting at most %g s for the requests in flight; a second signal ends at once",
                settings.gateway.drain_s,
            )
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    if not running.cancelled():
        running.result()


def _on_signals(stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """Let the first SIGTERM or SIGINT set `stop` and the second one `hurry`; a third does what it always does."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def note() -> None:
        if not stop.is_set():
            stop.set()
            return
        hurry.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, note)


async def _run(settings: ServiceSettings, hurry: asyncio.Event) -> None:
    """Run the service until it is cancelled or fails."""
    ready_file = ReadyFile(settings.ready_file)
    ready_file.remove_stale()
    async with running_service(settings, hurry=hurry) as service:
        _log.info("gateway listens on %s, with its metrics on %s", service.target, service.metrics_url)
        if service.http_url:
            _log.info("HTTP/JSON is on %s", service.http_url)
        reporting = asyncio.create_task(_report(service, ready_file))
        try:
            await asyncio.wait([reporting, service.failed], return_when=asyncio.FIRST_COMPLETED)
            if reporting.done():
                reporting.result()
            await service.failed
        finally:
            reporting.cancel()
            await asyncio.gather(reporting, return_exceptions=True)
            ready_file.remove()


async def _report(service: Service, ready_file: ReadyFile) -> None:
    """Write the service's addresses into the log and the ready file, again whenever they change."""
    was_live, workers_page = False, ""
    while True:
        async with service.changed:
            running = service.host.running
            if running is not None and running.metrics_url != workers_page:
                workers_page = running.metrics_url
                _log.info("metrics of the workers are on %s", workers_page)
            if service.is_live and running is not None:
                if not was_live:
                    was_live = True
                    _log.info("every model is live: %s", ", ".join(service.table.models))
                ready_file.write(_addresses(service, running))
            await service.changed.wait()


def _addresses(service: Service, running: RunningHost) -> dict[str, Any]:
    return {
        "target": service.target,
        "pid": os.getpid(),
        **running.addresses,
        "gateway_metrics": service.metrics_url,
        **({"http": service.http_url} if service.http_url else {}),
        "champions": {model: service.table.champion(model) for model in service.table.models},
    }


def _make_model_store(folder: Path, *, is_trusted: bool) -> None:
    """Make the model store; where signatures count, nobody else may change what was checked."""
    try:
        make_private(folder)
    except OSError as cause:
        raise ArchiveError(
            f"the model store {folder} cannot be made ({cause.strerror}); choose another with --model-store"
        ) from cause
    if not is_trusted:
        return
    try:
        keep_writers_out(folder)
    except OSError as cause:
        raise SecurityError(
            f"{cause}. With --trusted-keys nobody else may write the model store; or choose another with --model-store"
        ) from cause


def _worker_host(settings: ServiceSettings, *, on_down: Callable[[], None], replacements: Replacements) -> WorkerHost:
    """Return the worker host that the settings name."""
    if isinstance(settings.host, PoolSettings):
        return Pool(settings.host, on_down=on_down)
    return Supervisor(settings.host, on_down=on_down, replacements=replacements)


async def _start_host_and_registry(host: WorkerHost, sync: Sync) -> None:
    """Start the worker host and open the registry at once, as each takes seconds; if one fails, the host is stopped."""
    starting = asyncio.create_task(host.start())
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
