"""Processes of a service, their memory, files, sockets and threads, and what it has on the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

GATEWAY: Final = "gateway"
GUARD: Final = "guard"
JVM: Final = "JVM"
WORKER: Final = "worker"
OTHER: Final = "other"

_SCRATCH: Final = ("deephypebot-*", ".fetch-*", "*.tmp", "*.part")
"""Names of what a service makes for a moment, anywhere below its folder."""
_MORE_DESCRIPTORS: Final = 16
"""Files and sockets that come and go with connections and readings of the registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One process of a service."""

    pid: int
    role: str
    rss_mb: float
    files: int
    """Open files, pipes and the like."""
    sockets: int
    threads: int


def role_of(process: psutil.Process, root: int) -> str:
    """Role of a process in the family of a service whose own process is `root`."""
    if process.pid == root:
        return GATEWAY
    command = " ".join(process.cmdline())
    if Path(process.exe()).name == "java":
        return JVM
    if "guard.py" in command:
        return GUARD
    return WORKER if "model_service_worker" in command else OTHER


def parts_of(root: int) -> list[Part]:
    """Look at a service and everything below it."""
    found = []
    with suppress(psutil.Error):
        parent = psutil.Process(root)
        for process in (parent, *parent.children(recursive=True)):
            with suppress(psutil.Error, OSError):
                found.append(_part(process, root))
    return found


def _part(process: psutil.Process, root: int) -> Part:
    links = []
    folder = Path(f"/proc/{process.pid}/fd")
    for entry in folder.iterdir():
        with suppress(OSError):  # closed meanwhile
            links.append(str(entry.readlink()))
    sockets = sum(1 for link in links if link.startswith("socket:"))
    with process.oneshot():
        return Part(
            pid=process.pid,
            role=role_of(process, root),
            rss_mb=process.memory_info().rss / 2**20,
            files=len(links) - sockets,
            sockets=sockets,
            threads=process.num_threads(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Household:
    """Everything of a service at one moment."""

    parts: tuple[Part, ...]
    scratch: tuple[str, ...]
    """Temporary files and folders, by the pattern of their names: those of a JVM change with it."""

    @property
    def roles(self) -> dict[str, int]:
        return dict(Counter(part.role for part in self.parts))

    @property
    def descriptors(self) -> int:
        return sum(part.files + part.sockets for part in self.parts)


def look_at(root: int, folder: Path) -> Household:
    """Look at the processes of a service and at its folder."""
    found = tuple(pattern for pattern in _SCRATCH for _ in folder.rglob(pattern))
    return Household(parts=tuple(parts_of(root)), scratch=found)


def left_behind(before: Household, after: Household, *, versions_change: bool = False) -> list[str]:
    """Say what is there after a fault that was not there before it; nothing if all is as it was.

    Where `versions_change`, workers and descriptors are not compared.
    """
    found = []
    for role in sorted({*before.roles, *after.roles}):
        change = after.roles.get(role, 0) - before.roles.get(role, 0)
        if change and not (versions_change and role == WORKER):
            found.append(f"{change:+d} {role} process{'es' if abs(change) > 1 else ''}")
    for pattern, number in (Counter(after.scratch) - Counter(before.scratch)).items():
        found.append(f"{number} more {pattern} on the disk")
    more = after.descriptors - before.descriptors
    if more > _MORE_DESCRIPTORS and not versions_change:
        found.append(f"{more} descriptors")
    return found


def alive(pids: Iterable[int]) -> list[int]:
    """Those of some processes that still run; zombies do not."""
    running = []
    for pid in pids:
        with suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                running.append(pid)
    return running
