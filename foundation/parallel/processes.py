"""Engine of processes of this machine, started with spawn: the parent may hold threads, which a fork would lose."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final, Generic

from foundation.parallel.port import Engine, P, Prepare, Queue, R, Task, Worker, result_of

_END_S: Final = 5.0
"""Time within which an idle process ends by itself."""


class Processes(Engine):
    """Processes of this machine.

    Args:
        workers: number of processes, at least 1; no more are started than there are tasks.
    """

    def __init__(self, workers: int) -> None:
        self._workers = max(1, workers)

    def run(self, prepare: Prepare[P, R], tasks: Iterable[tuple[int, P]]) -> Generator[tuple[int, R], None, None]:
        """Yield results as they are done; see `Engine.run`."""
        queue = Queue(tasks)
        children: list[_Child[P, R]] = []
        try:
            while True:
                _employ(children, queue, prepare, self._workers)
                busy = [child for child in children if child.task is not None]
                if not busy:
                    break
                ready = connection.wait([child.pipe for child in busy])
                for child in [each for each in busy if each.pipe in ready]:
                    done = child.result()
                    if done is None:
                        children.remove(child)
                        queue.put_back(child.lost(), child.last_words())
                        continue
                    number, found = done
                    _give(child, queue)  # before the caller looks at the result, which takes a while
                    yield number, found
            for child in children:
                child.finish()
        finally:
            for child in children:
                child.end()


def _employ(children: list[_Child[P, R]], queue: Queue[P], prepare: Prepare[P, R], workers: int) -> None:
    """Give tasks to idle processes, and start processes while there are tasks."""
    for child in [each for each in children if each.task is None]:
        if not _give(child, queue):
            return
    while len(children) < workers and (task := queue.take()) is not None:
        child = _Child(prepare)
        children.append(child)
        child.begin(task)


def _give(child: _Child[P, R], queue: Queue[P]) -> bool:
    """Give the next task to an idle process; False if there is none."""
    task = queue.take()
    if task is not None:
        child.begin(task)
    return task is not None


class _Child(Generic[P, R]):
    """A process, as its parent sees it."""

    def __init__(self, prepare: Prepare[P, R]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs, prepare), daemon=True)
        self._process.start()
        theirs.close()  # so that the pipe ends with the process
        self.task: Task[P] | None = None

    def begin(self, task: Task[P]) -> None:
        """Send a task."""
        self.task = task
        with suppress(OSError):  # it has ended, which reading tells as well
            self.pipe.send(task.payload)

    def result(self) -> tuple[int, R] | None:
        """Return the number and result of its task; None if the process has ended.

        Raises:
            Exception: the error that the work raised.
        """
        try:
            done: tuple[bool, Any] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        number = self.lost().number
        self.task = None
        return number, result_of(done)

    def lost(self) -> Task[P]:
        """Return the task that it has."""
        if self.task is None:
            raise RuntimeError("an idle process has no task")
        return self.task

    def finish(self) -> None:
        """Let an idle process end by itself."""
        self.pipe.close()
        self._process.join(_END_S)

    def last_words(self) -> str:
        """Return how a process ended whose pipe is closed, which may happen a moment before."""
        self._process.join(_END_S)
        self.end()
        code = self._process.exitcode or 0
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def end(self) -> None:
        """End the process, whatever it does."""
        self.pipe.close()
        if self._process.is_alive():
            self._process.kill()
        self._process.join()


def _serve(pipe: Connection, prepare: Prepare[P, R]) -> None:
    """Do tasks until the parent closes the pipe. Ctrl-C is the parent's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    worker = Worker(prepare)
    while True:
        try:
            payload = pipe.recv()
        except EOFError:
            return
        pipe.send(worker.do(payload))


def _end_with(sentinel: int) -> None:
    """End with the parent even if it is killed, which only its pipe shows."""
    connection.wait([sentinel])
    os._exit(1)
