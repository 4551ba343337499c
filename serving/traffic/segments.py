"""Files of exposures: append-only JSON lines, in segments that are written by one process each and removed whole.

    FOLDER/20261129T195803.123456Z_HOST_PID_1a2b3c4d.jsonl

Each row is one write to a file that is opened for appending, so the kernel has it before `append` returns, and it
survives the end of the process by any signal. About once a second the rows are forced to the disk: a power failure
takes those of the last second or so.

A writer holds a lock (flock) on its segment for as long as it writes. By it, retention in this or another process
knows the segments that are in use.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import re
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from foundation.threads import in_thread
from serving.traffic.segment_files import NO_LOCKS, remove_unused, stat_of, sync_files

_log = logging.getLogger(__name__)

_MIB: Final = 2**20
_DAY_S: Final = 86_400
_NAME: Final = "%Y%m%dT%H%M%S.%fZ"
_SEGMENT: Final = re.compile(r"\d{8}T\d{6}\.\d{6}Z_[\w.\-]+_\d+_[0-9a-f]{8}\.jsonl")
_REOPEN_S: Final = 1.0
"""Pause between two attempts to open a segment, since each costs more than a request should."""
_OWN_AND_NO_OTHERS: Final = 0o700
_READ_WRITE: Final = 0o600
"""Rows hold names of songs and keys of units: they are for the owner of the service, as its database is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExposureSettings:
    """Folder and retention of exposures.

    Raises:
        ValueError: a value is out of range.
    """

    folder: Path
    max_days: float = 30.0
    """Segments whose last row is older are removed."""
    max_mb: int = 1024
    """Size in MiB of all segments of the folder; the oldest are removed when it is exceeded."""
    segment_mb: int = 16
    """Size in MiB at which a segment is closed and the next is begun; one is also closed when its day (UTC) is over."""
    sync_s: float = 1.0
    """Interval at which rows are forced to the disk."""
    retention_s: float = 60.0
    """Interval at which old segments are looked for."""

    def __post_init__(self) -> None:
        if not self.max_days > 0:
            raise ValueError(f"max_days must be above 0, got {self.max_days:g}")
        if not 0 < self.segment_mb <= self.max_mb:
            raise ValueError(f"max_mb must be at least {self.segment_mb}, the size of one segment, got {self.max_mb}")


@dataclass(slots=True, kw_only=True)
class _Segment:
    path: Path
    descriptor: int
    day: str
    size: int = 0
    is_synced: bool = False
    is_torn: bool = False
    """The last write was cut short, so the next row has to begin a line."""


