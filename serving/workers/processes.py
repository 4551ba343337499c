"""Processes of workers as the system sees them: whether they live, are stopped, and make progress."""

from __future__ import annotations

from dataclasses import dataclass

import psutil

from serving.workers.verdicts import WorkerLook


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


def look_at(worker: str, pid: int, *, ready: bool) -> WorkerLook:
    """Look at the process of a worker.

    Args:
        worker: the host's id of the worker.
        pid: its process id; 0 for none.
        ready: whether it has loaded its version.
    """
    reading = read_process(pid) if pid else None
    return WorkerLook(
        id=worker,
        pid=pid,
        ready=ready,
        alive=reading is not None,
        stopped=reading is not None and reading.stopped,
        progress=(reading.cpu_s, reading.switches) if reading is not None else (0.0, 0),
    )
