"""Port to whatever runs the workers: `serving.torchserve` and `serving.pool` are its adapters.

A `WorkerHost` lives as long as the service. It holds a `RunningHost` while there is one that answers; where a process
of its own runs the workers, as TorchServe's JVM does, another one takes its place when that ends. A running host
starts without versions: the registry sync registers them, and the watch looks after their workers. Neither knows more
of a host than is written here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.errors import ServingError
from serving.workers.descriptions import WorkerDescription
from serving.workers.inference import Inference
from serving.workers.replacements import HostFault
from serving.workers.verdicts import WorkerLook


class HostGoneError(ServingError):
    """The worker host ended or hung while a version was loaded, which says nothing about the version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLook:
    """Knowledge of the watch about a host, before the host looks at itself."""

    reachable: bool
    """Whether it answered the last ping."""
    answered: int
    """Calls that its workers answered so far, of all versions."""
    busy: bool
    """Whether calls are running in it that a replacement would end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostVerdict:
    """Verdict on a host."""

    answers: bool
    replace: HostFault | None = None
    """Reason for which it is of no use any more; None while it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """Repair of a version that has fewer workers than it was asked for."""

    scale_to: tuple[int, ...] = ()
    """Numbers of workers to scale the version to, one after the other."""
    reload: bool = False
    """Whether the version is to be registered again: more workers of it would not start either."""


class Repairs(ABC):
    """Repairs of one version; it is shown one look after the other, and reads no clock."""

    @abstractmethod
    def plan(self, workers: tuple[WorkerLook, ...], *, wanted: int, now_s: float) -> Repair | None:
        """Return the repair that is due now, or None.

        Args:
            workers: the host's list of the version's workers.
            wanted: number of workers that the version should have.
            now_s: time of the look in seconds.
        """


class Census(ABC):
    """A host's versions and their workers, as they were listed at one moment."""

    taken_s: float
    """Time at which it began, in seconds of `time.monotonic`."""

    @abstractmethod
    def look_at(self, model: str, version: str) -> tuple[WorkerLook, ...] | None:
        """Look at the processes of a version's workers, in the host's order; None if the host does not list it."""


class RunningHost(ABC):
    """A worker host that answers."""

    inference: Inference
    """Connection to the workers."""

    @property
    @abstractmethod
    def metrics_url(self) -> str:
        """Address of the Prometheus page with the metrics of the workers."""

    @property
    @abstractmethod
    def addresses(self) -> Mapping[str, Any]:
        """Entries of the ready file that say where it is."""

    @property
    @abstractmethod
    def threads_file(self) -> Path:
        """File in which its workers read the number of threads that each may use (`serving.workers.cores`)."""

    @abstractmethod
    async def register(self, source: str, *, model: str, version: str, workers: int, timeout_s: float) -> None:
        """Load a version and wait until its workers are ready; one that it already holds is removed first.

        Args:
            source: folder of the unpacked archive, or the archive's name in the model store.
            model: name of the model.
            version: number of the version.
            workers: number of its workers.
            timeout_s: time for the workers to load it.

        Raises:
            WorkerHostError: it is refused, a worker dies while it loads, or they are not ready in time.
        """

    @abstractmethod
    async def unregister(self, model: str, version: str) -> None:
        """Remove a version and drop its requests in flight; one that does not exist is ignored.

        Raises:
            WorkerHostError: it cannot be removed now.
        """

    @abstractmethod
    async def prefer(self, model: str, version: str) -> None:
        """Let a version answer those who ask the host itself, without a version.

        Raises:
            WorkerHostError: that cannot be done now.
        """

    @abstractmethod
    async def describe_worker(self, model: str, version: str) -> WorkerDescription:
        """Fetch the description of a version's worker; the call waits in the queue of the version's requests.

        Raises:
            WorkerHostError: the version does not exist, or its worker does not answer.
        """

    @abstractmethod
    async def is_healthy(self) -> bool:
        """Return whether the host answers; that covers no versions."""

    @abstractmethod
    async def take_census(self) -> Census:
        """List the versions and their workers.

        Raises:
            WorkerHostError: the host does not answer.
        """

    @abstractmethod
    async def worker_ids(self) -> frozenset[str]:
        """Return the host's ids of the worker processes that there are now."""

    @abstractmethod
    def judge(self, look: HostLook) -> HostVerdict:
        """Return the verdict on the host itself after one more look."""

    @abstractmethod
    def new_repairs(self, model: str, version: str) -> Repairs:
        """Return the repairs of one more version."""

    @abstractmethod
    async def scale(self, model: str, version: str, workers: int) -> None:
        """Set the number of a version's workers without waiting for them.

        Raises:
            WorkerHostError: that cannot be done now.
        """

    @abstractmethod
    def kill_worker(self, pid: int) -> bool:
        """Kill a worker, unless the process with this id is another one by now; return whether it was killed."""


class WorkerHost(ABC):
    """Whatever runs the workers, and keeps running."""

    @property
    @abstractmethod
    def running(self) -> RunningHost | None:
        """Host that answers now; None while there is none."""

    @abstractmethod
    async def wait_running(self) -> RunningHost:
        """Wait for a host that answers, and return it."""

    @abstractmethod
    async def start(self) -> None:
        """Start it for the first time.

        Raises:
            WorkerHostError: it cannot be started; nothing is left of the attempt.
        """

    @abstractmethod
    async def watch(self) -> None:
        """Start it again whenever it ends; runs until it is cancelled."""

    @abstractmethod
    def replace(self, running: RunningHost, fault: HostFault) -> None:
        """End a running host that is of no use any more; `watch` then starts another."""

    @abstractmethod
    async def stop(self) -> None:
        """Stop it with all of its workers; call it after `watch` was cancelled."""
