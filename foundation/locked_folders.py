"""Folders of a process that others remove if it is killed.

A folder is locked (flock) for as long as its process uses it, and the system releases the lock however the process
ends. So one that is not locked, and is older than a start takes, is left over.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_START_S: Final = 60.0
"""Age from which a folder without a lock is left over; a new one is not locked yet."""


@contextmanager
def locked_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder of one's own for the length of the block, and remove those that are left over.

    Args:
        parent: folder to make it in.
        prefix: start of its name.

    Raises:
        OSError: the folder cannot be made.
    """
    remove_left_over(parent, prefix)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as folder,
        lock(Path(folder)),
    ):
        yield Path(folder)


def remove_left_over(parent: Path, prefix: str, *, is_ours: Callable[[Path], bool] = Path.is_dir) -> None:
    """Remove the folders that processes left behind which were killed.

    Args:
        parent: folder that holds them.
        prefix: start of their names.
        is_ours: returns whether a folder may be removed.
    """
    for left in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _START_S and is_ours(left):
                with lock(left):
                    shutil.rmtree(left)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Lock a folder for the length of the block.

    Raises:
        OSError: another process has locked it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
