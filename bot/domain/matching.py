"""Comparison of a lookup's hit with the song of a text: the first hit of a search is often another song."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from bot.domain.keys import artist_key, loose_key
from bot.domain.songs.song import Song

_CLOSE = 87.0
"""Similarity, 0 to 100, from which two spellings are one name: one wrong letter in eight."""
_SHORT = 4
"""Maximum letters of names that must be spelled the same: "Moss" is not "Mass"."""
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
    # Handles are spelled too freely for a comparison by letters.
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
    """Whether a recording is the song that a text names, by its title and at least one of its artists.

    The original artist of a cover counts as well: search finds the original first, and its genres suit the cover.
    """
    names = (*song.artists, *((song.cover_of,) if song.cover_of else ()))
    return is_same_title(song.title, title) and any(is_same_artist(name, found) for name in names for found in artists)


def _is_close(one: str, other: str) -> bool:
    return min(len(one), len(other)) > _SHORT and fuzz.ratio(one, other, score_cutoff=_CLOSE) > 0
