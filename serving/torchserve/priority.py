"""Processor priority of workers: those of versions that only get copies of requests come after all others.

An ordinary user may lower a priority and not raise it again, and the workers of a shadow become those of an arm when it
gets a share. So nothing is lowered unless it can be raised: by root, or with a limit (`ulimit -e 20`, or systemd's
`LimitNICE=0`).
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOWERED: Final = 10
"""Nice value of a shadow's workers. One at 0 gets nine times as much of a core for which both wait."""
_CAP_SYS_NICE: Final = 23
_NICE_OF_LIMIT_0: Final = 20


def may_raise() -> bool:
    """Return whether this process may raise the priority of its workers again."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux, where a priority belongs to a process and not to each of its threads
        return False
    soft, _ = resource.getrlimit(resource.RLIMIT_NICE)
    return permits_raise(status, limit=soft, own=os.getpriority(os.PRIO_PROCESS, 0))


def permits_raise(status: str, *, limit: int, own: int) -> bool:
    """Return whether a process may raise others from a lower priority to its own.

    Args:
        status: text of `/proc/self/status`, with the capabilities.
        limit: its limit of priorities, RLIMIT_NICE.
        own: its own nice value.
    """
    capabilities = int(next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0"), 16)
    may_do_all = bool(capabilities >> _CAP_SYS_NICE & 1)
    return may_do_all or limit == resource.RLIM_INFINITY or limit >= _NICE_OF_LIMIT_0 - own


def set_priority(pids: Iterable[int], nice: int) -> None:
    """Set the nice value of processes, with all their threads; those that have ended are left out.

    Raises:
        PermissionError: the priority may not be raised (see `may_raise`).
    """
    for pid in pids:
        # Linux has a priority for each thread, and a new thread has that of the one that began it.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.setpriority(os.PRIO_PROCESS, int(thread.name), nice)
