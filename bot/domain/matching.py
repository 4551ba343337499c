"""Whether what a lookup found is what a text meant: the first hit of a search often is not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from bot.domain.keys import artist_key, loose_key
from bot.domain.songs.song import Song

_CLOSE = 87.0
"""Similarity, 0 to 100, from which two spellings are one name: a slip in eight letters."""
_SHORT = 4
"""Names of so few letters must be the same to the letter: "Moss" is not "Mass"."""
_ANNOTATION = re.compile(r"\s*[(\[{][^()\[\]{}]*[)\]}]|\s+-\s.*$|\s+(?:feat|ft)\.?\s.*$", re.IGNORECASE)


def is_same_artist(asked: str, found: str) -> bool:
    """Whether a lookup's artist is the one asked for, a handle ("@onavell") or a name.

    >>> is_same_artist("@theonavells", "The Öna Vells"), is_same_artist("Ona Vell", "Ona Vell Tribute Band")
    (True, False)
    """
    handle = asked.startswith("@")
    one, other = loose_key(asked), loose_key(found)
    if one == other or (handle and one.removeprefix("the") == other):
        return True
    # A handle is too free a spelling to be compared by letters.
    return not handle and _is_close(artist_key(asked), artist_key(found))


def is_same_title(asked: str, found: str) -> bool:
    """Whether a lookup's title is the one asked for, annotations such as "(Remastered 2011)" aside.

    >>> is_same_title("Tin Sea", "Tin Sea - 2011 Remaster"), is_same_title("Tin Sea", "Tin Seal")
    (True, True)
    >>> is_same_title("Tin Sea", "Tin Ship")
    False
    """
    forms = [{loose_key(form) for form in (title, _ANNOTATION.sub("", title)) if form} for title in (asked, found)]
    return bool(forms[0] & forms[1]) or any(_is_close(one, other) for one in forms[0] for other in forms[1])


def fits(song: Song, artists: Sequence[str], title: str) -> bool:
    """Whether a recording is the song that a text names: the title, and at least one of its artists.

    The artist who is covered counts as well: search finds the original first, and its genres do.
    """
    names = (*song.artists, *((song.cover_of,) if song.cover_of else ()))
    return is_same_title(song.title, title) and any(is_same_artist(name, found) for name in names for found in artists)


def _is_close(one: str, other: str) -> bool:
    return min(len(one), len(other)) > _SHORT and fuzz.ratio(one, other, score_cutoff=_CLOSE) > 0
