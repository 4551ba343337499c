"""Backups of the bot's database: one file that holds everything the bot knows, made while others write.

A backup has no write-ahead log beside it, so it can be copied like any file.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.adapters.sqlite.file import stamp
from bot.adapters.sqlite.lock import InUse, lock_path
from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.adapters.sqlite.schema import APPLICATION_ID, BUSY_TIMEOUT_S
from bot.domain.errors import InputError, StoreError

SIDE_FILES = ("-wal", "-shm", "-journal")
"""Endings of the files that SQLite keeps beside a database while it is open, and after a kill."""
_BACKED_UP = "backed up"
_TABLES = ("tweet", "song", "candidate", "verdict", "post")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Contents of a backup."""

    schema: int
    """Revision of its tables."""
    made_at: str
    """Time of the backup; empty for a copy that was not made by `back_up`."""
    counts: Mapping[str, int]
    """Number of rows of the tables tweet, song, candidate, verdict and post."""


def back_up(database: Path, target: Path, *, overwrite: bool = False, now: datetime | None = None) -> Contents:
    """Copy a database into one file as it is at one moment, whichever programs write to it meanwhile.

    The file is complete when it gets its name: a kill leaves the earlier file, or none, and a partial one that the next
    backup replaces.

    Args:
        database: the database.
        target: the file to write.
        overwrite: whether a file of that name is replaced.
        now: aware time of the backup; by default the present.

    Raises:
        InputError: the target cannot be used, or exists and may not be replaced.
        StoreError: there is no database, it is damaged, or the target cannot be written.
    """
    if not database.is_file():
        raise StoreError(f"{database} does not exist, so there is nothing to back up; choose another --workspace")
    check_file(target, database)
    if target.is_dir():
        raise InputError(f"{target} is a folder; name the file of the backup, such as {target / 'bot.db'}")
    if target.is_symlink():
        target = target.resolve()  # the link stays
    if target.exists() and not target.is_file():
        raise InputError(f"{target} is not a regular file; name another one")
    if not target.parent.is_dir():
        raise InputError(f"the folder {target.parent} does not exist; create it, or name another file")
    if target.exists() and not overwrite:
        raise InputError(f"{target} exists; name another file, or replace it with --overwrite")
    in_use = InUse(database)
    try:
        with _partial(target) as partial:
            contents = copy_database(database, partial, now=now or datetime.now(UTC))
            sync(partial)
            partial.replace(target)
            sync(target.parent)
    except OSError as cause:
        raise StoreError(f"{target} cannot be written: {cause.strerror}; make room, or name another file") from cause
    finally:
        in_use.release()
    return contents


def check_file(path: Path, database: Path) -> None:
    """Check that a backup is a file of its own.

    Raises:
        InputError: it is standard output, or one of the database's own files.
    """
    if str(path) == "-":
        raise InputError("a backup is a file, because SQLite writes and reads it out of order; name one instead of -")
    own = {database.resolve(), lock_path(database).resolve()}
    own |= {database.with_name(database.name + side).resolve() for side in SIDE_FILES}
    if path.resolve() in own:
        raise InputError(f"{path} belongs to the bot's database itself; name another file")


def copy_database(source: Path, target: Path, *, now: datetime | None = None) -> Contents:
    """Copy a database into an empty file, verify the copy, and return its contents.

    Args:
        source: the database, open elsewhere or not.
        target: the file.
        now: time to record in the copy as that of the backup.

    Raises:
        InputError: the source is not a database of the bot that this program can read.
        StoreError: the source is damaged, or the target cannot be written.
    """
    try:
        with closing(_open(source)) as opened, closing(sqlite3.connect(target, isolation_level=None)) as copy:
            _check_kind(opened, source)
            _fill(copy, opened, target)
            _check_integrity(copy, source)
            if now is not None:
                with _written(target):
                    copy.execute("INSERT OR REPLACE INTO note VALUES (?, '', ?)", (_BACKED_UP, stamp(now)))
            return _contents(copy)
    except sqlite3.OperationalError as cause:
        raise StoreError(f"{source} cannot be read: {cause}") from cause
    except sqlite3.DatabaseError as cause:
        raise StoreError(f"{source} is damaged or is not a database: {cause}; use another file") from cause


def _open(source: Path) -> sqlite3.Connection:
    # A file alone may be on a disk that cannot be written; with a log beside it, SQLite needs shared memory.
    is_alone = not any(source.with_name(source.name + side).exists() for side in SIDE_FILES)
    mode = "immutable=1" if is_alone and not os.access(source.parent, os.W_OK) else "mode=rw"
    return sqlite3.connect(
        f"{source.resolve().as_uri()}?{mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )


def _fill(copy: sqlite3.Connection, source: sqlite3.Connection, target: Path) -> None:
    with _written(target):
        source.backup(copy)
        # Out of the write-ahead log: one file is all that there is.
        copy.execute("PRAGMA journal_mode = DELETE")


@contextmanager
def _written(target: Path) -> Iterator[None]:
    """Turn SQLite's errors of a write into one that names the file."""
    try:
        yield
    except sqlite3.OperationalError as cause:
        raise StoreError(f"{target.parent} cannot be written: {cause}; make room, or use another disk") from cause


def _check_kind(connection: sqlite3.Connection, path: Path) -> None:
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        raise InputError(f"{path} is not a database of deephypebot; name a file that `deephypebot bot backup` made")
    schema = _number(connection, "PRAGMA user_version")
    if schema > len(MIGRATIONS):
        raise InputError(
            f"{path} was written by a newer deephypebot (schema {schema}; this one knows up to {len(MIGRATIONS)});"
            " upgrade this one, or use an older backup"
        )


def _check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise StoreError(f"{path} is damaged: {found.splitlines()[-1]}; use another file")


def _contents(connection: sqlite3.Connection) -> Contents:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    made = connection.execute("SELECT updated_at FROM note WHERE key = ?", (_BACKED_UP,)).fetchone()
    return Contents(
        schema=_number(connection, "PRAGMA user_version"),
        made_at=made[0] if made else "",
        counts={
            table: _number(connection, f"SELECT COUNT(*) FROM {table}") if table in tables else 0  # noqa: S608 -- constants
            for table in _TABLES
        },
    )


def _number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])


@contextmanager
def _partial(target: Path) -> Iterator[Path]:
    """An empty file beside the target that this process alone writes; it is removed after a failure."""
    path = target.with_name(f".{target.name}.partial")
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise StoreError(f"another backup is writing {target}; wait for it, or name another file") from cause
        if not path.exists() or not os.path.samestat(os.fstat(handle), path.stat()):
            raise StoreError(f"another backup has just written {target}; try again")
        os.ftruncate(handle, 0)
        clear_side_files(path)
        try:
            yield path
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
                clear_side_files(path)
            raise
    finally:
        os.close(handle)


def clear_side_files(path: Path) -> None:
    """Remove what SQLite left beside a file: it would be applied to the next database of that name."""
    for side in SIDE_FILES:
        path.with_name(path.name + side).unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
