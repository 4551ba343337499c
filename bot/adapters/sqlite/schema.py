"""Connection to the bot's database: migrations, transactions, errors."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.domain.errors import StoreError
from bot.domain.keys import search_key
from bot.domain.storable import storable

APPLICATION_ID = 0x64687062
"""SQLite's application id of the bot's databases, "dhpb" in ASCII."""

BUSY_TIMEOUT_S = 10.0
"""Seconds that a process waits for the write of another one."""


class StorableConnection(sqlite3.Connection):
    """Connection that stores a question mark for half of a surrogate pair, on which SQLite fails."""

    @override
    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        try:
            return super().execute(sql, parameters)
        except UnicodeEncodeError:
            return super().execute(sql, _storable(parameters))

    @override
    def executemany(self, sql: str, parameters: Any, /) -> sqlite3.Cursor:
        # Made storable beforehand: a failure in the middle would leave rows that a repetition inserts twice.
        return super().executemany(sql, map(_storable, parameters))


def _storable(values: Any) -> Any:
    if isinstance(values, Mapping):
        return {name: _storable_value(value) for name, value in values.items()}
    return tuple(map(_storable_value, values))


def _storable_value(value: Any) -> Any:
    return storable(value) if isinstance(value, str) else value


def mode_in(folder: Path) -> int:
    """Permissions of a new database: the group's too where it may write into the folder, and never those of others."""
    return 0o660 if folder.stat().st_mode & stat.S_IWGRP else 0o600


def connect(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """Open the database; it is created or migrated if necessary.

    Args:
        path: the file.
        shared: whether several threads use the connection, with a lock of their own.

    Raises:
        StoreError: the file belongs to another program or to a newer version, or cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.touch(mode=mode_in(path.parent))
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=not shared, factory=StorableConnection
        )
    except (OSError, sqlite3.Error) as cause:
        raise StoreError(f"the bot's database {path} cannot be opened: {cause}; choose another --workspace") from cause
    try:
        with wrapped_errors(path):
            connection.row_factory = sqlite3.Row
            # FULL: in WAL mode any lower level may lose the last commits in a power failure.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = OFF"):
                connection.execute(f"PRAGMA {pragma}")
            # For migrations and searches.
            connection.create_function("search_key", 1, _search_key, deterministic=True)
            # Off during migrations: a table that others refer to could not be replaced.
            _migrate(connection, path)
            connection.execute("PRAGMA foreign_keys = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if (
        _pragma(connection, "user_version") == len(MIGRATIONS)
        and _pragma(connection, "application_id") == APPLICATION_ID
    ):
        return
    with transaction(connection):
        # Read again under the lock: another process may have migrated the file in the meantime.
        version = _pragma(connection, "user_version")
        filled = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        if filled and _pragma(connection, "application_id") != APPLICATION_ID:
            raise StoreError(f"{path} is a database of another program; choose another --workspace")
        if version > len(MIGRATIONS):
            raise StoreError(f"{path} was written by a newer deephypebot (schema {version}); upgrade this one")
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


@lru_cache(maxsize=20_000)
def _search_key(text: str | None) -> str:
    return search_key(text or "")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction. The write lock is taken at once, so that nothing changes between a read and a write."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # After some errors, such as a full disk, SQLite has rolled back by itself.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


@contextmanager
def wrapped_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into the bot's own."""
    try:
        yield
    except sqlite3.Error as cause:
        hint = "; is another bot busy with it?" if "locked" in str(cause) else ""
        if "locking protocol" in str(cause) or "disk I/O" in str(cause):
            # A write-ahead log needs shared memory, which network drives and some shared folders do not have.
            hint = "; put the workspace on a local disk, not on a network drive or a folder shared with a container"
        raise StoreError(f"the bot's database {path} cannot be used: {cause}{hint}") from cause
