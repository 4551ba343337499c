"""Songs of requests, found by an artist in a list in whatever words somebody asks: `ton avis sur Tin Sea de Ona Vell?`.

A request is about a song, so less has to speak for one than elsewhere: a known artist beside a few other words.
"""

from __future__ import annotations

import re

from bot.domain.songs.everyday import is_everyday, is_remark
from bot.domain.songs.known import known_end
from bot.domain.songs.names import IsArtist, all_known, is_name_word, name_at_start, trim
from bot.domain.songs.notes import clean_title, is_whole_work
from bot.domain.songs.parts import is_title, make_song, names_nothing
from bot.domain.songs.prose import titled_end
from bot.domain.songs.song import Song

_MAX_LINE, _MAX_WORDS = 200, 7
_BY = re.compile(r"\s+(?:by|from|von|van|vom|de|di|del|da|par|av|af|przez|от)\s+(?=\S)|\s+d'(?=\S)", re.IGNORECASE)
_POSSESSED = re.compile(r"(?:'s|(?<=s)')\s+(?=\S)")
_BRACKETED = re.compile(r"^(?P<title>[^()]+?)\s*\((?P<artist>[^()]+)\)\W*$")
_PAIR = re.compile(r"^(?P<one>[^,/]+?)\s*[,/]\s*(?P<other>[^,/]+)$")
_ENDS = re.compile(r"[.!?]\s|\s[-:]\s|:\s|,\s")
_CONFIDENCE = 0.6


def requested_song(line: str, is_artist: IsArtist) -> Song | None:
    """Find the song of a request whose own words were removed as far as they are known; None without a known artist."""
    line = line.strip(" ,;:!?.")
    if len(line) > _MAX_LINE or '"' in line:
        return None
    for pattern in (_by_name, _of_owner, _in_brackets, _in_pair):
        for artist, title in pattern(line, is_artist):
            song = _song(artist, title, is_artist)
            if song is not None:
                return song
    return None


def _by_name(line: str, is_artist: IsArtist) -> list[tuple[str, str]]:
    """Read `Title by Artist`, also with the words for "by" of other languages."""
    found = []
    for by in reversed(list(_BY.finditer(line))[:5]):
        artist, _ = name_at_start(line[by.end() :], is_artist)
        if all_known(artist, is_artist):
            head = _ENDS.split(line[: by.start()])[-1].strip()
            begins = is_name_word(head.split()[0]) if head else False
            found.append((artist, head if begins else titled_end(head) or head))
    return found


def _of_owner(line: str, is_artist: IsArtist) -> list[tuple[str, str]]:
    """Read `Artist's Title`, up to the end of the line."""
    marks = list(_POSSESSED.finditer(line))[:3]
    return [(artist, line[mark.end() :]) for mark in marks if (artist := known_end(line[: mark.start()], is_artist))]


def _in_brackets(line: str, is_artist: IsArtist) -> list[tuple[str, str]]:
    """Read `Title (Artist)`."""
    found = _BRACKETED.match(line)
    return [(found["artist"], found["title"])] if found is not None and all_known(found["artist"], is_artist) else []


def _in_pair(line: str, is_artist: IsArtist) -> list[tuple[str, str]]:
    """Read `Title, Artist` or `Artist/Title`, of which one side alone is known."""
    found = _PAIR.match(line.rpartition(": ")[2])
    if found is None:
        return []
    sides = (found["one"], found["other"])
    known = [all_known(side, is_artist) for side in sides]
    if known == [True, False]:
        return [sides]
    return [(sides[1], sides[0])] if known == [False, True] else []


def _song(artist: str, title: str, is_artist: IsArtist) -> Song | None:
    title, notes, guests = clean_title(title)
    title = trim(title).strip(" '")
    words = title.split()
    remark = is_remark(title) or title[:1].islower() != artist[:1].islower()
    if not 0 < len(words) <= _MAX_WORDS or names_nothing(title) or is_whole_work(title) or is_everyday(title):
        return None
    if remark or not is_title(title) or any(map(is_artist, re.split(r"\s+(?:or|and|&)\s+", title))):
        return None
    return make_song(artist, title, notes=notes, guests=guests, confidence=_CONFIDENCE, is_artist=is_artist)
