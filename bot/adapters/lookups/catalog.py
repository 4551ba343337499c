"""Local table of artists and their genres: JSON lines of {"artist", "genres": [...]}, plain or gzipped."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from typing_extensions import override

from bot.domain.errors import CatalogError
from bot.domain.keys import artist_key, loose_key
from bot.ports import ArtistEntry, GenreLookup

_SHAPE = 'a catalog has one JSON object a line: {"artist": "...", "genres": ["..."]}'


class EmptyCatalog(GenreLookup):
    """Catalog in which every artist is unknown."""

    def entries(self) -> Iterator[ArtistEntry]:
        """Return nothing."""
        return iter(())

    @override
    def find(self, artist: str) -> ArtistEntry | None:
        """Return nothing."""
        return None


class FileCatalog(GenreLookup):
    """Artists of a file, found regardless of case, accents, punctuation and a leading "the".

    Args:
        path: JSON lines, gzipped when the name ends in ".gz".

    Raises:
        CatalogError: the file is missing or unreadable, or a row has another form; the message names the line.
    """

    def __init__(self, path: Path) -> None:
        self._entries: dict[str, ArtistEntry] = {}
        self._loose: dict[str, str | None] = {}
        for artist, genres in _read(path):
            self._add(artist, genres)
        if not self._entries:
            raise CatalogError(f"the catalog {path} is empty; {_SHAPE}")

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self) -> Iterator[ArtistEntry]:
        """All entries in the order of the file."""
        return iter(self._entries.values())

    @override
    def find(self, artist: str) -> ArtistEntry | None:
        """Find an artist; a handle ("@onavell") is looked up without its "@"."""
        entry = self._entries.get(artist_key(artist.removeprefix("@")))
        if entry is None:
            loose = loose_key(artist)
            key = self._loose.get(loose)
            if key is None and artist.startswith("@the"):
                key = self._loose.get(loose.removeprefix("the"))
            entry = self._entries[key] if key is not None else None
        return entry

    def _add(self, artist: str, genres: tuple[str, ...]) -> None:
        key, loose = artist_key(artist), loose_key(artist)
        known = self._entries.get(key)
        if known is not None:
            genres = tuple(dict.fromkeys((*known.genres, *genres)))
            artist = known.name
        self._entries[key] = ArtistEntry(name=artist, genres=genres)
        # Two artists whose names differ only in punctuation are never confused.
        self._loose[loose] = key if self._loose.get(loose, key) == key else None


def _read(path: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    try:
        # The gzip reader behaves like a binary file but has another type.
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            for number, line in enumerate(cast("Iterator[bytes]", file), start=1):
                if line.strip():
                    yield _row(line, f"{path}, line {number}")
    except FileNotFoundError as cause:
        raise CatalogError(f"the catalog {path} does not exist; give another one with --catalog") from cause
    except (OSError, EOFError, zlib.error) as cause:
        raise CatalogError(f"the catalog {path} cannot be read: {cause}") from cause


def _row(line: bytes, place: str) -> tuple[str, tuple[str, ...]]:
    try:
        document: Any = json.loads(line)
    except (ValueError, RecursionError) as cause:
        raise CatalogError(f"{place}: not valid JSON ({cause}); {_SHAPE}") from cause
    if not isinstance(document, dict):
        raise CatalogError(f"{place}: must be a JSON object, got {type(document).__name__}; {_SHAPE}")
    artist, genres = document.get("artist"), document.get("genres")
    if not isinstance(artist, str) or not isinstance(genres, list) or not all(isinstance(g, str) for g in genres):
        found = ", ".join(map(repr, list(document)[:10])) or "none"
        raise CatalogError(f"{place}: needs a string 'artist' and a list of strings 'genres', found {found}; {_SHAPE}")
    # A few thousand genres are shared by tens of thousands of artists.
    return artist, tuple(sys.intern(genre) for genre in genres if genre.strip())
