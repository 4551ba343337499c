"""Grouping of records by key on disk, for more records than fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

_RECORD: Final = np.dtype([("key", "<u8"), ("member", "<u8")])
Keys = NDArray[np.uint64]
Members = NDArray[np.uint64]


@dataclass(slots=True)
class Groups:
    """Records of (key, member) in files by the key's high bits, so that each file's groups fit in memory.

    Keys must be hashes, since parts are of equal size only if the high bits are uniform.

    Args:
        folder: an empty folder for the parts' files.
        expected: approximate number of records, from which the number of parts follows.
        part_records: records of a part, which is sorted in memory.
        buffered: records kept in memory before they are written to the parts' files.
    """

    folder: Path
    expected: int
    part_records: int = 1 << 19
    buffered: int = 1 << 18
    _parts: int = field(init=False)
    _waiting: list[NDArray[np.void]] = field(init=False, default_factory=list)
    _num_waiting: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._parts = max(1, -(-self.expected // self.part_records))
        self.folder.mkdir(parents=True, exist_ok=True)

    def add(self, keys: Keys, members: Members) -> None:
        """Add records; keys and members have the same length."""
        records = np.empty(len(keys), dtype=_RECORD)
        records["key"] = keys
        records["member"] = members
        self._waiting.append(records)
        self._num_waiting += len(records)
        if self._num_waiting >= self.buffered:
            self._spread()

    def groups(self) -> Iterator[tuple[Members, NDArray[np.int64]]]:
        """Yield, part by part, members sorted by key and then by value, and the start of each group."""
        self._spread()
        for number in range(self._parts):
            path = self._path(number)
            if not path.exists():
                continue
            records = np.fromfile(path, dtype=_RECORD)
            path.unlink()
            records = records[np.lexsort((records["member"], records["key"]))]
            starts = np.flatnonzero(np.r_[True, records["key"][1:] != records["key"][:-1]])
            yield records["member"], starts

    def _spread(self) -> None:
        if not self._waiting:
            return
        records = np.concatenate(self._waiting)
        self._waiting, self._num_waiting = [], 0
        # The high 32 bits times the number of parts, shifted back: a uniform choice without a division.
        part = ((records["key"] >> np.uint64(32)) * np.uint64(self._parts)) >> np.uint64(32)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(self._parts + 1, dtype=np.uint64))
        for number in range(self._parts):
            chosen = records[order[bounds[number] : bounds[number + 1]]]
            if len(chosen):
                with self._path(number).open("ab") as file:
                    chosen.tofile(file)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:05d}.part"
