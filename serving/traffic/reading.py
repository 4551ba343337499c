"""Reading of exposures from the files of one or several hosts, in the order of time and without doubles."""

from __future__ import annotations

import heapq
import json
import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from serving.errors import ServingError
from serving.traffic.exposures import Exposure, parse_exposure
from serving.traffic.segment_files import stat_of
from serving.traffic.segments import segment_paths

_TIME: Final = re.compile(rb'"time":"([^"\\]+)"')
"""Time of a row. It is found in no text of a row, whose quotation marks are escaped, and sorts as text."""


@dataclass(slots=True, kw_only=True)
class ExposureFiles:
    """Exposures in some folders; iterate to read them.

    Copies of a segment, as several backups of a host bring them, count once. Memory is that of the segments of one
    moment, so it grows with the number of processes that wrote at once and not with the time they wrote.

    Raises:
        ServingError: on iteration, a folder does not exist or cannot be read.
    """

    folders: Sequence[Path]
    since: datetime | None = None
    """Time before which rows may be left out: segments that were last written to earlier are not read."""
    experiment: str = ""
    """Experiment whose rows alone are read; empty for all rows."""
    doubles: int = field(default=0, init=False)
    """Rows that were left out because an earlier file had them, in this iteration so far."""
    torn: int = field(default=0, init=False)
    """Last lines without an end: a write that a kill, a full disk or a power failure cut short, or one under way."""
    unreadable: int = field(default=0, init=False)
    """Other lines that are not exposures."""

    def __iter__(self) -> Iterator[Exposure]:
        """Yield each exposure once, the earliest first."""
        self.doubles = self.torn = self.unreadable = 0
        last = ""
        for line in self._merged():
            try:
                exposure = parse_exposure(line)
            except ValueError:
                self.unreadable += 1
                continue
            if exposure.id == last:
                self.doubles += 1
            else:
                last = exposure.id
                yield exposure

    def _merged(self) -> Iterator[bytes]:
        """Lines of all segments by time; equal ones, which are doubles, are neighbours."""
        waiting = deque(sorted((_earliest(path), path) for path in self._paths()))
        heap: list[tuple[bytes, bytes, int, Iterator[tuple[bytes, bytes]]]] = []

        def push(number: int, lines: Iterator[tuple[bytes, bytes]]) -> None:
            if (following := next(lines, None)) is not None:
                heapq.heappush(heap, (*following, number, lines))

        while waiting or heap:
            # A segment is read when the merge arrives at its first row. The clock may have been set back within it.
            if waiting and (not heap or waiting[0][0] <= heap[0][0]):
                push(len(waiting), iter(self._lines(waiting.popleft()[1])))
            else:
                _, line, number, lines = heapq.heappop(heap)
                push(number, lines)
                yield line

    def _lines(self, path: Path) -> list[tuple[bytes, bytes]]:
        """Times and lines of one segment, by time."""
        *lines, rest = _content(path).split(b"\n")
        self.torn += bool(rest)
        timed = []
        # A row of which most are left out is not decoded: no text of a row has a quotation mark that is not escaped.
        wanted = b'"experiment":%b' % json.dumps(self.experiment).encode() if self.experiment else b""
        for line in filter(None, lines):
            if wanted not in line:
                continue
            if (found := _TIME.search(line)) is not None:
                timed.append((found[1], line))
            else:
                self.unreadable += 1
        return sorted(timed)

    def _paths(self) -> Iterator[Path]:
        for folder in self.folders:
            try:
                if not folder.is_dir():
                    raise ServingError(
                        f"there are no exposures in {folder}: name a folder that `serve --exposures` wrote"
                    )
                yield from (path for path in segment_paths(folder) if self._is_wanted(path))
            except OSError as cause:
                raise ServingError(f"the exposures in {folder} cannot be read: {cause.strerror}") from cause

    def _is_wanted(self, path: Path) -> bool:
        stat = stat_of(path)
        return self.since is None or stat is None or stat.st_mtime >= self.since.timestamp()


def _earliest(path: Path) -> bytes:
    return min(_TIME.findall(_content(path)), default=b"")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # retention has removed it since the folder was listed
        return b""
    except OSError as cause:
        raise ServingError(f"the exposures in {path} cannot be read: {cause.strerror}") from cause
