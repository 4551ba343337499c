"""Posts: texts about one song or album each, read from files of several formats and schemas."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handlers.model.genres import normalise_genre
from training.corpus.rows import Advance, Row, read_rows
from training.errors import PostsError

TEXT_COLUMNS: Final = ("masked_content", "text", "content")
"""Columns that may hold a post's text, best first; the original's `masked_content` has placeholders for names."""
_LOOK_AHEAD: Final = 100
"""Rows without a text column after which a file is rejected."""

SPOTIFY: Final = "spotify"
"""Genre space of a row that names none; the bot asks for Spotify's genres."""

Catalog = Mapping[str, tuple[str, ...]]
"""Genres by `artist_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A text about one song or album."""

    id: str
    artist: str | None
    title: str | None
    genres: tuple[str, ...]
    text: str
    """Text as it was scraped; empty if the row has none."""
    genre_space: str = SPOTIFY
    """Service whose names the genres are."""
    author: str | None = None
    site: str | None = None
    """Domain of the post's page."""


def read_posts(path: Path, *, catalog: Catalog | None = None, advance: Advance | None = None) -> Iterator[Post | None]:
    """Yield a file's posts in order; None stands for a row that cannot be read.

    A row needs one of the `TEXT_COLUMNS`. It may have `id` (else `url`, else a hash of its text), `artist`, `title`,
    `genres` (else `spotify_genres`), `genre_space` (else Spotify's), `author` and `domain` (else `site`). In the
    original's schema `song_title` is the song's title and `title` the web page's. A page scraped without a song
    (`content` and `url`, without `song_title`) is read as a post about an unknown song.

    Args:
        path: the file, in a format of `training.corpus.rows`.
        catalog: genres of artists, for posts without genres.
        advance: called with progress in bytes of the file.

    Raises:
        PostsError: the file cannot be read, is empty, or has no text column.
    """
    waiting: list[Post | None] = []
    found_text = False
    columns: dict[str, None] = {}
    for row in read_rows(path, advance=advance):
        post = None if row is None else _post(row, catalog or {})
        if found_text:
            yield post
            continue
        waiting.append(post)
        if row is not None:
            columns.update(dict.fromkeys(str(column) for column in row))
            found_text = any(column in row for column in TEXT_COLUMNS)
        if found_text:
            yield from waiting
        elif len(waiting) >= _LOOK_AHEAD and columns:
            break
    if not found_text:
        raise _no_text(path, columns, num_rows=len(waiting))


def read_catalog(path: Path) -> Catalog:
    """Read a table with the columns `artist` and `genres`.

    Raises:
        PostsError: the file cannot be read, is empty, or lacks one of the columns in every row.
    """
    genres: dict[str, tuple[str, ...]] = {}
    columns: dict[str, None] = {}
    for row in read_rows(path):
        if row is None:
            continue
        columns.update(dict.fromkeys(str(column) for column in row))
        artist = _text(row.get("artist"))
        if artist and "genres" in row:
            genres[artist_key(artist)] = _genres(row["genres"])
    if not genres:
        raise PostsError(f"{path} has no row with `artist` and `genres`; its columns are: {_listed(columns)}")
    return genres


def artist_key(artist: str) -> str:
    """Normalise the spelling of an artist's name.

    >>> artist_key(" The  Quillmoss")
    'the quillmoss'
    """
    return " ".join(artist.casefold().split())


def _post(row: Row, catalog: Catalog) -> Post:
    text = next((found for column in TEXT_COLUMNS if (found := _text(row.get(column)))), "")
    artist = _text(row.get("artist"))
    genres = _genres(row.get("genres")) or _genres(row.get("spotify_genres"))
    space = _text(row.get("genre_space")) or SPOTIFY
    if not genres and artist:
        genres, space = catalog.get(artist_key(artist), ()), SPOTIFY
    return Post(
        id=_text(row.get("id")) or _text(row.get("url")) or hashlib.sha256(text.encode()).hexdigest()[:16],
        artist=artist or None,
        title=_title(row) or None,
        genres=genres,
        text=text,
        genre_space=space,
        author=_text(row.get("author")) or None,
        site=_text(row.get("domain")) or _text(row.get("site")) or None,
    )


def _title(row: Row) -> str:
    if "song_title" in row:
        return _text(row["song_title"])
    scraped = "content" in row and "text" not in row
    return "" if scraped else _text(row.get("title"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _genres(value: Any) -> tuple[str, ...]:
    """Genres of a cell: a list, a string with a list in JSON or Python, or names separated by |, ; or commas."""
    if isinstance(value, str):
        value = _listed_genres(value.strip())
    if not isinstance(value, list | tuple):
        return ()
    return tuple(dict.fromkeys(normalise_genre(genre) for genre in value if isinstance(genre, str) and genre.strip()))


def _listed_genres(cell: str) -> list[Any]:
    if cell.startswith("["):
        for parse in (json.loads, ast.literal_eval):
            try:
                found = parse(cell)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            return found if isinstance(found, list) else []
    separator = next((mark for mark in "|;" if mark in cell), ",")
    return list(cell.strip("[]").split(separator))


def _no_text(path: Path, columns: Mapping[str, None], *, num_rows: int) -> PostsError:
    if not num_rows:
        return PostsError(f"{path} has no rows")
    if not columns:
        return PostsError(f"{path}: none of its {num_rows} rows is a JSON object")
    needed = ", ".join(TEXT_COLUMNS)
    return PostsError(f"{path} has no text column: it needs one of {needed}; its columns are: {_listed(columns)}")


def _listed(columns: Mapping[str, None]) -> str:
    return ", ".join(columns) or "none"
