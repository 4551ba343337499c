"""Number of processors that this process may use, container limits included."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

_ROOT: Final = Path("/")
_OCTAL: Final = re.compile(r"\\([0-7]{3})")


def num_processors(root: Path = _ROOT) -> int:
    """Return the number of processors that this process may keep busy: at least 1.

    It is the smallest of three: the processors of the machine, those of the process's affinity mask, and the limits of
    the control groups above the process. A container with a limit (`docker run --cpus 2`) or a systemd slice with a
    `CPUQuota=` shows all processors of its host, and threads for all of them would spend their time waiting.

    A limit may be set at any level of the hierarchy, so every ancestor is read: `cpu.max` of control groups version 2,
    `cpu.cfs_quota_us` and `cpu.cfs_period_us` of version 1 (Linux, Documentation/admin-guide/cgroup-v2.rst and
    scheduler/sched-bwc.rst).

    Args:
        root: folder that holds `proc` and `sys`.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(round(limit) for limit in _limits(root))]))


def _limits(root: Path) -> Iterator[float]:
    """Yield the limits of all control groups above this process, in processors."""
    for folder, version in _groups(root):
        limit = _limit_v2(folder) if version == 2 else _limit_v1(folder)
        if limit is not None:
            yield limit


def _groups(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folders of the process's control group and its ancestors, each with the version of its hierarchy."""
    try:
        own = _lines(root / "proc/self/cgroup")
        mounts = _lines(root / "proc/self/mountinfo")
    except OSError:  # not Linux
        return
    for mount in mounts:
        # As "31 23 0:28 /shown /mount/point rw - cgroup2 source rw" (proc_pid_mountinfo(5)).
        place, _, kind = (part.split() for part in mount.partition(" - "))
        version = {"cgroup2": 2, "cgroup": 1}.get(kind[0]) if kind else None
        if version is None or len(place) < 5 or (version == 1 and "cpu" not in kind[-1].split(",")):
            continue
        shown, point = map(_unescaped, place[3:5])
        top = root / point.lstrip("/")
        for folder in _ancestors(_path(own, version), shown):
            yield top / folder, version


def _lines(path: Path) -> list[str]:
    """Read the lines of a file of /proc, whose paths may hold any bytes."""
    return path.read_text(encoding="utf-8", errors="surrogateescape").split("\n")


def _unescaped(path: str) -> str:
    r"""Decode a path of mountinfo, which escapes spaces and backslashes, as in systemd's `a\x2db` for a slice `a-b`."""
    return _OCTAL.sub(lambda code: chr(int(code[1], 8)), path)


def _path(own: list[str], version: int) -> str:
    """Find the group's path in one hierarchy, in lines such as `0::/user.slice` and `4:cpu,cpuacct:/a`."""
    for line in own:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number == "0" and not controllers) if version == 2 else "cpu" in controllers.split(","):
            return path
    return "/"


def _ancestors(path: str, shown: str) -> Iterator[PurePosixPath]:
    """Yield the folders from a group up to the top of the mount, relative to the mount.

    A mount may show only a part of the hierarchy (`shown`): a container without its own control group namespace sees
    its host's path in /proc/self/cgroup, and its own group at the top of the mount.
    """
    full, part = PurePosixPath(path), PurePosixPath(shown)
    relative = full.relative_to(part) if full.is_relative_to(part) else PurePosixPath()
    yield relative
    yield from relative.parents


def _limit_v2(folder: Path) -> float | None:
    """Read the limit of one group: microseconds of processor time, or "max", per period in microseconds."""
    try:
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file at the top, or no limit
        return None


def _limit_v1(folder: Path) -> float | None:
    """Read the limit of one group; a quota of -1 means no limit."""
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text(encoding="utf-8"))
        period = int((folder / "cpu.cfs_period_us").read_text(encoding="utf-8"))
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
