"""Engine of actors of a Ray cluster, one for each core or GPU. The only module that imports Ray, an extra.

Actors of Ray's core and not Ray Data: a task keeps its number, its retries are counted, and the caller writes results
one by one, which a data set's blocks do not promise.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from typing import Any, Final, Generic

import ray
from ray.exceptions import RayError

from foundation.parallel.port import MAX_LOSSES, Engine, NoWorkersError, P, Prepare, Queue, R, Task, Worker, result_of

_PLACED_S: Final = 120.0
"""Time within which a cluster must place the first actor."""
_LOOK_S: Final = 1.0
_KNOCK_S: Final = 10.0
_REASON: Final = 300
"""Characters of a reason that are told."""


class RayCluster(Engine):
    """Actors of a Ray cluster.

    All results come through Ray's object store to this process, so the nodes share no folder. Each node needs the same
    installation of deephypebot.

    Args:
        address: address of the cluster, such as 10.0.0.1:6379; empty for that of RAY_ADDRESS, or, without one, a
            cluster of this machine that ends with the process.
        workers: number of actors; 0 for one per core, or per GPU.
        gpus: whether each actor has a GPU to itself.
    """

    def __init__(self, address: str = "", *, workers: int = 0, gpus: bool = False) -> None:
        self._address = address
        self._workers = workers
        self._gpus = gpus

    def run(self, prepare: Prepare[P, R], tasks: Iterable[tuple[int, P]]) -> Generator[tuple[int, R], None, None]:
        """Yield results as they are done; see `Engine.run`."""
        queue = Queue(tasks)
        first = queue.take()
        if first is None:  # a cluster is asked for nothing where nothing is left to do
            return
        queue.put_back(first)
        try:
            _connect(self._address)
            # The preparation travels once to each node, not once to each actor.
            crew: _Crew[P, R] = _Crew(
                ray.put(prepare), queue, workers=self._workers or self._default(), gpus=self._gpus
            )
            try:
                yield from crew.results()
            finally:
                crew.dismiss()
        finally:
            ray.shutdown()

    def _default(self) -> int:
        kind = "GPU" if self._gpus else "CPU"
        return max(1, int(ray.cluster_resources().get(kind, 0)))


class _Actor(Generic[P, R]):
    """One actor of the cluster."""

    def __init__(self, prepare: Prepare[P, R]) -> None:
        self._worker = Worker(prepare)

    def ready(self) -> None:
        """Answer once the actor is placed."""

    def do(self, payload: P) -> tuple[bool, Any]:
        """Do a task; see `Worker.do`."""
        return self._worker.do(payload)


class _Crew(Generic[P, R]):
    """Actors of a run: some that the cluster has yet to place, some at work."""

    def __init__(self, prepare: Any, queue: Queue[P], *, workers: int, gpus: bool) -> None:
        self._prepare = prepare
        self._queue = queue
        self._workers = workers
        # Ray itself never restarts or retries: it would restart an actor before another node has room for it.
        options: dict[str, Any] = {"num_cpus": 1, "num_gpus": int(gpus), "max_restarts": 0, "max_task_retries": 0}
        self._class = ray.remote(_Actor).options(**options)
        self._starting: dict[Any, Any] = {}
        self._busy: dict[Any, tuple[Any, Task[P]]] = {}
        self._failed = 0

    def results(self) -> Iterator[tuple[int, R]]:
        """Yield results until there are no tasks."""
        waiting = self._queue.take()
        waited = 0.0
        while waiting is not None or self._busy:
            if waiting is not None:
                self._queue.put_back(waiting)
                self._start()
            ready, _ = ray.wait([*self._starting, *self._busy], num_returns=1, timeout=_LOOK_S)
            waited = 0.0 if ready or self._busy else waited + _LOOK_S
            if waited >= _PLACED_S:
                raise NoWorkersError(
                    f"the cluster placed no actor within {_PLACED_S:.0f} s; it has {_told(ray.available_resources())} "
                    f"free of {_told(ray.cluster_resources())}"
                )
            for reference in ready:
                if reference in self._starting:
                    self._placed(reference)
                elif (done := self._done(reference)) is not None:
                    yield done
            waiting = self._queue.take()

    def dismiss(self) -> None:
        """End all actors."""
        for actor in (*self._starting.values(), *(actor for actor, _ in self._busy.values())):
            _end(actor)

    def _start(self) -> None:
        """Ask for as many actors as are missing."""
        while len(self._starting) + len(self._busy) < self._workers:
            actor = self._class.remote(self._prepare)
            self._starting[actor.ready.remote()] = actor

    def _placed(self, reference: Any) -> None:
        """Give a task to an actor that was placed."""
        actor = self._starting.pop(reference)
        try:
            ray.get(reference)
        except RayError as fault:  # its node ended before it had a task; another one is asked for
            _end(actor)
            self._failed += 1
            if self._failed > MAX_LOSSES * self._workers:
                raise NoWorkersError(f"actors end before they have a task; the last one: {_reason(fault)}") from fault
            return
        self._failed = 0
        self._give(actor)

    def _done(self, reference: Any) -> tuple[int, R] | None:
        """Return the result of a task; None if it was lost with its actor."""
        actor, task = self._busy.pop(reference)
        try:
            done = ray.get(reference)
        except RayError as fault:
            _end(actor)
            self._queue.put_back(task, _reason(fault))
            return None
        self._give(actor)
        return task.number, result_of(done)

    def _give(self, actor: Any) -> None:
        """Give the next task to an actor; without one, it ends."""
        task = self._queue.take()
        if task is None:
            _end(actor)
            return
        self._busy[actor.do.remote(task.payload)] = actor, task


def _connect(address: str) -> None:
    """Connect to the cluster, or start one on this machine.

    Raises:
        NoWorkersError: it cannot be reached.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "//" not in host:
        _knock(host, int(port))
    try:
        ray.init(address=address or None, logging_level=logging.ERROR, log_to_driver=False, include_dashboard=None)
    except Exception as cause:  # Ray raises this class itself where a node does not start in time
        where = f"the cluster at {address}" if address else "Ray"
        raise NoWorkersError(f"{where} cannot be used: {str(cause).partition(chr(10))[0]}") from cause


def _knock(host: str, port: int) -> None:
    """Look whether anything listens: Ray itself waits for minutes.

    Raises:
        NoWorkersError: nothing does.
    """
    try:
        socket.create_connection((host, port), timeout=_KNOCK_S).close()
    except OSError as cause:
        raise NoWorkersError(
            f"the cluster at {host}:{port} cannot be used: {cause.strerror or cause}; `ray start --head` starts one"
        ) from cause


def _end(actor: Any) -> None:
    with suppress(RayError):
        ray.kill(actor)


def _reason(fault: RayError) -> str:
    return " ".join(str(fault).split())[:_REASON] or type(fault).__name__


def _told(resources: dict[str, float]) -> str:
    return f"{resources.get('CPU', 0):g} cores and {resources.get('GPU', 0):g} GPUs"
