"""Repairs of a pooled version. Its slots start workers again by themselves, so little is left to repair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from serving.workers.host import Repair, Repairs
from serving.workers.verdicts import WorkerLook

HOPELESS_STARTS: Final = 3
"""Starts in a row that failed in every slot, after which the version is registered again, or else withdrawn."""
PAUSE_S: Final = 5.0
"""Pause after a repair."""


@dataclass(slots=True, kw_only=True)
class PoolRepairs(Repairs):
    """Repairs of one version.

    Args:
        failed_starts: returns how often in a row each of its workers could not load it, at least.
    """

    failed_starts: Callable[[], int]
    _repaired_s: float | None = None

    @override
    def plan(self, workers: tuple[WorkerLook, ...], *, wanted: int, now_s: float) -> Repair | None:
        if self._repaired_s is not None and now_s - self._repaired_s < PAUSE_S:
            return None
        repair = None
        if self.failed_starts() >= HOPELESS_STARTS:
            repair = Repair(reload=True)
        elif len(workers) < wanted and any(worker.ready for worker in workers):
            # The first worker had the cores for itself, to answer sooner.
            repair = Repair(scale_to=(wanted,))
        if repair is not None:
            self._repaired_s = now_s
        return repair
