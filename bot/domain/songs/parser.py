"""Which songs a text names.

Four families of patterns, tried line by line; what stands in quotes (`quoted`) is preferred to what does not
(`unquoted`).

    "Title" by Artist        also with (versions), [ft. Guest], "the new single by"; "Title" - Artist
    Artist's "Title"         Artist - "Title", Artist: "Title", Artist, "Title", Artist "Title"
    Artist - Title           less annotations in brackets and what is said behind; or Title - Artist (`orientation`)
    Title by Artist          a whole line of names, after "now playing" and the like, or where the artist is known

Each song carries the confidence of its pattern. A caller that has a list of artists passes `is_artist`: names with
"and" or commas in them are then kept whole, and the patterns without quotes become trustworthy.
"""

from __future__ import annotations

import re

from bot.domain.songs.names import IsArtist
from bot.domain.songs.quoted import quoted_songs
from bot.domain.songs.song import Song
from bot.domain.songs.text import clean_lines
from bot.domain.songs.unquoted import unquoted_songs

MAX_SONGS = 25
"""Songs of one text; a longer list is a playlist."""

_ITEM = re.compile(r"(?:^|(?<=\s))#?(\d{1,2})[.)]\s+")
_NUMBER = re.compile(r"^\W*\d{1,3}\s*[.):]\s+|^[-*•·]\s+")


def parse_songs(text: str, *, is_artist: IsArtist | None = None) -> list[Song]:
    """The songs that a text names, in the order in which it names them; never an error, often none.

    Args:
        text: what somebody posted, HTML entities, links and all.
        is_artist: says whether a name is a known artist's.

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
    """The items of a list that stands in one line, `1. ... 2. ...`; else the line."""
    starts = [mark.start() for number, mark in enumerate(_ITEM.finditer(line), start=1) if int(mark.group(1)) == number]
    if len(starts) < 2:
        return [line]
    return [line[: starts[0]], *(line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True))]
