"""Requests of songs: the values that all of them share, and a seed for each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from bulk.songs import Song
from handlers.contract import CommentaryRequest, ContractError, ErrorCode

_SEED_BITS: Final = 53
"""Bits of a seed that a song gets, as of one that a worker draws: programs that keep numbers as doubles keep it."""
SEPARATOR: Final = ";"
"""Character between genres where they are one text."""


def seed_of(name: str) -> int:
    """Return the seed of a song without one: the first 53 bits of the SHA-256 of its id, in UTF-8.

    >>> seed_of("spotify:track:1"), seed_of("2")
    (5388017218211856, 7474942950296514)
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) >> (64 - _SEED_BITS)


def id_of(song: Song) -> str:
    """Return the id of a song, or the number of its row where it has none.

    Raises:
        ContractError: the id is neither a text nor a whole number.
    """
    value = song.values.get("id")
    if value is None:
        return str(song.row)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _invalid("id", f"must be a text or a whole number, got {type(value).__name__}")
    return str(value)


def genres_of(song: Song) -> list[Any] | None:
    """Return the genres of a song; None where the row has none at all, which is not the same as an empty list.

    >>> genres_of(Song(row=1, values={"genres": "dream pop; shoegaze;"}))
    ['dream pop', 'shoegaze']
    """
    value = song.values.get("genres")
    if isinstance(value, str):
        return [name.strip() for name in value.split(SEPARATOR) if name.strip()]
    if value is not None and not isinstance(value, list):
        raise _invalid(
            "genres", f"must be a list, or a text with semicolons between genres, got {type(value).__name__}"
        )
    return value


def request_of(song: Song, options: Mapping[str, Any]) -> CommentaryRequest:
    """Return the request of a song.

    Args:
        song: the song.
        options: values of the request's other fields, by their names on the wire.

    Raises:
        ContractError: a value of the song is missing or wrong; the error names the field.
    """
    if song.error:
        raise ContractError(ErrorCode.INVALID_ARGUMENT, "", song.error)
    request = CommentaryRequest.from_mapping(
        {
            **options,
            "genres": genres_of(song),
            "artist": song.values.get("artist"),
            "title": song.values.get("title"),
            "seed": _seed(song),
        }
    )
    id_of(song)  # also beside a seed a wrong id is an error: the number of the row would stand for it, unseen
    return request


def check_options(options: Mapping[str, Any]) -> None:
    """Check the values that all requests share.

    Raises:
        ContractError: one of them is wrong.
    """
    CommentaryRequest.from_mapping({"genres": [], **options})


def _seed(song: Song) -> int:
    value = song.values.get("seed")
    if value is None:
        return seed_of(id_of(song))
    if isinstance(value, str | float):
        try:
            # pandas writes whole numbers of a column with gaps as 7.0.
            whole: int | None = int(value.removesuffix(".0") if isinstance(value, str) else value)
        except (ValueError, OverflowError):
            whole = None
        if whole is None or (isinstance(value, float) and whole != value):
            raise _invalid("seed", f"must be a whole number, got {str(value)[:40]!r}")
        return whole
    return value  # type: ignore[no-any-return] # the request checks its type


def _invalid(name: str, message: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, name, message)
