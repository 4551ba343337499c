"""Port of work that is spread over processes: numbered payloads go in, their results come out in any order.

WorkersError                the work cannot be done
├── TaskLostError           a task ended its process again and again
├── NoWorkersError          the cluster gives no process
└── WorkerFaultError        the work failed in a process with an error that cannot travel; the text says which
"""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

MAX_LOSSES: Final = 3
"""Processes that a task may end before it counts as the cause."""

P = TypeVar("P")
R = TypeVar("R")

Work = Callable[[P], R]
"""Function of one payload."""
Prepare = Callable[[], Work[P, R]]
"""Function that each process calls once, before its first task. It travels, so it is a function of a module, or a
`functools.partial` or an object that pickle takes."""


class WorkersError(Exception):
    """The work cannot be done; the message says why."""


class TaskLostError(WorkersError):
    """A task ended its process again and again.

    Attributes:
        number: number of the task.
        losses: number of processes that it ended.
        reason: how the last one ended.
    """

    def __init__(self, number: int, losses: int, reason: str) -> None:
        super().__init__(f"task {number} ended its process {losses} times; the last one: {reason}")
        self.number = number
        self.losses = losses
        self.reason = reason


class NoWorkersError(WorkersError):
    """The cluster gives no process, or cannot be reached."""


class WorkerFaultError(WorkersError):
    """The work failed in a process with an error that cannot travel; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[P]):
    """One payload, and how often it was lost with its process."""

    number: int
    payload: P
    losses: int = 0


class Engine(ABC):
    """Processes that do work.

    A process that ends is replaced, and its task is done again by another. A task may so be begun twice, but has one
    result: the work must be a function of the payload.
    """

    @abstractmethod
    def run(self, prepare: Prepare[P, R], tasks: Iterable[tuple[int, P]]) -> Generator[tuple[int, R], None, None]:
        """Yield the number and the result of each task, in the order in which they are done.

        Tasks are read when a process is free, so that no more of them are in memory than there are processes. When the
        generator is closed, all processes end.

        Args:
            prepare: called once in each process; returns the work.
            tasks: payloads with their numbers.

        Raises:
            TaskLostError: a task ended `MAX_LOSSES` processes.
            NoWorkersError: there is no process.
            Exception: the error that the work, or its preparation, raised in a process.
        """


class Queue(Generic[P]):
    """Tasks that no process has yet, those that were lost first.

    Args:
        tasks: payloads with their numbers.
    """

    def __init__(self, tasks: Iterable[tuple[int, P]]) -> None:
        self._source = iter(tasks)
        self._again: deque[Task[P]] = deque()

    def take(self) -> Task[P] | None:
        """Return the next task; None if there is none."""
        if self._again:
            return self._again.popleft()
        found = next(self._source, None)
        return None if found is None else Task(number=found[0], payload=found[1])

    def put_back(self, task: Task[P], reason: str = "") -> None:
        """Take a task back; with a reason, because its process ended.

        Raises:
            TaskLostError: it has ended as many processes as a task may.
        """
        losses = task.losses + bool(reason)
        if losses >= MAX_LOSSES:
            raise TaskLostError(task.number, losses, reason)
        self._again.append(Task(number=task.number, payload=task.payload, losses=losses))


class Worker(Generic[P, R]):
    """One process's side of the work.

    Args:
        prepare: returns the work; called at the first task.
    """

    def __init__(self, prepare: Prepare[P, R]) -> None:
        self._prepare = prepare
        self._work: Work[P, R] | None = None

    def do(self, payload: P) -> tuple[bool, Any]:
        """Return True and the result, or False and the error that the work raised."""
        try:
            if self._work is None:
                self._work = self._prepare()
            return True, self._work(payload)
        except Exception as fault:  # noqa: BLE001 - raised again where the result is awaited
            return False, _travelling(fault)


def result_of(done: tuple[bool, Any]) -> Any:
    """Return what `Worker.do` found, or raise the error of the work."""
    good, value = done
    if not good:
        raise value
    return value


def _travelling(fault: Exception) -> Exception:
    """Return an error that another process can read: the error itself, or its text."""
    try:
        same = pickle.loads(pickle.dumps(fault))  # noqa: S301 - our own bytes of this moment
    except Exception:  # noqa: BLE001 - whatever an error's constructor does
        return WorkerFaultError(f"{type(fault).__name__}: {fault}")
    if str(same) != str(fault):
        return WorkerFaultError(f"{type(fault).__name__}: {fault}")
    return fault
