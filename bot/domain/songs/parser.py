"""The parser of songs in a text.

Four families of patterns are tried on each line; titles in quotes (`quoted`) are preferred to titles without
(`unquoted`).

    "Title" by Artist        also with (versions), [ft. Guest], "the new single by"; "Title" - Artist
    Artist's "Title"         Artist - "Title", Artist: "Title", Artist, "Title", Artist "Title"
    Artist - Title           without annotations in brackets and trailing remarks; or Title - Artist (`orientation`)
    Title by Artist          a whole line of names, after "now playing" and similar, or if the artist is known

Each song has the confidence of its pattern. A caller with a list of artists passes `is_artist`: names that contain
"and" or commas then stay whole, and the patterns without quotes become reliable.
"""

from __future__ import annotations

import re

from bot.domain.songs.names import IsArtist
from bot.domain.songs.quoted import quoted_songs
from bot.domain.songs.song import Song
from bot.domain.songs.text import clean_lines
from bot.domain.songs.unquoted import unquoted_songs

MAX_SONGS = 25
"""Maximum songs of one text; a longer list is a playlist."""

_ITEM = re.compile(r"(?:^|(?<=\s))#?(\d{1,2})[.)]\s+")
_NUMBER = re.compile(r"^\W*\d{1,3}\s*[.):]\s+|^[-*•·]\s+")


def parse_songs(text: str, *, is_artist: IsArtist | None = None) -> list[Song]:
    """Find the songs that a text names, in the order of the text; raises nothing, and often finds none.

    Args:
        text: text of a post, with HTML entities and links.
        is_artist: returns whether a name is that of a known artist.

    >>> [(song.artists, song.title) for song in parse_songs("Listen to Ona Vell’s “Slow Lamp” [ft. Tor Brisk]")]
    [(('Ona Vell',), 'Slow Lamp')]
    """
    songs: dict[tuple[object, ...], Song] = {}
    for item in (item for line in clean_lines(text) for item in _items(line)):
        plain = _NUMBER.sub("", item)
        for song in quoted_songs(plain, is_artist) or unquoted_songs(plain, is_artist):
            key = (tuple(name.casefold() for name in song.artists), song.title.casefold())
            songs.setdefault(key, song)
            if len(songs) == MAX_SONGS:
                return list(songs.values())
    return list(songs.values())


def _items(line: str) -> list[str]:
    """Items of a list in one line, `1. ... 2. ...`; for any other line, the line itself."""
    starts = [mark.start() for number, mark in enumerate(_ITEM.finditer(line), start=1) if int(mark.group(1)) == number]
    if len(starts) < 2:
        return [line]
    return [line[: starts[0]], *(line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True))]
