"""An open SQLite file: the base of the store, the queue, the outbox and the desk."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bot.adapters.sqlite.lock import InUse
from bot.adapters.sqlite.schema import connect, transaction, wrapped_errors

Values = Mapping[str, object] | tuple[object, ...]


class SqliteFile:
    """Connection to the bot's database.

    A connection belongs to one thread. Several processes may use the file at once, the bot and curators for example;
    while one does, the file cannot be replaced by a restore.

    Args:
        path: the database; it is created if it does not exist.
        now: returns the aware time that rows are written with.
        shared: whether several threads use this object, with a lock of their own.

    Raises:
        StoreError: the file cannot be used; also raised by every method.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), shared: bool = False
    ) -> None:
        self._path = path
        self._clock = now
        self._in_use = InUse(path)
        self._connection = connect(path, shared=shared)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
        self._in_use.release()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with wrapped_errors(self._path), transaction(self._connection):
            yield self._connection

    def _read(self, statement: str, values: Values = ()) -> list[sqlite3.Row]:
        with wrapped_errors(self._path):
            return self._connection.execute(statement, values).fetchall()

    def _now(self) -> str:
        return stamp(self._clock())


def stamp(time: datetime) -> str:
    """Format an aware time for the database: UTC, to the second, so that text sorts by time."""
    return time.astimezone(UTC).isoformat(timespec="seconds")


def count_usage(connection: sqlite3.Connection, item: str, count: int, now: str) -> None:
    """Within a transaction: add to this month's usage."""
    connection.execute(
        "INSERT INTO usage (month, item, count) VALUES (?, ?, ?) ON CONFLICT (month, item)"
        " DO UPDATE SET count = count + excluded.count",
        (now[:7], item, count),
    )


def to_json(value: object) -> str:
    """Format a value for the database."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def from_json(document: str) -> dict[str, Any]:
    """Parse a JSON object; its arrays become tuples, as in the frozen classes."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(document).items()}
