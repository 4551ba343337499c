"""The parser of songs in a text.

A line is first freed of what is not its song: handles that address somebody and the words of a request (`address`), its
place in a list, the service and the kind of video (`trimmings`). Lines of kinds that name no song are passed over
(`everyday`). Then families of patterns are tried; titles in quotes (`quoted`) are preferred to titles without
(`unquoted`) and to rows of fields (`rows`).

    "Title" by Artist        also with (versions), [ft. Guest], "the new single by"; "Title" - Artist
    Artist's "Title"         Artist - "Title", Artist: "Title", Artist, "Title", Artist "Title"
    Artist - Title           without annotations in brackets and trailing remarks; or Title - Artist (`orientation`)
    Title by Artist          a whole line of names, after "now playing" and similar, or if the artist is known
    Artist | Title | 2007    also with other marks, announced or by a known artist; `Artist: X`, `Title: Y`
    ... Title by Artist ...  within a sentence, and `Artist's Title came on`, of a known artist (`prose`)

Each song has the confidence of its pattern. A caller with a list of artists passes `is_artist`: names that contain
"and" or commas then stay whole, and the patterns without quotes become reliable.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from bot.domain.keys import text_key
from bot.domain.songs.address import only_handle, strip_own, without_address, without_request
from bot.domain.songs.everyday import is_everyday, is_placeholder, names_no_song
from bot.domain.songs.names import IsArtist, is_titled
from bot.domain.songs.notes import with_subtitle
from bot.domain.songs.prose import song_in_prose
from bot.domain.songs.quoted import quoted_songs
from bot.domain.songs.requested import requested_song
from bot.domain.songs.rows import ANNOUNCED, labelled_song, listed_pairs, row_song
from bot.domain.songs.song import Song
from bot.domain.songs.text import MAX_LENGTH, clean_lines, hide_nicknames, show_nicknames
from bot.domain.songs.trimmings import cut_off, is_on_record, without_numbers, without_place, without_trimmings
from bot.domain.songs.unquoted import unquoted_songs

_MAX_LINE = 400
"""Maximum characters of a line that are read for more than titles in quotes."""
_SHORT = 240
_LIKELY = 0.5
"""Confidence from which a song is not searched for in the sentence as well."""
MAX_SONGS = 25
"""Maximum songs of one text; a longer list is a playlist."""

_ITEM = re.compile(r"(?:^|(?<=\s))#?(\d{1,2})[.)]\s+")
_CHAIN = re.compile(r"\s+(?:>+|→|into)\s+(?=[^>]*['\"])")
_CUT = re.compile(r"\w\s?(?:…|&hellip;)\s*(?:https?://\S+\s*)*$")
_LISTED = re.compile(r"^\s*(?:[-*•·]|\d{1,2}[.)])\s")
_LAST_HANDLE = re.compile(r"@[\w.@-]+\W*$")
_PLEASE = re.compile(r"[\s,]+(?:please|pls|plz|next)[\s!.]*$", re.IGNORECASE)
_THREAD = re.compile(r"^\(?\d{1,2}/(?:\d{1,2})?\)?\s+")


def parse_songs(
    text: str, *, is_artist: IsArtist | None = None, is_request: bool = False, own: Collection[str] = ()
) -> list[Song]:
    """Find the songs that a text names, in the order of the text; raises nothing, and often finds none.

    Args:
        text: text of a post, with HTML entities and links.
        is_artist: returns whether a name is that of a known artist.
        is_request: whether the text asks the bot, such as a mention: words like "thoughts on" are not of a title.
        own: the bot's own handles, which no name contains; without them, the only handle of a request.

    >>> [(song.artists, song.title) for song in parse_songs("Listen to Ona Vell’s “Slow Lamp” [ft. Tor Brisk]")]
    [(('Ona Vell',), 'Slow Lamp')]
    """
    lines = clean_lines(text)
    if is_request and not own:
        own = only_handle(lines)
    lines = without_numbers([line for line in (strip_own(line, own) for line in lines) if line])
    known, is_cut = (
        _shown(is_artist),
        _CUT.search(text[:MAX_LENGTH], max(0, min(len(text), MAX_LENGTH) - 300)) is not None,
    )
    labelled = labelled_song(lines, known)
    if labelled is not None:
        return [labelled]
    songs: dict[tuple[object, ...], Song] = {}
    for song in (song for line in lines for song in _songs_of(line, known, is_request=is_request, is_cut=is_cut)):
        if not song.title.strip() or any(strip_own(name, own) != name for name in (song.title, *song.artists)):
            continue  # a guest alone in the quotes; a part of a longer handle, `@sandboxbot-tin`
        key = (tuple(name.casefold() for name in song.artists), song.title.casefold())
        songs.setdefault(key, song)
        if len(songs) == MAX_SONGS:
            break
    return list(songs.values())


def _songs_of(line: str, is_artist: IsArtist | None, *, is_request: bool, is_cut: bool) -> Iterator[Song]:
    cut = text_key(cut_off(line, sure=is_cut))
    whole = _THREAD.sub("", line)
    line, addressed = without_address(whole)
    if line != whole and _LAST_HANDLE.search(whole):
        line = _PLEASE.sub("", line)
    if addressed or is_request:
        line, addressed_line = without_request(line), line
        is_request = is_request or not addressed_line.startswith(line[:1])
    for item in _items(line, is_artist):
        plain = without_trimmings(hide_nicknames(without_place(item)))
        if names_no_song(plain[:_SHORT]):
            continue
        parts = _CHAIN.split(plain) if len(plain) <= _MAX_LINE else [plain]
        for part in parts:
            for song in _songs_in(part, item, is_artist, is_request=is_request, chained=len(parts) > 1):
                if _counts(song, is_artist) and not _is_cut(song, cut):
                    yield _with_nicknames(song)


def _songs_in(part: str, item: str, is_artist: IsArtist | None, *, is_request: bool, chained: bool) -> list[Song]:
    """Return the songs of a part of an item, by the first family of patterns that finds some."""
    found = quoted_songs(part, is_artist, chained=chained) or unquoted_songs(part, is_artist, announced=is_request)
    if not found:
        found = _one(row_song(part, is_artist, announced=_is_announced(item), listed=is_request or _is_listed(item)))
    if is_artist is not None and all(song.confidence < _LIKELY for song in found):
        found = _one(song_in_prose(part, is_artist)) or found
        if is_request and all(song.confidence < _LIKELY for song in found):
            found = _one(requested_song(part, is_artist)) or found
    if not is_on_record(item):
        return found
    # Brackets in the list of a record are subtitles.
    behind = part.partition(" - ")[2]
    return [replace(song, title=with_subtitle(song.title, behind, is_artist)) for song in found]


def _one(song: Song | None) -> list[Song]:
    return [] if song is None else [song]


def _is_announced(item: str) -> bool:
    return ANNOUNCED.search(item[:_MAX_LINE]) is not None


def _is_listed(item: str) -> bool:
    return _LISTED.match(item) is not None


def _counts(song: Song, is_artist: IsArtist | None) -> bool:
    """Whether a song has a name of its own: not "TBA" by TBA, not `Coffee - again`."""
    known = is_artist is not None and all(map(is_artist, song.artists)) and is_titled(song.title)
    return not any(map(is_placeholder, song.artists)) and (known or not all(map(is_everyday, song.artists)))


def _is_cut(song: Song, cut: str) -> bool:
    """Whether a song's title or artist is the end of a text that was cut."""
    return bool(cut) and any(cut.endswith(text_key(name)) for name in (song.title, *song.artists))


def _shown(is_artist: IsArtist | None) -> IsArtist | None:
    return None if is_artist is None else lambda name: is_artist(show_nicknames(name))


def _with_nicknames(song: Song) -> Song:
    return replace(song, artists=tuple(map(show_nicknames, song.artists)), title=show_nicknames(song.title))


def _items(line: str, is_artist: IsArtist | None) -> list[str]:
    """Items of a list in one line, `1. ... 2. ...` or `A - T, B - U`; for any other line, the line itself."""
    pairs = listed_pairs(line, is_artist)
    if pairs:
        return pairs
    starts = [mark.start() for number, mark in enumerate(_ITEM.finditer(line), start=1) if int(mark.group(1)) == number]
    if len(starts) < 2:
        return [line]
    return [line[: starts[0]], *(line[start:end] for start, end in zip(starts, [*starts[1:], len(line)], strict=True))]
