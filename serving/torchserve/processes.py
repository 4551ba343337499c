"""Processes of TorchServe as the system sees them: whether they live, are stopped, and make progress."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil

_SOCKET_OPTION: Final = "--sock-name"
_SOCKET_PREFIX: Final = ".ts.sock."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessReading:
    """One look at a living process."""

    stopped: bool
    """Whether a signal such as SIGSTOP holds it: it does nothing until it is continued."""
    cpu_s: float
    """Processor time so far, of all threads."""
    switches: int
    """Context switches of the main thread so far: it was given the processor that often. A worker's main thread waits
    for requests, so a request changes this number even if it takes less time than the clock of `cpu_s` can tell."""


def read_process(pid: int) -> ProcessReading | None:
    """Look at a process; None if it has ended."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            status = process.status()
            if status in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}:
                return None
            times, switches = process.cpu_times(), process.num_ctx_switches()
            return ProcessReading(
                stopped=status == psutil.STATUS_STOPPED,
                cpu_s=times.user + times.system,
                switches=switches.voluntary + switches.involuntary,
            )
    except psutil.Error:
        return None


def read_workers(jvm_pid: int) -> dict[int, str]:
    """Return TorchServe's id of each worker process, by process id; other processes are left out."""
    workers = {}
    with suppress(psutil.Error):
        for child in psutil.Process(jvm_pid).children():
            with suppress(psutil.Error):
                worker = _worker_id(child.cmdline())
                if worker:
                    workers[child.pid] = worker
    return workers


def kill_worker(pid: int, jvm_pid: int) -> bool:
    """Kill a worker, unless the process with this id is another one by now; return whether it was killed."""
    try:
        if psutil.Process(pid).ppid() != jvm_pid:
            return False
        os.kill(pid, signal.SIGKILL)
    except (psutil.Error, ProcessLookupError):
        return False
    return True


def _worker_id(command: list[str]) -> str:
    """Id of a worker by its command line, which names its socket `.ts.sock.ID`; empty for another process."""
    if _SOCKET_OPTION not in command[:-1]:
        return ""
    socket = command[command.index(_SOCKET_OPTION) + 1]
    return socket.rpartition(_SOCKET_PREFIX)[2] if _SOCKET_PREFIX in socket else ""
