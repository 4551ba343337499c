"""Repairs of a version that has fewer workers than it was asked for. Pure: no clock, no network.

What TorchServe 0.12 does with workers, as found by running it and reading its code:

- A worker that dies is started again after 1 s, then after 1, 2, 3, 5, 8 ... 144 s while it fails. After 5 minutes of
  failures (`maxRetryTimeoutInSec`) TorchServe gives it up without a word: it stays in the list, described as UNLOADING
  like one that waits for its next start, with the process id that it had, and /ping says Healthy.
- Scaling to a number counts the entries of the list, not the workers that live: scaling to the number that was asked
  for before changes nothing and answers 206. Scaling above it adds workers at the end of the list; scaling below it
  takes the last ones off, living or not, with the requests in them.
- A worker that is taken off the list while it waits for its next start is started all the same, as a ghost: nobody
  lists it, and it takes one request at a time. Killed then, it does not come back. (The watch kills ghosts.)
- A scaling to 0 and up again keeps the queue: requests that wait in it are answered by the new workers.
- A worker that SIGSTOP holds stays READY, and takes a batch that is lost after `responseTimeout`. Killed, it is
  replaced like any other, and its batch fails at once.

A repair therefore takes off the list only what is dead. Dead workers before living ones stay in the list, and others
take their place when TorchServe must have given them up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

from serving.workers.host import Repair, Repairs
from serving.workers.verdicts import WorkerLook

TAIL_PATIENCE_S: Final = 15.0
"""Time that dead workers at the end of the list are left to TorchServe, which starts most of them again sooner."""
GIVEN_UP_S: Final = 600.0
"""Time after which a dead worker is certain to be given up: the last of TorchServe's pauses begins within 300 s and
takes at most 233 s."""
ALL_DEAD_PATIENCE_S: Final = 5.0
"""The same where no worker lives: TorchServe starts workers again after 1 s, as fast as a scaling would, and without
ghosts. Later pauses are longer, or it has given them up."""
PAUSES_S: Final = (5.0, 120.0)
"""First and longest pause after a repair; the pause doubles until all workers are there."""
RELOAD_AFTER: Final = 2
"""Repairs in a row of a version without a living worker, after which it is registered again."""


@dataclass(slots=True, kw_only=True)
class VersionRepairs(Repairs):
    """Repairs of one version; it is shown one look after the other."""

    _down_since_s: dict[str, float] = field(default_factory=dict)
    _repaired_s: float | None = None
    _pause_s: float = 0.0
    _in_vain: int = 0
    """Repairs since a worker was last alive."""

    @override
    def plan(self, workers: tuple[WorkerLook, ...], *, wanted: int, now_s: float) -> Repair | None:
        self._down_since_s = {
            worker.id: self._down_since_s.get(worker.id, now_s) for worker in workers if not worker.alive
        }
        num_alive = len(workers) - len(self._down_since_s)
        if any(worker.alive and worker.ready for worker in workers):
            self._in_vain = 0
        if num_alive >= wanted:
            if all(worker.ready for worker in workers if worker.alive):
                self._pause_s, self._repaired_s = 0.0, None
            return None
        if self._repaired_s is not None and now_s - self._repaired_s < self._pause_s and not self._continues(workers):
            return None
        repair = self._choose(workers, num_alive=num_alive, wanted=wanted, now_s=now_s)
        if repair is not None:
            self._repaired_s = now_s
            self._pause_s = min(max(2 * self._pause_s, PAUSES_S[0]), PAUSES_S[1])
            self._in_vain += num_alive == 0
        return repair

    def _choose(self, workers: tuple[WorkerLook, ...], *, num_alive: int, wanted: int, now_s: float) -> Repair | None:
        if num_alive == 0:
            return self._revive(workers, now_s)
        if len(workers) < wanted:
            return Repair(scale_to=(wanted,)) if any(worker.ready for worker in workers) else None
        living = [index for index, worker in enumerate(workers) if worker.id not in self._down_since_s]
        kept = living[-1] + 1
        if kept < len(workers) and all(self._is_down(each, TAIL_PATIENCE_S, now_s) for each in workers[kept:]):
            return Repair(scale_to=(kept, max(wanted, kept)))
        given_up = sum(self._is_down(worker, GIVEN_UP_S, now_s) for worker in workers)
        if len(workers) - given_up < wanted:
            return Repair(scale_to=(wanted + given_up,))
        return None

    def _revive(self, workers: tuple[WorkerLook, ...], now_s: float) -> Repair | None:
        """Return the repair of a version without a living worker."""
        if not all(self._is_down(worker, ALL_DEAD_PATIENCE_S, now_s) for worker in workers):
            return None
        if self._in_vain >= RELOAD_AFTER:
            return Repair(reload=True)
        # The first worker has the cores for itself and answers sooner. Scaling to 0 clears the list of the dead.
        return Repair(scale_to=(0, 1) if workers else (1,))

    @staticmethod
    def _continues(workers: tuple[WorkerLook, ...]) -> bool:
        """Whether the first worker is there after a repair that began with one alone."""
        return len(workers) == 1 and workers[0].ready and workers[0].alive

    def _is_down(self, worker: WorkerLook, for_s: float, now_s: float) -> bool:
        return worker.id in self._down_since_s and now_s - self._down_since_s[worker.id] >= for_s
