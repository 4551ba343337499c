"""Restoring of a backup in place of the bot's database.

The restored database is made complete under another name, and takes the place of the present one in one step. The
present one is kept under a name that says when. A kill at any moment leaves one of the two, whole.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from bot.adapters.sqlite.backup import SIDE_FILES, Contents, check_file, clear_side_files, copy_database, sync
from bot.adapters.sqlite.board_edits import begin_due_edits
from bot.adapters.sqlite.file import stamp
from bot.adapters.sqlite.lock import alone, in_use
from bot.adapters.sqlite.restored import begin_restored
from bot.adapters.sqlite.schema import connect, transaction, wrapped_errors
from bot.domain.errors import InputError, StoreError

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


_MAGIC = b"SQLite format 3\x00"
"""Beginning of every database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """Outcome of a restore."""

    contents: Contents
    """Contents of the backup."""
    kept: Path | None
    """The database that was there before; None if there was none."""


def restore(file: Path, database: Path, *, now: datetime | None = None) -> Restoration:
    """Put a backup in the place of a database, which is kept beside it.

    Args:
        file: the backup.
        database: the database, which need not exist.
        now: aware time of the restore; by default the present.

    Raises:
        InputError: the file is missing, or is not a backup that this program can read.
        StoreError: the database is in use, the file is damaged, or the folder cannot be written.
    """
    check_file(file, database)
    if not file.is_file():
        raise InputError(f"{file} {'is a folder' if file.is_dir() else 'does not exist'}; name the file of a backup")
    try:
        database.parent.mkdir(parents=True, exist_ok=True)
        with alone(database):
            new = database.with_name(f".{database.name}.restoring")
            try:
                contents = _prepare(file, new, like=database, now=now or datetime.now(UTC))
                kept = _keep(database)
                new.replace(database)
                sync(database.parent)
            finally:
                _remove(new)
    except OSError as cause:
        raise StoreError(f"{database.parent} cannot be written: {cause.strerror}; nothing was restored") from cause
    return Restoration(contents=contents, kept=kept)


def _prepare(file: Path, new: Path, *, like: Path, now: datetime) -> Contents:
    """Make the restored database, complete and on the disk, under another name."""
    _remove(new)
    new.touch(mode=0o600)
    _own_like(new, like)
    contents = copy_database(file, new)
    # Migrated now, so that a failure leaves the present database in its place.
    with closing(connect(new)) as connection, wrapped_errors(new):
        with transaction(connection):
            begin_restored(connection, now)
            # Edits of the board that were due may have been written: they are looked up like those in doubt.
            begin_due_edits(connection, -1, stamp(now))
        connection.execute("PRAGMA journal_mode = DELETE")
    sync(new)
    return contents


def _own_like(new: Path, database: Path) -> None:
    """Give a file mode and owner of the database, or the owner of its folder: root may restore for the bot's user."""
    like = (database if database.exists() else database.parent).stat()
    if database.exists():
        new.chmod(stat.S_IMODE(like.st_mode))
    if os.geteuid() == 0:
        os.chown(new, like.st_uid, like.st_gid)


def _keep(database: Path) -> Path | None:
    """Give the present database a second name, and leave nothing of it beside the first one."""
    if not database.exists():
        clear_side_files(database)
        return None
    _close_log(database)
    kept = _name_of_kept(database)
    for side in ("", *SIDE_FILES):
        beside = database.with_name(database.name + side)
        if beside.exists():
            _link(beside, kept.with_name(kept.name + side))
    sync(database.parent)
    clear_side_files(database)
    return kept


def _close_log(database: Path) -> None:
    """Write the log of the present database back into it; a log that is left would be applied to the new one.

    The log of a database that is too damaged to be opened stays as it is: it is kept with the database.

    Raises:
        StoreError: another program has the database open.
    """
    with database.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return  # SQLite would remove the log
    try:
        with closing(
            sqlite3.connect(f"{database.resolve().as_uri()}?mode=rw", uri=True, timeout=0, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as cause:
        if "locked" in str(cause):
            raise in_use(database) from cause
        raise StoreError(f"{database} cannot be written: {cause}; nothing was changed") from cause
    except sqlite3.DatabaseError:
        return


def _name_of_kept(database: Path) -> Path:
    """A free name for the present database, or the one that an interrupted restore gave it."""

    def named(what: str) -> Path:
        return database.with_name(f"{database.stem}-before-restore-{what}{database.suffix}")

    given = database.parent.glob(named("*").name)
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = (named(f"{moment}-{number}" if number else moment) for number in count())
    return next(
        (path for path in sorted(given) if path.samefile(database)),
        next(path for path in names if not path.exists()),
    )


def _link(path: Path, name: Path) -> None:
    """Give a file a second name, or copy it where the file system has no links."""
    try:
        os.link(path, name)
    except FileExistsError:
        if not path.samefile(name):
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copy2(path, name)
        sync(name)


def _remove(new: Path) -> None:
    new.unlink(missing_ok=True)
    clear_side_files(new)
