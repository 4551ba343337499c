"""Census of TorchServe's workers: those that it lists, and the processes that there are."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from typing_extensions import override

from foundation.threads import in_thread
from serving.torchserve.management import DescribedVersion
from serving.torchserve.process import Instance
from serving.torchserve.processes import kill_worker, read_workers
from serving.workers.host import Census
from serving.workers.processes import look_at
from serving.workers.verdicts import WorkerLook

_log = logging.getLogger(__name__)

_LIST_TIMEOUT_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists(Census):
    """TorchServe's versions, and the worker processes there were just before it was asked."""

    taken_s: float
    versions: Mapping[tuple[str, str], DescribedVersion]
    """Versions by model and number."""
    pids: Mapping[str, int]
    """Process ids by the worker's id; TorchServe itself has the last one's while a new one is being started."""

    @override
    def look_at(self, model: str, version: str) -> tuple[WorkerLook, ...] | None:
        described = self.versions.get((model, version))
        if described is None:
            return None
        looks = []
        for worker in described.workers:
            pid = self.pids.get(worker.id, 0)
            looks.append(look_at(worker.id, pid, ready=worker.ready and pid == worker.pid))
        return tuple(looks)


async def take_lists(instance: Instance) -> Lists:
    """Read the processes, then TorchServe's lists: a worker is in its list before its process starts.

    Raises:
        TorchServeError: TorchServe does not answer.
    """
    taken_s = time.monotonic()
    workers = await in_thread(lambda: read_workers(instance.pid))
    management = replace(instance.management, timeout_s=_LIST_TIMEOUT_S)
    described = [each for model in await management.list_models() for each in await management.describe(model)]
    return Lists(
        taken_s=taken_s,
        versions={(each.model, each.version): each for each in described},
        pids={worker: pid for pid, worker in workers.items()},
    )


def end_ghosts(census: Lists, seen: set[int], instance: Instance) -> set[int]:
    """Kill workers that are in no list, if the census before found them as well.

    Args:
        census: the census.
        seen: what this function returned for the census before.
        instance: the TorchServe.

    Returns:
        Process ids of workers that were found in no list for the first time.
    """
    listed = {worker.id for version in census.versions.values() for worker in version.workers}
    ghosts = {pid for worker, pid in census.pids.items() if worker not in listed}
    for pid in ghosts & seen:
        if kill_worker(pid, instance.pid):
            _log.warning("worker %d, which TorchServe started after it was scaled away, is ended", pid)
    return ghosts - seen
