"""TorchServe and the gateway for one archive, started as `deephypebot serve` does, but without a registry."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import signal
import zipfile
from pathlib import Path
from typing import Any

from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from foundation.defaults import LOOPBACK
from handlers.contract import ARCHIVE_CONFIG
from serving.gateway.server import Gateway, GatewaySettings
from serving.registry.archives import inspect_archive
from serving.registry.contents import ArchiveInfo
from serving.torchserve.batcher import BatchLimits
from serving.torchserve.inference import Inference
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.traffic.routes import RoutingTable, make_route

_LOAD_S = 120.0


def main() -> None:
    """Serve until the benchmark ends the program."""
    asyncio.run(serve(server_settings()))


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    info = _info(settings.archive)
    torchserve = TorchServeSettings(model_store=settings.archive.parent, log_dir=settings.scratch / "logs")
    async with contextlib.AsyncExitStack() as stack:
        instance = await start_instance(torchserve)
        stack.push_async_callback(stop_instance, instance, torchserve)
        await instance.management.register(
            settings.archive.name, model=info.model, version=info.version, workers=settings.workers, timeout_s=_LOAD_S
        )
        gateway = await _gateway(instance, info, settings)
        stack.push_async_callback(gateway.stop)
        announce(
            settings,
            grpc=instance.inference_target,
            gateway=f"{LOOPBACK}:{settings.port}",
            model=info.model,
            version=info.version,
        )
        await ended.wait()


async def _gateway(instance: Instance, info: ArchiveInfo, settings: ServerSettings) -> Gateway:
    """Start a gateway with one route, as the registry sync would."""
    table = RoutingTable((info.model,))
    # The gateway forms batches where TorchServe forms none.
    batches = BatchLimits(workers=settings.workers) if settings.batch_size == 1 else None
    table.add(make_route(info, workers=settings.workers, batches=batches))
    table.switch(info.model, info.version)
    table.settle(info.model)
    inference = Inference(instance.inference_target)
    # The limit is high enough that no request is refused, since load shedding is not measured.
    gateway = Gateway(GatewaySettings(port=settings.port, max_in_flight=4096), table=table, inference=lambda: inference)
    await gateway.start()
    return gateway


def _info(archive: Path) -> ArchiveInfo:
    with zipfile.ZipFile(archive) as opened:
        config: dict[str, Any] = json.loads(opened.read(ARCHIVE_CONFIG))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return inspect_archive(archive, model=config["model"], version=config["version"], sha256=sha256)


if __name__ == "__main__":
    main()
