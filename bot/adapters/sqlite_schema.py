"""Opening the bot's database: its tables, their version, and how it is kept safe."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.domain.errors import StoreError

APPLICATION_ID = 0x64687062
"""Marks the file as ours ("dhpb"), for `file` and for us."""

BUSY_TIMEOUT_S = 10.0
"""How long one process waits for another one's write."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    # Version 1. Each step of the bot's work is a row's state, so that a killed bot goes on where it stopped.
    (
        """CREATE TABLE source (
            name TEXT PRIMARY KEY,
            cursor TEXT NOT NULL,
            updated_at TEXT NOT NULL
        )""",
        """CREATE TABLE tweet (
            place INTEGER PRIMARY KEY AUTOINCREMENT,
            id TEXT NOT NULL UNIQUE,
            source TEXT NOT NULL,
            author TEXT NOT NULL,
            created_at TEXT NOT NULL,
            text TEXT NOT NULL,
            read_at TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('pending', 'done', 'no song', 'failed')),
            attempts INTEGER NOT NULL DEFAULT 0,
            reason TEXT NOT NULL DEFAULT '',
            handled_at TEXT
        )""",
        "CREATE INDEX tweet_status ON tweet (status, place)",
        """CREATE TABLE bad_row (
            source TEXT NOT NULL,
            line INTEGER NOT NULL,
            reason TEXT NOT NULL,
            excerpt TEXT NOT NULL,
            seen_at TEXT NOT NULL,
            PRIMARY KEY (source, line)
        )""",
        """CREATE TABLE song (
            tweet_id TEXT NOT NULL REFERENCES tweet (id),
            number INTEGER NOT NULL,
            artist TEXT NOT NULL,
            song TEXT NOT NULL,
            genres TEXT NOT NULL,
            PRIMARY KEY (tweet_id, number)
        ) WITHOUT ROWID""",
        """CREATE TABLE candidate (
            id TEXT PRIMARY KEY,
            tweet_place INTEGER NOT NULL REFERENCES tweet (place),
            tweet_id TEXT NOT NULL,
            song_number INTEGER NOT NULL,
            number INTEGER NOT NULL,
            sample TEXT NOT NULL,
            model TEXT NOT NULL,
            model_version TEXT NOT NULL,
            archive_sha256 TEXT NOT NULL,
            genres_unknown TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('waiting', 'accepted', 'rejected')),
            created_at TEXT NOT NULL,
            verdict_id INTEGER REFERENCES verdict (id),
            UNIQUE (tweet_place, song_number, number),
            FOREIGN KEY (tweet_id, song_number) REFERENCES song (tweet_id, number)
        )""",
        "CREATE INDEX candidate_status ON candidate (status, tweet_place, song_number, number)",
        """CREATE TABLE verdict (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            candidate_id TEXT NOT NULL REFERENCES candidate (id),
            decision TEXT NOT NULL CHECK (decision IN ('accept', 'reject')),
            edited_text TEXT,
            who TEXT NOT NULL,
            decided_at TEXT NOT NULL
        )""",
        "CREATE TABLE note (key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL)",
    ),
)


def connect(path: Path) -> sqlite3.Connection:
    """Open the database, made or brought up to date if need be.

    Raises:
        StoreError: the file is not ours, is from a newer version, or cannot be used.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    except (OSError, sqlite3.Error) as cause:
        raise StoreError(f"the bot's database {path} cannot be opened: {cause}; choose another --workspace") from cause
    try:
        with wrapped_errors(path):
            connection.row_factory = sqlite3.Row
            # FULL: in WAL mode anything less may lose the last commits when the power goes.
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                connection.execute(f"PRAGMA {pragma}")
            _migrate(connection, path)
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
        # Read again under the lock: another process may have done the work meanwhile.
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


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing; the write lock is taken at once, so that nothing changes between a read and its write."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # SQLite has rolled back by itself after some errors, such as a full disk.
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
        raise StoreError(f"the bot's database {path} cannot be used: {cause}{hint}") from cause
