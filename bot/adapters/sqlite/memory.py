"""Records in SQLite that the bot's threads use: genres, posted texts, earlier songs, odd items."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from bot.adapters.sqlite import odd_items
from bot.adapters.sqlite.file import SqliteFile, stamp, to_json
from bot.adapters.sqlite.outbox import has_posted
from bot.adapters.sqlite.rows import has_come
from bot.adapters.sqlite.schema import wrapped_errors
from bot.domain.odd_items import OddItem
from bot.domain.songs.song import Song
from bot.ports import ArtistEntry, CachedGenres, GenreCache, OddItems, PostHistory, SongHistory


class SqliteMemory(SqliteFile, GenreCache, OddItems, PostHistory, SongHistory):
    """Connection of its own that threads share, a call at a time.

    Args:
        path: the bot's database.
        now: returns the aware time.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(path, now=now, shared=True)
        self._lock = threading.Lock()

    @override
    def get(self, artist_key: str) -> CachedGenres | None:
        with self._lock:
            rows = self._read(
                "SELECT name, genres, origin FROM artist_genres WHERE key = ? AND expires_at > ?",
                (artist_key, self._now()),
            )
        if not rows:
            return None
        name, genres, origin = rows[0]
        if name is None:
            return CachedGenres(entry=None)
        return CachedGenres(entry=ArtistEntry(name=name, genres=tuple(json.loads(genres)), origin=origin))

    @override
    def put(self, artist_key: str, entry: ArtistEntry | None, *, expires_at: datetime) -> None:
        name, genres, origin = (entry.name, entry.genres, entry.origin) if entry is not None else (None, (), "")
        with self._lock, self._writing() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO artist_genres (key, name, genres, origin, expires_at) VALUES (?, ?, ?, ?, ?)",
                (artist_key, name, to_json(genres), origin, stamp(expires_at)),
            )

    @override
    def set_aside(self, part: str, items: Iterable[OddItem]) -> None:
        with self._lock, self._writing() as connection:
            odd_items.set_aside(connection, part, items, self._now())

    @override
    def has_posted(self, text: str) -> bool:
        with self._lock, wrapped_errors(self._path):
            return has_posted(self._connection, text)

    @override
    def has_come(self, song: Song, *, since: datetime) -> bool:
        with self._lock, wrapped_errors(self._path):
            return has_come(self._connection, song, stamp(since))
