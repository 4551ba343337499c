"""Files of segments: forced to the disk, looked at and removed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of a file system without locks."""
_LONGEST_USE_S: Final = 2 * 86_400
"""Age of the last row from which a segment is certain to have no writer, which leaves it when its day is over."""


def stat_of(path: Path) -> os.stat_result | None:
    """Return size and times of a file; None if it is gone meanwhile."""
    with contextlib.suppress(OSError):
        return path.stat()
    return None


def remove_unused(path: Path) -> bool:
    """Remove a segment unless its writer still has it; return whether it is gone.

    Raises:
        OSError: it cannot be removed.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # locks over NFS need a descriptor that may write
    try:
        if _is_used(descriptor):
            return False
        path.unlink()
    finally:
        os.close(descriptor)
    return True


def _is_used(descriptor: int) -> bool:
    """Lock a segment, and return whether its writer has it still."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as fault:
        if fault.errno not in NO_LOCKS:
            raise
        return time.time() - os.fstat(descriptor).st_mtime < _LONGEST_USE_S
    return False


def sync_files(folder: Path, descriptors: Iterable[int]) -> None:
    """Force files to the disk, and the names of new ones with them; close the descriptors."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):  # a disk that fails here fails the next row too, which is then counted
            os.fsync(descriptor)
        os.close(descriptor)
    with contextlib.suppress(OSError):
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