class Segments:
    """Writer of the segments of one process, and the retention of their folder.

    `append` is for one thread. A disk that is full, read-only or gone raises nothing: rows are lost and counted, the
    log says so once, and writing goes on as soon as the disk takes rows again.

    Args:
        settings: folder and limits.
        host: name of this machine.
        now: clock, in UTC.
    """

    def __init__(
        self, settings: ExposureSettings, *, host: str = "", now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._host = re.sub(r"[^\w.\-]", "-", host or socket.gethostname()) or "host"
        self._now = now
        self._segment: _Segment | None = None
        self._finished: list[int] = []
        """Descriptors of earlier segments, which are closed when their rows are on the disk."""
        self._next_attempt = 0.0
        self._lost_in_a_row = 0
        self.written = 0
        self.lost = 0

    def append(self, row: bytes) -> bool:
        """Write one row, which holds no line break, and return whether it is whole in the file."""
        segment = self._segment
        if segment is None or segment.size >= self._settings.segment_mb * _MIB:
            segment = self._begin()
        if segment is None:
            return self._lose()
        line = b"\n%b\n" % row if segment.is_torn else b"%b\n" % row
        try:
            num_written = os.write(segment.descriptor, line)
        except OSError as fault:
            return self._lose(fault)
        segment.size += num_written
        segment.is_synced = False
        segment.is_torn = num_written < len(line)
        if segment.is_torn:
            return self._lose(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.written += 1
        if self._lost_in_a_row:
            _log.warning("exposures are written again to %s; %d were lost", segment.path, self._lost_in_a_row)
            self._lost_in_a_row = 0
        return True

    async def run(self) -> None:
        """Force rows to the disk and remove old segments, until cancelled."""
        next_retention, told = 0.0, set[Path]()
        while True:
            await asyncio.sleep(self._settings.sync_s)
            try:
                await in_thread(partial(sync_files, self._settings.folder, self._take_unsynced()))
                if time.monotonic() >= next_retention:
                    next_retention = time.monotonic() + self._settings.retention_s
                    await in_thread(partial(remove_old, self._settings, told=told))
            except Exception:  # noqa: BLE001 - requests are answered whatever happens to the record of them
                _log.exception("exposures in %s are not looked after; trying again", self._settings.folder)

    def close(self) -> None:
        """Force the rows to the disk and close the segment; a later row begins another."""
        self._end()
        sync_files(self._settings.folder, self._take_unsynced())

    def _begin(self) -> _Segment | None:
        """End the segment and begin the next; None while that is impossible."""
        self._end()
        if time.monotonic() < self._next_attempt:
            return None
        try:
            self._segment = _create(self._settings.folder, self._host, self._now())
        except OSError as fault:
            self._next_attempt = time.monotonic() + _REOPEN_S
            self._tell(fault)
        return self._segment

    def _end(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            self._finished.append(segment.descriptor)

    def _take_unsynced(self) -> list[int]:
        """Return descriptors to sync and close in another thread.

        A segment of an earlier day, or one that was removed, is ended on the way.
        """
        segment = self._segment
        if segment is not None:
            with contextlib.suppress(OSError):
                if not segment.is_synced:
                    self._finished.append(os.dup(segment.descriptor))
                    segment.is_synced = True
                is_removed = os.fstat(segment.descriptor).st_nlink == 0
                if is_removed or segment.day != f"{self._now():%Y%m%d}":
                    self._end()
        finished, self._finished = self._finished, []
        return finished

    def _lose(self, fault: OSError | None = None) -> bool:
        if fault is not None:
            self._tell(fault)
        self.lost += 1
        self._lost_in_a_row += 1
        return False

    def _tell(self, fault: OSError) -> None:
        if not self._lost_in_a_row:
            _log.error(
                "exposures cannot be written to %s (%s): requests are answered, and their exposures are lost until "
                "the folder takes rows again",
                self._settings.folder,
                fault.strerror or fault,
            )


def segment_paths(folder: Path) -> list[Path]:
    """Return the segments of a folder, the one that was begun first before the others; none if there is no folder.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []
    return [folder / name for name in names if _SEGMENT.fullmatch(name)]


def remove_old(
    settings: ExposureSettings, *, now_s: float | None = None, told: set[Path] | None = None
) -> tuple[Path, ...]:
    """Remove segments that are too old or too much, oldest first, and return them. One that is written to stays.

    One that cannot be removed, such as another user's, stays as well, and the others are removed in its place.

    Args:
        settings: folder and limits.
        now_s: seconds since the epoch; None for the present.
        told: paths whose fault the log has already; those of this call are added.
    """
    oldest_s = (time.time() if now_s is None else now_s) - settings.max_days * _DAY_S
    told = set() if told is None else told
    removed = []
    try:
        found = [(path, stat) for path in segment_paths(settings.folder) if (stat := stat_of(path)) is not None]
    except OSError as fault:
        _log.warning("old exposures in %s cannot be looked for: %s", settings.folder, fault)
        return ()
    excess = sum(stat.st_size for _, stat in found) - settings.max_mb * _MIB
    for path, stat in found:
        if excess <= 0 and stat.st_mtime >= oldest_s:
            continue
        try:
            is_gone = remove_unused(path)
        except OSError as fault:
            if path not in told:
                _log.warning("old exposures cannot be removed: %s", fault)
            told.add(path)
            continue
        if is_gone:
            excess -= stat.st_size
            removed.append(path)
    if removed:
        _log.info("removed %d old segments of exposures from %s", len(removed), settings.folder)
    return tuple(removed)


def _create(folder: Path, host: str, now: datetime) -> _Segment:
    """Create a segment and lock it.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(mode=_OWN_AND_NO_OTHERS, parents=True, exist_ok=True)
    while True:
        path = folder / f"{now:{_NAME}}_{host}_{os.getpid()}_{secrets.token_hex(4)}.jsonl"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, _READ_WRITE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # otherwise retention removed the empty file before it was locked
                return _Segment(path=path, descriptor=descriptor, day=f"{now:%Y%m%d}")
        except OSError as fault:
            if fault.errno in NO_LOCKS:
                # A file system without locks: retention elsewhere has age alone to go by.
                return _Segment(path=path, descriptor=descriptor, day=f"{now:%Y%m%d}")
            os.close(descriptor)
            raise
        os.close(descriptor)
