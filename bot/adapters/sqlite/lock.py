"""Lock on the replacement of a database: every connection shares it, and a restore has it alone.

The kernel releases the lock when its process ends. SQLite's own locks are on the database file, which a restore
replaces, so this lock is on a file beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.domain.errors import StoreError

_PATIENCE_S = 10.0
"""Seconds that a connection waits for a restore."""
_POLL_S = 0.05
_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


class InUse:
    """Share of a database's lock, from its making to `release`.

    Where the folder cannot be written, or the file system has no locks, there is nothing to hold and nothing is held.

    Raises:
        StoreError: the folder cannot be made, or a restore takes too long.
    """

    def __init__(self, database: Path) -> None:
        self._handle = -1
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise StoreError(
                f"the bot's database {database} cannot be opened: {cause}; choose another --workspace"
            ) from cause
        with suppress(OSError):
            self._handle = _open(database)
        deadline = time.monotonic() + _PATIENCE_S
        while self._handle >= 0 and not _lock(self._handle, fcntl.LOCK_SH):
            if time.monotonic() > deadline:
                self.release()
                raise StoreError(f"the bot's database {database} is being restored; try again when that is done")
            time.sleep(_POLL_S)

    def __del__(self) -> None:
        self.release()

    def release(self) -> None:
        """Give the share back; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Hold the lock alone for the length of the block.

    Raises:
        StoreError: something uses the database, or the file system has no locks.
    """
    try:
        handle = _open(database)
    except OSError as cause:
        raise StoreError(f"{lock_path(database)} cannot be opened: {cause.strerror}; nothing was changed") from cause
    try:
        try:
            is_alone = _lock(handle, fcntl.LOCK_EX)
        except OSError as cause:
            raise StoreError(f"{lock_path(database)} cannot be locked: {cause.strerror}; use a local disk") from cause
        if not is_alone:
            raise in_use(database)
        yield
    finally:
        os.close(handle)


def in_use(database: Path) -> StoreError:
    """The error of a database that cannot be replaced now."""
    return StoreError(
        f"a bot, a studio or another program is using {database}: stop it first (Ctrl-C, or `systemctl stop"
        " deephypebot-bot deephypebot-studio`); nothing was changed"
    )


def lock_path(database: Path) -> Path:
    """The file that is locked. It stays: removing it would let two processes lock two files of one name."""
    return database.with_name(f"{database.name}.lock")


def _open(database: Path) -> int:
    path = lock_path(database)
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o660)
    except PermissionError:
        return os.open(path, os.O_RDONLY)  # made by another user


def _lock(handle: int, kind: int) -> bool:
    """Lock without a wait; whether that succeeded. Sharing succeeds where the file system has no locks."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if kind == fcntl.LOCK_SH and error.errno in _UNSUPPORTED:
            return True
        raise
    return True
