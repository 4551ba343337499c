"""The gateway with all of its parts before its workers, as `deephypebot serve` runs it, but without a registry.

Exposures are written, metrics are counted, and traffic is compared with the versions' references. An archive without a
reference learns one from its first answers, in the warm-up. Where the settings have a shadow, it gets a copy of each
request; where they have another arm, the two versions are in an interleaved experiment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from benchmarks.serving.programs.guarded import guarded
from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from benchmarks.serving.programs.torchserve import LOAD_S, archive_info
from foundation.defaults import LOOPBACK
from serving.gateway.access_log import open_access_log
from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.http.door import Door
from serving.http.settings import HttpSettings
from serving.pool.pool import Pool
from serving.pool.settings import PoolSettings
from serving.registry.contents import ArchiveInfo
from serving.registry.unpacked import Unpacked, forms_batches
from serving.telemetry import names
from serving.telemetry.tracing import open_tracing
from serving.torchserve.process import TorchServeSettings
from serving.torchserve.supervisor import Supervisor
from serving.traffic.drift_book import DriftBook
from serving.traffic.experiment import ExperimentArms, ExperimentDesign
from serving.traffic.exposures import Recorder
from serving.traffic.policy import Arm, TrafficPolicy
from serving.traffic.route import make_route
from serving.traffic.routes import RoutingTable
from serving.traffic.segments import ExposureSettings, Segments
from serving.workers.host import RunningHost, WorkerHost


def main() -> None:
    """Serve until the benchmark ends the program."""
    asyncio.run(serve(server_settings()))


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    store = settings.archive.parent
    began = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        unpacked = stack.enter_context(Unpacked(store))
        host = _host(settings)
        await host.start()
        stack.push_async_callback(host.stop)
        running = await host.wait_running()
        info = archive_info(settings.archive)
        table = RoutingTable((info.model,))
        for path in (settings.archive, settings.shadow, settings.arm):
            if path is not None:
                await _load(path, running, table=table, unpacked=unpacked, settings=settings)
        ready_s = time.monotonic() - began
        _share(table, info, settings)
        segments = Segments(ExposureSettings(folder=settings.scratch / "exposures"))
        stack.callback(segments.close)
        flushing = asyncio.create_task(segments.run())
        stack.callback(flushing.cancel)
        # The limit is high enough that no request is refused, since load shedding is not measured.
        if settings.traces:
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = settings.traces
        tracing, _ = stack.enter_context(open_tracing(names.GATEWAY)) or (None, None)
        access_log = open_access_log(str(settings.scratch / "access.jsonl") if settings.access_log else None)
        security, needed = guarded(settings.scratch, tls=settings.tls, tokens=settings.tokens)
        gateway = Gateway(
            GatewaySettings(port=settings.port, max_in_flight=4096, security=security),
            table=table,
            inference=lambda: running.inference,
            recorder=Recorder(segments),
            drift=None if settings.drift else _Unwatched(),
            tracing=tracing,
            access_log=stack.enter_context(access_log),
        )
        await gateway.start()
        door = Door(HttpSettings(), gateway=gateway) if settings.http else None
        if door is not None:
            needed["http"] = await door.start()
            stack.push_async_callback(door.stop)
        stack.push_async_callback(gateway.stop)
        announce(
            settings,
            ready_s=str(ready_s),
            gateway=f"{LOOPBACK}:{settings.port}",
            model=info.model,
            version=info.version,
            **needed,
        )
        await ended.wait()


def _host(settings: ServerSettings) -> WorkerHost:
    """Return what runs the workers."""
    store, logs = settings.archive.parent, settings.scratch / "logs"
    if settings.pool:
        return Pool(PoolSettings(model_store=store, log_dir=logs), on_down=_nothing)
    return Supervisor(TorchServeSettings(model_store=store, log_dir=logs), on_down=_nothing)


def _nothing() -> None:
    """Do nothing when the host goes: it does so at the end."""


class _Unwatched(DriftBook):
    """Watch that notes nothing, to measure what one costs."""

    def note(self, *_: object) -> None:
        """Note nothing."""


async def _load(
    archive: Path,
    running: RunningHost,
    *,
    table: RoutingTable,
    unpacked: Unpacked,
    settings: ServerSettings,
) -> None:
    """Load a version as the registry sync does."""
    info = archive_info(archive)
    folder = unpacked.folder(archive, info)
    if folder is None:
        raise RuntimeError(f"the archive of {info.model} {info.version} could not be unpacked")
    await running.register(
        str(folder), model=info.model, version=info.version, workers=settings.workers, timeout_s=LOAD_S
    )
    batching = running.inference if forms_batches(info) else None
    route = make_route(info, workers=settings.workers, batching=batching)
    route.workers_ready = settings.workers
    table.add(route)


def _share(table: RoutingTable, info: ArchiveInfo, settings: ServerSettings) -> None:
    """Let the version answer; a shadow gets copies, and another arm is in an experiment with it."""
    model, version = info.model, info.version
    arms = () if settings.arm is None else (version, archive_info(settings.arm).version)
    table.switch(model, version)
    table.set_policy(
        model,
        TrafficPolicy(
            model=model,
            arms=(Arm(version=version, share=1.0),),
            shadows=() if settings.shadow is None else (archive_info(settings.shadow).version,),
            salt=model,
            experiment=(
                ExperimentArms(name="bench", design=ExperimentDesign.INTERLEAVED, versions=arms) if arms else None
            ),
        ),
    )
    table.settle(model)


if __name__ == "__main__":
    main()
