"""What is known of a song: its artists as they are spelled, and their genres."""

from __future__ import annotations

from bot.domain.model import Song, credit
from bot.ports import GenreLookup, SongFacts, SongResolver


class TableResolver(SongResolver):
    """Asks one lookup that answers at once, such as a local table.

    A guest's genres, or those of the artist who is covered, do where the artists' own are unknown.

    Args:
        table: the lookup.
    """

    def __init__(self, table: GenreLookup) -> None:
        self._table = table

    def resolve(self, song: Song) -> SongFacts:
        """See `SongResolver.resolve`."""
        entries = [self._table.find(name) for name in song.artists]
        names = tuple(
            entry.name if entry and name.startswith("@") else name
            for entry, name in zip(entries, song.artists, strict=True)
        )
        if not any(entries):
            others = (*song.featured, *([song.cover_of] if song.cover_of else []))
            entries = [self._table.find(name) for name in others]
        known = [entry for entry in entries if entry is not None and entry.genres]
        genres = dict.fromkeys(genre for entry in known for genre in entry.genres)
        return SongFacts(artist=credit(names), genres=tuple(genres), origin=known[0].origin if known else "")

    def is_artist(self, name: str) -> bool:
        """See `SongResolver.is_artist`."""
        return self._table.find(name) is not None
