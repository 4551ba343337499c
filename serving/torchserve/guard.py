"""Guard of one command: neither it nor any process that it starts outlives the process that started the guard.

    python -I -S guard.py GRACE_S FOLDER COMMAND...

TorchServe's JVM starts workers of its own, and none of them notices when the service that started the JVM is killed.
This small process stands between: the service holds the other end of its standard input, the kernel closes that pipe
however the service ends, and the guard then ends the command (SIGTERM, after GRACE_S seconds SIGKILL), kills the rest
of its process group, and removes FOLDER, which it keeps locked till then. If the guard itself is killed, the kernel
kills the command (Linux), and TorchServe's workers end when their socket closes.

It is run as a script, by path, with the standard library alone, so that it costs 10 MB and 20 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

PID_FILE = "jvm.pid"
"""File in FOLDER with the process id of the command."""

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_REAP_S = 2.0


def main(grace_s: float, folder: str, command: list[str]) -> int:
    """Run the command to its end and return its exit status, or 128 + the signal that ended it."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        # Orphans of the command become children of the guard: process 1 of a container often reaps nothing.
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the pipe must have one reader: the guard
            if libc is not None:
                libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)
    # The lock says that the folder is in use; it is inherited by no program, and gone when the guard is.
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    pid_file = Path(folder, PID_FILE)
    pid_file.with_suffix(".tmp").write_text(str(pid))
    pid_file.with_suffix(".tmp").replace(pid_file)
    signal.signal(signal.SIGTERM, lambda *_: _signal(pid, signal.SIGTERM))
    ended = threading.Event()
    threading.Thread(target=_end_with_owner, args=(pid, grace_s, ended), daemon=True).start()
    # The group's id stays in use until the command is reaped, so this cannot hit another group.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    ended.set()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _reap()
    shutil.rmtree(folder, ignore_errors=True)
    return status if status >= 0 else 128 - status


def _end_with_owner(pid: int, grace_s: float, ended: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    if not ended.is_set():
        _signal(pid, signal.SIGTERM)
    if not ended.wait(grace_s):
        _signal(pid, signal.SIGKILL)


def _reap() -> None:
    """Wait for the killed processes, so that none is left when the guard ends."""
    deadline = time.monotonic() + _REAP_S
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.01)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2], sys.argv[3:]))
