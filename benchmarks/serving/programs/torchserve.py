"""TorchServe for one archive, started as `deephypebot serve` does; it forms the batches itself."""

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
from handlers.contract import ARCHIVE_CONFIG
from serving.registry.archives import inspect_archive
from serving.registry.contents import ArchiveInfo
from serving.torchserve.process import TorchServeSettings, start_instance, stop_instance
from serving.torchserve.registration import register_version

LOAD_S = 120.0
"""Time for the workers to load the model."""


def main() -> None:
    """Serve until the benchmark ends the program."""
    asyncio.run(serve(server_settings()))


async def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    info = archive_info(settings.archive)
    torchserve = TorchServeSettings(model_store=settings.archive.parent, log_dir=settings.scratch / "logs")
    async with contextlib.AsyncExitStack() as stack:
        instance = await start_instance(torchserve)
        stack.push_async_callback(stop_instance, instance, torchserve)
        await register_version(
            instance,
            settings.archive.name,
            model=info.model,
            version=info.version,
            workers=settings.workers,
            timeout_s=LOAD_S,
        )
        announce(
            settings,
            grpc=instance.inference_target,
            grpc_keys=str(instance.folder),
            model=info.model,
            version=info.version,
        )
        await ended.wait()


def archive_info(archive: Path) -> ArchiveInfo:
    """Return the description of an archive, whatever model and version it is of."""
    with zipfile.ZipFile(archive) as opened:
        config: dict[str, Any] = json.loads(opened.read(ARCHIVE_CONFIG))
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    return inspect_archive(archive, model=config["model"], version=config["version"], sha256=sha256)


if __name__ == "__main__":
    main()
