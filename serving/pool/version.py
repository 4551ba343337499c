"""One version in the pool: its workers, each in a slot that starts another when one ends, and what waits for them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import grpc

from serving.errors import WorkerHostError
from serving.pool.archive import ArchiveFolder
from serving.pool.process import HandlerRaisedError, Surroundings, WorkerLostError, WorkerProcess
from serving.workers.faults import Failure, InferenceError
from serving.workers.processes import look_at
from serving.workers.verdicts import WorkerLook

_log = logging.getLogger(__name__)

_SHORT_RUN_S: Final = 30.0
"""Time below which a worker that ended counts as one that did not start."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Job:
    """A row that waits for a worker, or is with one."""

    fields: Mapping[str, bytes]
    headers: Mapping[str, str]
    answer: asyncio.Future[bytes]

    def fail(self, fault: InferenceError) -> None:
        if not self.answer.done():
            self.answer.set_exception(fault)


@dataclass(slots=True, kw_only=True, eq=False)
class _Slot:
    """Place of one worker."""

    id: str
    index: int
    loaded: asyncio.Future[None]
    """Settled by the first worker: with the reason if it cannot load the version."""
    worker: WorkerProcess | None = None
    is_ready: bool = False
    failed_starts: int = 0
    """Workers in a row that could not load the version."""
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class PooledVersion:
    """One version and its workers.

    Args:
        name: model and version, for the log.
        model: name of the model.
        archive: its unpacked archive.
        shared: what its workers share with those of other versions.
        backoff_s: first and longest pause before a worker is started again.
        load_timeout_s: time for a worker to load the version, after which it is ended and another one started.
    """

    def __init__(
        self,
        name: str,
        model: str,
        archive: ArchiveFolder,
        shared: Surroundings,
        *,
        backoff_s: tuple[float, float],
        load_timeout_s: float,
    ) -> None:
        self._name = name
        self._model = model
        self._archive = archive
        self._shared = shared
        self._backoff_s = backoff_s
        self._load_timeout_s = load_timeout_s
        self._slots: list[_Slot] = []
        self._next_index = 0
        self._jobs: deque[_Job] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        """Futures of the workers that wait for a row."""

    @property
    def failed_starts(self) -> int:
        """Times in a row that each of the workers could not load the version, at least."""
        return min((slot.failed_starts for slot in self._slots), default=0)

    def look(self) -> tuple[WorkerLook, ...]:
        """Look at the processes of the workers, the oldest slot first."""
        return tuple(look_at(slot.id, _pid(slot), ready=slot.is_ready) for slot in self._slots)

    def kill_worker(self, pid: int) -> bool:
        """Kill the worker with this process id; return whether there is one."""
        for slot in self._slots:
            if slot.worker is not None and slot.worker.pid == pid and not slot.worker.has_ended:
                slot.worker.kill()
                return True
        return False

    async def load(self, workers: int) -> None:
        """Start the workers and wait until all are ready.

        Raises:
            WorkerHostError: one cannot load the version.
        """
        self.scale(workers)
        await asyncio.gather(*(slot.loaded for slot in self._slots))

    def scale(self, workers: int) -> None:
        """Set the number of workers without waiting for them; those beyond it end, with the rows in them."""
        for slot in self._slots[workers:]:
            if slot.task is not None:
                slot.task.cancel()
            if not slot.loaded.done():
                slot.loaded.set_exception(WorkerHostError(f"{self._name} was removed while it was loaded"))
        del self._slots[workers:]
        while len(self._slots) < workers:
            slot = _Slot(
                id=f"{self._name}#{self._next_index}",
                index=self._next_index,
                loaded=asyncio.get_running_loop().create_future(),
            )
            slot.loaded.add_done_callback(_note_fault)
            self._next_index += 1
            self._slots.append(slot)
            slot.task = asyncio.create_task(self._run(slot))

    async def close(self) -> None:
        """End all workers, and fail what waits for them or is with them."""
        tasks = [slot.task for slot in self._slots if slot.task is not None]
        self.scale(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        while self._jobs:
            self._jobs.popleft().fail(self._removed())

    async def ask(self, fields: Mapping[str, bytes], headers: Mapping[str, str]) -> bytes:
        """Return the handler's answer to a row.

        Raises:
            InferenceError: no worker answers.
        """
        # Where a worker has only just ended, the row waits for the next one, as in TorchServe.
        if all(slot.worker is None and slot.failed_starts for slot in self._slots):
            reason = f"{self._name}: not one worker of it runs now; retry later"
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, reason, failure=Failure.NO_WORKER)
        job = _Job(fields=fields, headers=headers, answer=asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake_one()
        return await job.answer

    async def _run(self, slot: _Slot) -> None:
        """Keep a worker in a slot until cancelled."""
        short_runs = 0
        while True:
            await asyncio.sleep(self._pause_s(short_runs))
            started = time.monotonic()
            try:
                await self._run_once(slot)
            except Exception as fault:  # noqa: BLE001 - another is started whatever the machine lacks now
                slot.failed_starts += 1
                if not slot.loaded.done():
                    slot.loaded.set_exception(WorkerHostError(f"the pool could not load {self._name}: {fault}"))
                is_foreseen = isinstance(fault, WorkerHostError | OSError)
                _log.error("worker %s does not start: %s", slot.id, fault, exc_info=None if is_foreseen else fault)
            short_runs = short_runs + 1 if time.monotonic() - started < _SHORT_RUN_S else 0

    def _pause_s(self, short_runs: int) -> float:
        """Return the pause before the next worker: none after the first, which should be missed as short as can be."""
        first_s, longest_s = self._backoff_s
        return 0.0 if short_runs < 2 else min(longest_s, first_s * 2.0 ** min(short_runs - 2, 32))

    async def _run_once(self, slot: _Slot) -> None:
        """Start a worker, let it load the version and give it rows until it ends."""
        slot.worker = worker = await WorkerProcess.start(self._shared, slot.id)
        ending = asyncio.create_task(worker.process.wait())
        try:
            await self._load(worker, slot.index)
            slot.is_ready, slot.failed_starts = True, 0
            if not slot.loaded.done():
                slot.loaded.set_result(None)
            while rows := await self._next(worker, ending):
                await self._answer(worker, rows)
            _log.warning("worker %s ended with status %s; starting another", slot.id, worker.process.returncode)
        finally:
            slot.is_ready = False
            await worker.end()
            await ending
            slot.worker = None

    async def _load(self, worker: WorkerProcess, index: int) -> None:
        try:
            async with asyncio.timeout(self._load_timeout_s):
                await worker.load(self._archive, model=self._model, index=index)
        except TimeoutError as cause:
            reason = f"a worker did not load {self._name} within {self._load_timeout_s:g} s; see workers.log"
            raise WorkerHostError(reason) from cause

    async def _next(self, worker: WorkerProcess, ending: asyncio.Task[int]) -> list[_Job]:
        """Return the rows of the next call; none when the worker has ended."""
        while True:
            if ending.done() or worker.has_ended:
                self._wake_one()  # it may have been woken for a row
                return []
            if rows := self._take():
                return rows
            woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(woken)
            try:
                await asyncio.wait((woken, ending), return_when=asyncio.FIRST_COMPLETED)
            finally:
                if not woken.done():
                    woken.cancel()

    def _take(self) -> list[_Job]:
        """Take the rows of the next call; one with headers of its own goes alone."""
        rows: list[_Job] = []
        while self._jobs and len(rows) < self._archive.batch_size:
            if rows and (rows[0].headers or self._jobs[0].headers):
                break
            job = self._jobs.popleft()
            if not job.answer.done():  # its caller still waits
                rows.append(job)
        return rows

    async def _answer(self, worker: WorkerProcess, rows: list[_Job]) -> None:
        timeout_s = self._archive.response_timeout_s
        failure = Failure.OTHER
        code, reason = grpc.StatusCode.UNAVAILABLE, ""
        try:
            answers = await worker.ask([row.fields for row in rows], timeout_s=timeout_s, headers=rows[0].headers)
        except HandlerRaisedError:
            code, reason = grpc.StatusCode.INTERNAL, "the handler raised an exception; its traceback is in workers.log"
        except TimeoutError:
            reason = f"its worker did not respond within {timeout_s:g} s; retry later"
        except WorkerLostError:
            reason, failure = "its worker died; retry later", Failure.WORKER_DIED
        except BaseException as fault:
            unforeseen = InferenceError(grpc.StatusCode.INTERNAL, f"{self._name}: it could not be asked: {fault!r}")
            for row in rows:
                row.fail(self._removed() if isinstance(fault, asyncio.CancelledError) else unforeseen.copy())
            raise
        else:
            for row, answer in zip(rows, answers, strict=True):
                if not row.answer.done():
                    row.answer.set_result(answer)
            return
        for row in rows:
            row.fail(InferenceError(code, f"{self._name}: {reason}", failure=failure))

    def _wake_one(self) -> None:
        """Let a worker that waits take the next rows."""
        while self._jobs and self._idle:
            woken = self._idle.popleft()
            if not woken.done():
                woken.set_result(None)
                return

    def _removed(self) -> InferenceError:
        return InferenceError(grpc.StatusCode.UNAVAILABLE, f"{self._name} was removed; retry later")


def _pid(slot: _Slot) -> int:
    return slot.worker.pid if slot.worker is not None else 0


def _note_fault(loaded: asyncio.Future[None]) -> None:
    """Read the fault of a worker that nobody waits for: the log has it."""
    if not loaded.cancelled():
        loaded.exception()
