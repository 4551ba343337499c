"""Locks by which processes of one machine wait for each other; the kernel releases them when a process ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from training.files import make_folder

TRAINING_LOCK: Final = "train.lock"
"""File of a workspace that is locked while a training writes to the workspace."""


@contextmanager
def held_alone(path: Path, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file for the length of the block, after waiting for the process that holds it.

    The file stays when the lock is released: removing it would let two later processes lock two files of one name.

    Args:
        path: the lock file.
        waiting: called before a wait, with the name of the process that is waited for.

    Raises:
        OutputError: the file's folder cannot be created.
    """
    make_folder(path.parent)
    with path.open("a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            # A process that has the lock and has not written its number yet is named by the file.
            waiting(f"process {lock.read().strip() or f'that holds {path}'}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


@contextmanager
def folder_alone(folder: Path) -> Iterator[None]:
    """Lock an existing folder itself for the length of the block, and so without a file in it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
