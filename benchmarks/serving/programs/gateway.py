"""The gateway with all of its parts before TorchServe, as `deephypebot serve` runs it, but without a registry.

Exposures are written, metrics are counted, and where the settings have a shadow, it gets a copy of each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal

from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from benchmarks.serving.programs.torchserve import LOAD_S, archive_info
from foundation.defaults import LOOPBACK
from serving.gateway.server import Gateway, GatewaySettings
from serving.registry.contents import ArchiveInfo
from serving.registry.unpacked import Unpacked
from serving.torchserve.inference import Inference
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.torchserve.registration import register_version
from serving.traffic.exposures import Recorder
from serving.traffic.policy import Arm, TrafficPolicy
from serving.traffic.route import make_route
from serving.traffic.routes import RoutingTable
from serving.traffic.segments import ExposureSettings, Segments


def main() -> None:
    """Serve until the benchmark ends the program."""
    asyncio.run(serve(server_settings()))


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    store = settings.archive.parent
    torchserve = TorchServeSettings(model_store=store, log_dir=settings.scratch / "logs")
    async with contextlib.AsyncExitStack() as stack:
        unpacked = stack.enter_context(Unpacked(store))
        instance = await start_instance(torchserve)
        stack.push_async_callback(stop_instance, instance, torchserve)
        infos = [archive_info(path) for path in (settings.archive, settings.shadow) if path is not None]
        table = RoutingTable((infos[0].model,))
        inference = Inference(instance.inference_target)
        for info in infos:
            await _load(info, instance, inference, table=table, unpacked=unpacked, settings=settings)
        _share(table, infos)
        segments = Segments(ExposureSettings(folder=settings.scratch / "exposures"))
        stack.callback(segments.close)
        flushing = asyncio.create_task(segments.run())
        stack.callback(flushing.cancel)
        # The limit is high enough that no request is refused, since load shedding is not measured.
        gateway = Gateway(
            GatewaySettings(port=settings.port, max_in_flight=4096),
            table=table,
            inference=lambda: inference,
            recorder=Recorder(segments),
        )
        await gateway.start()
        stack.push_async_callback(gateway.stop)
        announce(
            settings,
            grpc=instance.inference_target,
            gateway=f"{LOOPBACK}:{settings.port}",
            model=infos[0].model,
            version=infos[0].version,
        )
        await ended.wait()


async def _load(
    info: ArchiveInfo,
    instance: Instance,
    inference: Inference,
    *,
    table: RoutingTable,
    unpacked: Unpacked,
    settings: ServerSettings,
) -> None:
    """Load a version as the registry sync does."""
    archive = settings.archive if info.version == archive_info(settings.archive).version else settings.shadow
    folder = unpacked.folder(archive, info) if archive is not None else None
    if folder is None:
        raise RuntimeError(f"the archive of {info.model} {info.version} could not be unpacked")
    await register_version(
        instance, str(folder), model=info.model, version=info.version, workers=settings.workers, timeout_s=LOAD_S
    )
    route = make_route(info, workers=settings.workers, batching=inference)
    route.workers_ready = settings.workers
    table.add(route)


def _share(table: RoutingTable, infos: list[ArchiveInfo]) -> None:
    """Let the first version answer, and the others get copies."""
    model, version = infos[0].model, infos[0].version
    table.switch(model, version)
    table.set_policy(
        model,
        TrafficPolicy(
            model=model,
            arms=(Arm(version=version, share=1.0),),
            shadows=tuple(info.version for info in infos[1:]),
            salt=model,
        ),
    )
    table.settle(model)


if __name__ == "__main__":
    main()
