"""Watch over the worker host, and the workers of every live version, for as long as they live.

Four times in two seconds it looks at the processes, and at the outcomes of the gateway's calls
(`serving.traffic.outcomes`); every two seconds, and more often while something is wrong, it asks the host for its
lists of workers. A version that nobody has asked for some seconds gets a request of the watch's own, a probe. What to
make of all this is decided in `serving.workers.verdicts` and by the host's repairs, which know no clock and no
processes; the second say what the host does with workers that die.

A worker is replaced by a SIGKILL to its own process: the host starts another, and the requests of all other workers
are untouched. Missing workers are brought back by scaling. A host that hangs is replaced whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from serving.errors import ServingError
from serving.sync.asking import Asking
from serving.sync.background import Faults, repeat
from serving.traffic.route import Route
from serving.traffic.routes import RoutingTable
from serving.workers.host import HostGoneError, HostLook, HostVerdict, Repair, Repairs, RunningHost, WorkerHost
from serving.workers.replacements import Replacements, WorkerFault
from serving.workers.verdicts import IDLE_S, LOOK_S, VersionJudge, VersionLook, WorkerLook

_log = logging.getLogger(__name__)

_CENSUS_AGE_S: Final = 5.0
"""Age from which a reading of the host's lists is too old to act on."""


@dataclass(slots=True, kw_only=True)
class _Watched:
    """Knowledge of one live version."""

    route: Route
    since_s: float
    faults: Faults
    repairs: Repairs
    repaired_s: float = 0.0
    """Time at which the last repair ended."""
    lost: int = 0
    """Calls that were lost before the last look."""
    judge: VersionJudge = field(default_factory=VersionJudge)
    was_complete: bool = False
    """Whether it has had all of its workers: until then they are started, and not missing."""
    repairing: asyncio.Task[None] | None = None
    probing: asyncio.Task[None] | None = None


