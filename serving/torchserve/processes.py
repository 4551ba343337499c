"""Worker processes of TorchServe."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import Final

import psutil

_SOCKET_OPTION: Final = "--sock-name"
_SOCKET_PREFIX: Final = ".ts.sock."


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
