"""Posts: texts about one song or album each, read from files of several formats and schemas."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from handlers.model.genres import normalise_genre
from training.corpus.rows import Advance, Row, column_name, read_rows
from training.errors import PostsError

TEXT_COLUMNS: Final = ("masked_content", "text", "content")
"""Columns that may hold a post's text, best first; the original's `masked_content` has placeholders for names."""
_COLUMNS: Final = frozenset(
    [
        *TEXT_COLUMNS,
        *("artist", "author", "domain", "genre_space", "genres", "id", "site", "song_title", "spotify_genres"),
        *("title", "url"),
    ]
)
"""Columns that a post is made of."""
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_LOOK_AHEAD: Final = 100
"""Rows without a text column after which a file is rejected."""

SPOTIFY: Final = "spotify"
"""Genre space of a row that names none; the bot asks for Spotify's genres."""

Catalog = Mapping[str, tuple[str, ...]]
"""Genres by `artist_key`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Way to read files of posts, where they are not written as this project writes them."""

    text_column: str | None = None
    """Column of a post's text; the first of `TEXT_COLUMNS` by default."""
    encoding: str | None = None
    """Encoding; UTF-8 by default, or what a byte order mark says."""


DEFAULT_READING: Final = Reading()


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


def read_posts(
    path: Path,
    *,
    catalog: Catalog | None = None,
    advance: Advance | None = None,
    reading: Reading = DEFAULT_READING,
) -> Iterator[Post | None]:
    """Yield a file's posts in order; None stands for a row that cannot be read.

    A row needs one of the `TEXT_COLUMNS`. It may have `id` (else `url`, else a hash of its text), `artist`, `title`,
    `genres` (else `spotify_genres`), `genre_space` (else Spotify's), `author` and `domain` (else `site`). In the
    original's schema `song_title` is the song's title and `title` the web page's. A page scraped without a song
    (`content` and `url`, without `song_title`) is read as a post about an unknown song. Capitals, spaces and hyphens in
    the names of columns are ignored. A row with half a surrogate pair, which no file can hold, cannot be read.

    Args:
        path: the file, in a format of `training.corpus.rows`.
        catalog: genres of artists, for posts without genres.
        advance: called with progress in bytes of the file.
        reading: column of the text, and encoding.

    Raises:
        PostsError: the file cannot be read, is empty, or has no text column.
    """
    texts = TEXT_COLUMNS if reading.text_column is None else (column_name(reading.text_column),)
    waiting: list[Post | None] = []
    found_text = False
    columns: dict[str, None] = {}
    rows = read_rows(path, advance=advance, encoding=reading.encoding, columns=_COLUMNS | set(texts))
    for found in rows:
        row = None if found is None else _named(found)
        post = None if row is None else _post(row, texts, catalog or {})
        if found_text:
            yield post
            continue
        waiting.append(post)
        if found is not None and row is not None:
            columns.update(dict.fromkeys(str(column) for column in found))
            found_text = any(column in row for column in texts)
        if found_text:
            yield from waiting
        elif len(waiting) >= _LOOK_AHEAD and columns:
            break
    if not found_text:
        raise _no_text(path, texts, columns, num_rows=len(waiting))


def read_catalog(path: Path, *, encoding: str | None = None) -> Catalog:
    """Read a table with the columns `artist` and `genres`; rows that cannot be read are left out.

    Raises:
        PostsError: the file cannot be read, is empty, or lacks one of the columns in every row.
    """
    genres: dict[str, tuple[str, ...]] = {}
    columns: dict[str, None] = {}
    unreadable = 0
    for found in read_rows(path, encoding=encoding, columns={"artist", "genres"}):
        if found is None:
            unreadable += 1
            continue
        columns.update(dict.fromkeys(str(column) for column in found))
        row = _named(found)
        artist = _text(row.get("artist"))
        if not artist or "genres" not in row:
            continue
        listed = _genres(row["genres"])
        if any(map(_SURROGATES.search, (artist, *listed))):
            unreadable += 1
            continue
        genres[artist_key(artist)] = listed
    if not genres and unreadable and (not columns or {"artist", "genres"} <= _named(columns).keys()):
        raise PostsError(f"{path} has no row that can be read; check its quotes and delimiters, or give --encoding")
    if not genres:
        raise PostsError(f"{path} has no row with `artist` and `genres`; its columns are: {_listed(columns)}")
    return genres


def artist_key(artist: str) -> str:
    """Normalise the spelling of an artist's name.

    >>> artist_key(" The  Quillmoss")
    'the quillmoss'
    """
    return " ".join(artist.casefold().split())


def _named(row: Row) -> Row:
    """Return a row by the names of its columns as `column_name` writes them; of two that are then equal, the first."""
    named: dict[str, Any] = {}
    for column, value in row.items():
        named.setdefault(column_name(column), value)
    return named


def _post(row: Row, texts: Sequence[str], catalog: Catalog) -> Post | None:
    """Return a row's post, or None if one of its values cannot be written to a file."""
    text = next((found for column in texts if (found := _text(row.get(column)))), "")
    artist = _text(row.get("artist"))
    genres = _genres(row.get("genres")) or _genres(row.get("spotify_genres"))
    space = _text(row.get("genre_space")) or SPOTIFY
    if not genres and artist:
        genres, space = catalog.get(artist_key(artist), ()), SPOTIFY
    identity, title, author = _text(row.get("id")) or _text(row.get("url")), _title(row), _text(row.get("author"))
    site = _text(row.get("domain")) or _text(row.get("site"))
    if any(map(_SURROGATES.search, (text, identity, artist, title, space, author, site, *genres))):
        return None
    return Post(
        id=identity or hashlib.sha256(text.encode()).hexdigest()[:16],
        artist=artist or None,
        title=title or None,
        genres=genres,
        text=text,
        genre_space=space,
        author=author or None,
        site=site or None,
    )


def _title(row: Row) -> str:
    if "song_title" in row:
        return _text(row["song_title"])
    scraped = "content" in row and "text" not in row
    return "" if scraped else _text(row.get("title"))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bytes):
        # A binary column of Parquet; bytes that are not UTF-8 become surrogates, which no post may have.
        return value.decode(errors="surrogateescape").strip()
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


def _no_text(path: Path, texts: Sequence[str], columns: Mapping[str, None], *, num_rows: int) -> PostsError:
    if not num_rows:
        return PostsError(f"{path} has no rows")
    if not columns:
        return PostsError(f"{path}: none of its {num_rows} rows can be read as a record with columns")
    needed = f"one of {', '.join(texts)}" if len(texts) > 1 else texts[0]
    return PostsError(
        f"{path} has no text column: it needs {needed}; its columns are: {_listed(columns)}. Name the right one with "
        "--text-column"
    )


def _listed(columns: Mapping[str, None]) -> str:
    return ", ".join(columns) or "none"