class Watch:
    """Watch over a worker host and the versions of a routing table.

    Args:
        host: the worker host.
        table: routing table; the watch sets `answers`, `workers_ready` and `workers_wanted` of its routes.
        workers: number of workers that each version should have.
        replacements: where replaced workers are counted.
        on_change: called when a version begins or ceases to answer.
        reload: loads a version again, named by model and number, and returns whether it answers; it raises
            `HostGoneError` where that cannot be told.
        withdraw: takes a version, named likewise, out of the table for a reason.
    """

    def __init__(
        self,
        *,
        host: WorkerHost,
        table: RoutingTable,
        workers: int,
        replacements: Replacements,
        on_change: Callable[[], None],
        reload: Callable[[str, str], Awaitable[bool]],
        withdraw: Callable[[str, str, str], None],
    ) -> None:
        self._reload = reload
        self._withdraw = withdraw
        self._host = host
        self._table = table
        self._workers = workers
        self._replacements = replacements
        self._on_change = on_change
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._asking: Asking
        """Questions to the host that runs; `run` sets it before anything else."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            await self._watch(await self._host.wait_running())

    async def _watch(self, running: RunningHost) -> None:
        """Watch one running host for as long as it is the one that runs."""
        self._watched.clear()
        self._asking = Asking(running)
        asking = asyncio.create_task(self._asking.run())
        try:
            await repeat(
                lambda: self._look(running),
                "looking at the workers",
                pauses_s=(LOOK_S, LOOK_S),
                goes_on=lambda: self._host.running is running,
            )
        finally:
            mine = [task for each in self._watched.values() for task in (each.repairing, each.probing) if task]
            for task in (asking, *mine):
                task.cancel()
            await asyncio.gather(asking, *mine, return_exceptions=True)

    async def _look(self, running: RunningHost) -> None:
        verdict = self._look_at_host(running)
        if verdict.replace is not None:
            _log.error("the worker host is replaced: %s", verdict.replace.value)
            self._host.replace(running, verdict.replace)
        self._follow_table(running)
        for watched in self._watched.values():
            try:
                self._look_at(watched, verdict, running)
            except Exception as fault:  # noqa: BLE001 - the others are looked at nevertheless
                watched.faults.tell(fault)
        await asyncio.sleep(LOOK_S)

    def _look_at_host(self, running: RunningHost) -> HostVerdict:
        routes = self._table.routes()
        return running.judge(
            HostLook(
                reachable=self._asking.reachable,
                answered=sum(route.outcomes.answered for route in routes),
                busy=any(route.outcomes.outstanding for route in routes)
                and all(route.workers_ready >= route.workers_wanted for route in routes),
            )
        )

    def _follow_table(self, running: RunningHost) -> None:
        """Watch exactly the versions that are live."""
        live = {(route.info.model, route.info.version): route for route in self._table.routes()}
        for key in [key for key, watched in self._watched.items() if live.get(key) is not watched.route]:
            gone = self._watched.pop(key)
            for task in (gone.repairing, gone.probing):
                if task is not None:
                    task.cancel()
        for key, route in live.items():
            if key not in self._watched:
                route.workers_wanted = self._workers
                faults = Faults(f"watching {route.info.model}/{route.info.version}")
                self._watched[key] = _Watched(
                    route=route, since_s=time.monotonic(), faults=faults, repairs=running.new_repairs(*key)
                )

    def _look_at(self, watched: _Watched, host: HostVerdict, running: RunningHost) -> None:
        route = watched.route
        looks = self._look_at_workers(watched)
        if looks is None:
            self._look_for(watched, host)
            return
        calls = route.outcomes
        look = VersionLook(
            now_s=time.monotonic(),
            workers=looks,
            answered=calls.answered,
            oldest_s=calls.oldest_s,
            waiting_since_s=calls.waiting_since_s,
        )
        verdict = watched.judge.judge(look)
        self._tell(route, answers=host.answers and verdict.num_answering > 0, num_ready=verdict.num_answering)
        watched.was_complete |= verdict.num_answering >= self._workers
        if verdict.num_answering < self._workers or calls.lost != watched.lost:
            watched.lost = calls.lost
            self._asking.troubled.set()
        if not host.answers:
            return
        for pid, fault in verdict.replace:
            self._replace_worker(route, pid, fault, running)
        if self._knows_after_repair(watched, look.now_s):
            repair = watched.repairs.plan(looks, wanted=self._workers, now_s=look.now_s)
            if repair is not None:
                watched.repairing = watched.faults.begin(self._repair(watched, repair, looks, running))
        idle_s = look.now_s - calls.last_s
        if (
            (verdict.suspicious or idle_s > IDLE_S)
            and verdict.num_answering
            and (watched.probing is None or watched.probing.done())
        ):
            watched.probing = watched.faults.begin(self._asking.probe(route))

    def _knows_after_repair(self, watched: _Watched, now_s: float) -> bool:
        """Whether the host was asked lately, and after the last repair had ended."""
        if self._asking.census is None or (watched.repairing is not None and not watched.repairing.done()):
            return False
        return self._asking.census.taken_s > max(watched.repaired_s, now_s - _CENSUS_AGE_S)

    def _look_for(self, watched: _Watched, host: HostVerdict) -> None:
        """Load a version again that the host does not list, although it was registered before it became live."""
        route = watched.route
        if self._asking.census is None or self._asking.census.taken_s < watched.since_s:
            self._tell(route, answers=host.answers, num_ready=route.workers_ready)
            return
        self._tell(route, answers=False, num_ready=0)
        self._asking.troubled.set()
        if host.answers and self._knows_after_repair(watched, time.monotonic()):
            watched.repairing = watched.faults.begin(self._load_again(watched))

    def _look_at_workers(self, watched: _Watched) -> tuple[WorkerLook, ...] | None:
        """Look at the processes of a version's workers; None if the host has not listed it yet."""
        census, info = self._asking.census, watched.route.info
        if census is None or census.taken_s < watched.since_s:
            return None
        return census.look_at(info.model, info.version)

    def _tell(self, route: Route, *, answers: bool, num_ready: int) -> None:
        route.workers_ready = num_ready
        if route.answers != answers:
            route.answers = answers
            name = f"{route.info.model}/{route.info.version}"
            if answers:
                _log.info("%s answers again", name)
            else:
                _log.error("no worker of %s answers", name)
            self._on_change()

    def _replace_worker(self, route: Route, pid: int, fault: WorkerFault, running: RunningHost) -> None:
        if running.kill_worker(pid):
            self._replacements.workers[fault] += 1
            name = f"{route.info.model}/{route.info.version}"
            _log.error("worker %d of %s is replaced: %s", pid, name, fault.value)
            self._asking.troubled.set()

    async def _repair(
        self, watched: _Watched, repair: Repair, listed: tuple[WorkerLook, ...], running: RunningHost
    ) -> None:
        if repair.reload:
            await self._load_again(watched)
            return
        model, version = watched.route.info.model, watched.route.info.version
        cleared = {worker.id for worker in listed[min(repair.scale_to) :]}
        if not cleared.isdisjoint(await running.worker_ids()):  # the host has started one of them meanwhile
            watched.repaired_s = time.monotonic()
            return
        steps = ", then ".join(map(str, repair.scale_to))
        if watched.was_complete:
            self._replacements.workers[WorkerFault.MISSING] += 1
            _log.warning("%s/%s lacks workers: scaling it to %s", model, version, steps)
        else:
            _log.info("%s/%s answers; scaling it to %s workers", model, version, steps)
        try:
            for workers in repair.scale_to:
                await running.scale(model, version, workers)
        except ServingError as fault:
            _log.warning("%s", fault)
        watched.repaired_s = time.monotonic()
        self._asking.troubled.set()

    async def _load_again(self, watched: _Watched) -> None:
        """Load a version whose workers cannot be started, or that the host does not hold any more, once more."""
        route = watched.route
        model, version = route.info.model, route.info.version
        self._replacements.workers[WorkerFault.MISSING] += 1
        _log.error("there is not one worker of %s/%s: loading it again", model, version)
        try:
            is_proven = await self._reload(model, version)
        except HostGoneError as fault:  # the version stays: the next host loads it
            _log.info("%s", fault)
            is_proven = True
        if not is_proven and self._table.route(model, version) is route:
            self._withdraw(model, version, "its workers ended and cannot be started again; see workers.log")
        watched.repaired_s = time.monotonic()
