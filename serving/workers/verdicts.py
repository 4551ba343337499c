"""Verdicts on workers, from a series of looks at them. Pure: no clock, no processes, no network.

A verdict must never fall on something that is merely slow, on a machine whose cores are all taken. So it rests on what
a slow process still does, its context switches and processor time, and not on the time that an answer takes. A look
that comes late says that the watch itself was held up, and the evidence before it is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from serving.workers.replacements import WorkerFault

LOOK_S: Final = 0.5
"""Pause between two looks."""
PING_S: Final = (1.0, 2.0)
"""Pause between two pings of the worker host, and the time for an answer."""
IDLE_S: Final = 3.0
"""Time without a call after which a version gets a probe, so that somebody waits if it does not answer."""
STOPPED_LOOKS: Final = 3
"""Looks in a row that find a process stopped, before it is replaced: a snapshot stops one for a moment."""
LATEST_LOOK_S: Final = 3.0
"""Time between two looks above which the watch was held up itself."""
SILENT_S: Final = 5.0
"""Time without any answer and any progress after which a version counts as not answering, while somebody waits; the
same for the worker host. With the time until somebody asks, health tells within 10 s. It harms nothing that works:
requests go on to it, and it counts again with its next answer or progress. Replacements take longer."""
HUNG_S: Final = 10.0
"""Time without progress after which a worker that does not take part in the others' work is replaced."""
ALL_HUNG_S: Final = 15.0
"""The same where no worker of the version answers: there are no others to compare with."""
SUSPICIOUS_S: Final = 5.0
"""Time without progress, and of a call without an answer, from which on a worker is suspicious."""
SHARE_OF_WORK: Final = 20
"""Answers of the others after which a free worker would have got a request: hosts hand them out in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLook:
    """One look at a worker."""

    id: str
    """The host's id of it; one that replaces it after its death keeps the id, one of a later scaling does not."""
    pid: int
    ready: bool
    """Whether the host says that it has loaded the version."""
    alive: bool
    stopped: bool = False
    progress: tuple[float, int] = (0.0, 0)
    """Processor time and context switches; unchanged between two looks if the worker did nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionLook:
    """One look at a version: its workers and its calls (`serving.traffic.outcomes`)."""

    now_s: float
    workers: tuple[WorkerLook, ...]
    """In the host's order."""
    answered: int
    """Calls that a worker answered so far."""
    oldest_s: float | None
    """Time at which the oldest call without an answer was sent; None if there is none."""
    waiting_since_s: float | None
    """Time since which somebody waits and nothing is answered; None while nobody waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionVerdict:
    """Verdict on a version's workers."""

    num_answering: int
    """Workers that have loaded the version and are able to answer."""
    suspicious: bool = False
    """Whether a worker does nothing although a call has been waiting for long: further calls would clear it, or show
    that it takes no part in the work."""
    replace: tuple[tuple[int, WorkerFault], ...] = ()
    """Process ids of workers that will not answer any more, each with the reason."""


@dataclass(slots=True, kw_only=True)
class _History:
    pid: int
    progress: tuple[float, int]
    since_s: float
    """Time of the last progress."""
    answered: int
    stopped_looks: int = 0


@dataclass(slots=True, kw_only=True)
class VersionJudge:
    """Judge of one version's workers; it is shown one look after the other."""

    _histories: dict[str, _History] = field(default_factory=dict)
    _last_s: float | None = None

    def judge(self, look: VersionLook) -> VersionVerdict:
        """Return the verdict after one more look."""
        if self._last_s is None or look.now_s - self._last_s > LATEST_LOOK_S:
            self._histories.clear()
        self._last_s = look.now_s
        self._histories = {worker.id: self._follow(worker, look) for worker in look.workers if worker.alive}
        able = [worker for worker in look.workers if worker.ready and worker.alive and not worker.stopped]
        condemned = {
            worker.pid: WorkerFault.STOPPED
            for worker in look.workers
            if worker.alive and self._histories[worker.id].stopped_looks >= STOPPED_LOOKS
        }
        stillest_s = min((self._still_s(worker, look) for worker in able), default=0.0)
        silent_s = look.now_s - look.waiting_since_s if look.waiting_since_s is not None else 0.0
        idle_s = min(stillest_s, silent_s)
        if idle_s >= ALL_HUNG_S:
            condemned.update((worker.pid, WorkerFault.HUNG) for worker in able)
        else:
            condemned.update((worker.pid, WorkerFault.HUNG) for worker in able if self._is_left_behind(worker, look))
        answering = 0 if idle_s >= SILENT_S else sum(worker.pid not in condemned for worker in able)
        waited_s = look.now_s - look.oldest_s if look.oldest_s is not None else 0.0
        return VersionVerdict(
            num_answering=answering,
            suspicious=any(min(self._still_s(each, look), waited_s) >= SUSPICIOUS_S for each in able),
            replace=tuple(condemned.items()),
        )

    def _follow(self, worker: WorkerLook, look: VersionLook) -> _History:
        history = self._histories.get(worker.id)
        if history is None or history.pid != worker.pid or history.progress != worker.progress:
            history = _History(
                pid=worker.pid,
                progress=worker.progress,
                since_s=look.now_s,
                answered=look.answered,
                stopped_looks=history.stopped_looks if history is not None and history.pid == worker.pid else 0,
            )
        history.stopped_looks = history.stopped_looks + 1 if worker.stopped else 0
        return history

    def _still_s(self, worker: WorkerLook, look: VersionLook) -> float:
        return look.now_s - self._histories[worker.id].since_s

    def _is_left_behind(self, worker: WorkerLook, look: VersionLook) -> bool:
        """Whether a worker did nothing while others answered much, and a call from before that has no answer."""
        history = self._histories[worker.id]
        return (
            self._still_s(worker, look) >= HUNG_S
            and look.oldest_s is not None
            and look.now_s - look.oldest_s >= HUNG_S
            and look.answered - history.answered >= SHARE_OF_WORK
        )
