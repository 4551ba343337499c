"""Values that are read from files, and read again when the files change."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from serving.errors import SecurityError

_log = logging.getLogger(__name__)

_Value = TypeVar("_Value")
_Signature = tuple[tuple[int, ...], ...]


class WatchedFiles(Generic[_Value]):
    """A value of some files. Files that change to something unusable leave the value as it was.

    `refresh` may run in another thread than the readers of `value`.

    Args:
        name: noun for the files, for the log.
        paths: the files.
        read: reads the value; it raises SecurityError if that fails.

    Raises:
        SecurityError: the files cannot be used at the start.
    """

    def __init__(self, name: str, paths: Sequence[Path], read: Callable[[], _Value]) -> None:
        self._name = name
        self._paths = paths
        self._read = read
        self._seen = self._signature()
        self.value = read()
        self._complaint: tuple[_Signature, str] | None = None
        self.errors = 0
        """Changes of the files that were unusable."""

    def refresh(self) -> None:
        """Read the files again if they have changed."""
        seen = self._signature()  # before the files are read: a change meanwhile is found the next time
        if seen == self._seen:
            return
        try:
            value = self._read()
        except SecurityError as fault:
            # Tried again each time, as files are often replaced one after the other; one line and one count are enough.
            if self._complaint != (complaint := (seen, str(fault))):
                self._complaint = complaint
                self.errors += 1
                _log.error("the %s changed and cannot be used, so the old one stays: %s", self._name, fault)
            return
        self.value, self._seen, self._complaint = value, seen, None
        _log.info("the %s changed and is in use", self._name)

    def _signature(self) -> _Signature:
        """Return what tells a changed file: a link that points elsewhere, another file of the name, or new contents."""
        found: list[tuple[int, ...]] = []
        for path in self._paths:
            try:
                status = os.stat(path)  # noqa: PTH116 - the same in one call
            except OSError:
                found.append(())
            else:
                found.append((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, status.st_mode))
        return tuple(found)
