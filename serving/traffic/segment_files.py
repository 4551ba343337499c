"""Files of segments: forced to the disk, looked at and removed."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable
from pathlib import Path


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
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


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
