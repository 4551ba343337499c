"""Registration of a version: TorchServe is asked to load it, and is looked at until its workers have.

TorchServe can wait by itself (`synchronous=true`), but then one of its few network threads waits: a version that hangs
while it loads would hold up every other call that falls to this thread, and the pings by which TorchServe is watched.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from foundation.threads import in_thread
from serving.torchserve.errors import TorchServeError
from serving.torchserve.management import DescribedVersion
from serving.torchserve.process import Instance
from serving.torchserve.processes import read_workers

_LOOK_S: Final = 0.2


@dataclass(slots=True, kw_only=True)
class LoadWatch:
    """Watch over the workers that load one version; it is shown one look after the other."""

    workers: int
    """Number of workers that should load it."""
    _loading: dict[str, int] = field(default_factory=dict)
    """Process of each worker that has not loaded the version yet."""

    def is_loaded(self, version: DescribedVersion, processes: dict[str, int]) -> bool:
        """Return whether all workers have loaded the version.

        Args:
            version: TorchServe's description.
            processes: process ids by the worker's id, as they were just before.

        Raises:
            TorchServeError: a worker died before it had loaded the version. TorchServe would go on starting others.
        """
        ready = {worker.id for worker in version.workers if worker.ready}
        for worker in version.workers:
            before, now = self._loading.get(worker.id), processes.get(worker.id)
            if worker.id in ready:
                self._loading.pop(worker.id, None)
            elif before is not None and now != before:
                raise TorchServeError(
                    f"TorchServe could not load {version.archive}: Failed to start workers, since one died while it "
                    "loaded; its traceback is in workers.log"
                )
            elif now is not None:
                self._loading[worker.id] = now
        return len(ready) == len(version.workers) == self.workers


async def register_version(
    instance: Instance, archive: str, *, model: str, version: str, workers: int, timeout_s: float
) -> None:
    """Register an archive of the model store and wait until its workers have loaded it.

    A version that TorchServe already holds is removed first, with its requests in flight.

    Raises:
        TorchServeError: TorchServe refuses it, a worker dies while it loads, or it is not loaded within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    management, watch = instance.management, LoadWatch(workers=workers)
    await management.begin_registration(archive, model=model, version=version, workers=workers)
    scaled = False
    while True:
        running = await in_thread(lambda: read_workers(instance.pid))
        described = [entry for entry in await management.describe(model) if entry.version == version]
        if not described:
            raise TorchServeError(f"TorchServe could not load {archive}: it does not hold it any more")
        if watch.is_loaded(described[0], {worker: pid for pid, worker in running.items()}):
            return
        if not scaled and described[0].workers and len(described[0].workers) != workers:
            # minWorkers and maxWorkers in the archive's model-config.yaml overrule the first number, but not this one.
            await management.begin_scaling(model, version, workers)
            scaled = True
        if time.monotonic() > deadline:
            raise TorchServeError(f"TorchServe did not load {archive} within {timeout_s:g} s; see workers.log")
        await asyncio.sleep(_LOOK_S)
