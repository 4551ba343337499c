"""Measure the time until a worker is ready, and its memory, beside a process that only imports torch.

    python scripts/measure_worker.py BUNDLE [--rounds 5]

BUNDLE is a model's bundle (workspace/stages/lcgan-*/bundle). Each round starts such a process, then a worker in the
real TorchServe; medians of the rounds are shown, times by the clock and in processor time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from handlers.model.bundle import Bundle
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.workers.cores import CoreShares
from training.packaging.archive import build_archive

_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One process, when it was ready."""

    seconds: float
    """Since the system made it."""
    cpu_s: float
    rss_mb: float


def _looked_at(process: psutil.Process) -> Start:
    seconds = time.time() - process.create_time()
    times = process.cpu_times()
    return Start(seconds=seconds, cpu_s=times.user + times.system, rss_mb=process.memory_info().rss / 2**20)


def _start_torch() -> Start:
    code = "import torch; print(flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:  # noqa: S603 - our own
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        child.stdout.readline()
        start = _looked_at(psutil.Process(child.pid))
        child.communicate(b"\n")
    return start


async def _start_worker(instance: Instance, model: str) -> Start:
    await instance.management.register(
        f"{model}_{_VERSION}.mar", model=model, version=_VERSION, workers=1, timeout_s=300
    )
    (described,) = await instance.management.describe(model)
    start = _looked_at(psutil.Process(described.worker_pids[0]))
    await instance.management.unregister(model, _VERSION)
    return start


async def _measure(bundle: Path, rounds: int, folder: Path) -> dict[str, list[Start]]:
    model = Bundle.load(bundle).config.model
    build_archive(bundle, folder / "store", version=_VERSION)
    settings = TorchServeSettings(model_store=folder / "store", log_dir=folder / "logs")
    instance = await start_instance(settings)
    found: dict[str, list[Start]] = {"torch": [], "worker": []}
    try:
        CoreShares(instance.threads_file, workers=1, cores=1).add(model, _VERSION)
        for _ in range(rounds):
            found["torch"].append(await asyncio.to_thread(_start_torch))
            found["worker"].append(await _start_worker(instance, model))
    finally:
        await stop_instance(instance, settings)
    return found


def main() -> None:
    """Measure and print, a line for each kind of process and one of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="measure-worker-") as folder:
        found = asyncio.run(_measure(arguments.bundle, arguments.rounds, Path(folder)))
    figures = {
        kind: {name: round(statistics.median(asdict(start)[name] for start in starts), 2) for name in asdict(starts[0])}
        for kind, starts in found.items()
    }
    for kind, values in figures.items():
        sys.stdout.write(f"{kind:7s} " + "  ".join(f"{name} {value:g}" for name, value in values.items()) + "\n")
    sys.stdout.write(json.dumps({"name": "worker", "figures": figures}) + "\n")


if __name__ == "__main__":
    main()
