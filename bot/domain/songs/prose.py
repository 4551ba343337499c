"""Songs without quotes within sentences, found by an artist in a list: `the drums on Tin Sea by Ona Vell are unreal`.

A sentence alone does not say where a title begins. The list gives the artist; a title in capitals begins where the
capitals begin, and one in small letters behind words about listening, or about a part of a song.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bot.domain.songs.clauses import last_clause, strip_lead_in
from bot.domain.songs.everyday import is_credit_line, is_everyday
from bot.domain.songs.known import known_end
from bot.domain.songs.names import (
    FIRST_PERSON,
    SMALL_WORDS,
    IsArtist,
    all_known,
    is_name_word,
    is_titled,
    name_at_end,
    name_at_start,
    split_credit,
    trim,
)
from bot.domain.songs.notes import VERSION, WHOLE_WORK, guests_at_start, is_whole_work, take_notes
from bot.domain.songs.parts import is_title, make_song, names_nothing
from bot.domain.songs.song import Song
from bot.domain.songs.song import credit as credit_line

_MAX_LINE = 400
_MAX_TITLE = 7
"""Maximum words of a title."""
_QUOTED = re.compile(r'"[^"]*"')
_BY = re.compile(r"\s+by\s+", re.IGNORECASE)
_LISTENS = re.compile(
    r".*?\b(?:(?:listen(?:ing|ed)? (?:back )?to|(?:re)?play(?:ed|ing|s)?|hear(?:d|ing)?|learn(?:t|ed|ing)?|"
    r"sing(?:ing|s)?|sang|humming|cover(?:ing|ed)?|[a-z]{2,}ing (?:along )?to|"
    r"dance to|danced to|cry to|cried to|obsessed with|"
    r"in love with|rediscover(?:ed|ing)|discover(?:ed|ing)|spinning|looping|whistling|putting on|put on|played)|"
    r"(?:song|tune|track|anthem|earworm|jam)(?: of the \w+| today| right now)? (?:is|was|has to be|remains)|"
    r"(?:bass ?line|bridge|chorus|intro|outro|drop|solo|riff|drums?|lyrics?|ending|beat|strings|guitars?|vocals?|"
    r"build-?up|hook|verse|(?:music )?video|opening|opener|melody|piano|synths?) (?:of|on|in|from|to|for))\s+(?=\S)",
    re.IGNORECASE,
)
_EVIDENCE = re.compile(
    r"\b(?:dj|(?:just )?dropp(?:ed|ing)|play(?:ed|s|ing)?|on repeat|on loop|listen(?:ed|ing)?|on shuffle|stuck in|"
    r"in my head|c[ao]mes? on|came up|sang|sing(?:s|ing)?|danc(?:ed|ing)|karaoke|encore|song|track|tune|earworm|"
    r"banger|lyrics?|chorus|riff|bass ?line|on the radio)\b",
    re.IGNORECASE,
)
_GOES_ON_PLAYING = re.compile(
    r"\s+(?=(?:has )?(?:just |suddenly |randomly )?(?:c[ao]mes? (?:on|up)|started|starts|is (?:on|playing|stuck)|"
    r"was (?:on|playing)|on (?:shuffle|repeat|loop|the radio)|playing|(?:stuck )?in my head)\b)",
    re.IGNORECASE,
)
_COVER = re.compile(
    r"(?:'s|(?<=s)')\s+(?:\w+\s+){0,2}(?:cover|rendition|version)\s+of\s+(?P<title>\S.{0,60}?)\s+by\s+", re.IGNORECASE
)
_BEFORE_WORK = re.compile(
    r"\b(?:album|record|lp|ep|mixtape|book|novel|film|movie|poem|play|memoir|show)s?\W*$", re.IGNORECASE
)
_TITLED, _SMALL, _PLAYED = 0.7, 0.55, 0.6


def song_in_prose(line: str, is_artist: IsArtist) -> Song | None:
    """Find a song of a known artist in a sentence; None without one.

    Args:
        line: the line, cleaned.
        is_artist: returns whether a name is that of a known artist.
    """
    quoted, line = '"' in line, _QUOTED.sub("", line)
    if len(line) > _MAX_LINE or '"' in line or WHOLE_WORK.search(line):
        return None
    return _covered(line, is_artist) or _written_by(line, is_artist, small=not quoted) or _possessed(line, is_artist)


def _covered(line: str, is_artist: IsArtist) -> Song | None:
    """Read `Performer's cover of Title by Artist`."""
    cover = _COVER.search(line)
    if cover is None:
        return None
    performer = name_at_end(last_clause(line[: cover.start()]))[1] or known_end(line[: cover.start()], is_artist)
    artist, _ = name_at_start(line[cover.end() :], is_artist)
    if not all_known(artist, is_artist) or not (is_titled(performer) or all_known(performer, is_artist)):
        return None
    song = _song(performer, cover["title"], "", _TITLED, is_artist)
    return None if song is None else replace(song, cover_of=credit_line(split_credit(artist, is_artist)))


def _written_by(line: str, is_artist: IsArtist, *, small: bool) -> Song | None:
    """Read `... Title by Artist ...`; the last artist that is known counts."""
    for by in reversed(list(_BY.finditer(line))[:4]):
        credit, rest = name_at_start(line[by.end() :], is_artist)
        if not all_known(credit, is_artist):
            continue
        clause = last_clause(line[: by.start()])
        title, confidence = titled_end(clause), _TITLED
        if credit.islower() and " " not in credit:
            title = ""  # any word may be a name: "by midnight"
        elif not title and small:
            title, confidence = _small_end(line[: by.start()], clause), _SMALL
        before = clause[: len(clause) - len(title)]
        if title and not _BEFORE_WORK.search(before) and not is_credit_line(title):
            return _song(credit, title, rest, confidence, is_artist)
    return None


def titled_end(clause: str) -> str:
    """Return the words in capitals at the end of a clause, with the small words between them."""
    words = clause.split()
    begin = len(words)
    for index in range(len(words) - 1, max(-1, len(words) - 1 - _MAX_TITLE), -1):
        word = words[index]
        if index < len(words) - 1 and word[-1] in ".,;:!?":
            break
        if is_name_word(word) and word not in FIRST_PERSON:
            begin = index
        elif word not in SMALL_WORDS or begin == len(words):
            break
    return trim(" ".join(words[begin:]))


def _small_end(head: str, clause: str) -> str:
    """Return a title in small letters behind words about listening."""
    heard = _LISTENS.match(head)
    plain = strip_lead_in(clause)
    title = head[heard.end() :] if heard is not None else plain if plain != clause else ""
    title = re.sub(r"^(?:the (?:song|track) |that song |again |to )+", "", title.strip())
    return trim(title) if 0 < len(title.split()) <= _MAX_TITLE - 1 and not re.search(r"[.,;:!?]\s", title) else ""


def _possessed(line: str, is_artist: IsArtist) -> Song | None:
    """Read `Artist's Title` where it is played, sung or danced to."""
    if not _EVIDENCE.search(line):
        return None
    for mark in list(re.finditer(r"(?:'s|(?<=s)')\s+(?=\S)", line))[:4]:
        head = line[: mark.start()]
        artist = known_end(head, is_artist)
        if not artist or len(artist) < 3:
            continue
        words = line[mark.end() :].split()
        run = 0
        for index, word in enumerate(words[:_MAX_TITLE]):
            run = index + 1 if is_name_word(word) else run
            if not (is_name_word(word) or word in SMALL_WORDS) or word[-1] in ".,;:!?":
                break
        title = " ".join(words[:run])
        alone = (
            run == 1
            and len(words) > 1
            and words[0][-1] not in ".,;:!?"
            and not _GOES_ON_PLAYING.match(" " + " ".join(words[1:]))
        )
        if run and (alone or not is_name_word(artist)):
            continue  # a thing of somebody: `Ona Vell's Instagram says`
        if not run:
            title = _GOES_ON_PLAYING.split(line[mark.end() :], maxsplit=1)[0]
            if title == line[mark.end() :] or len(title.split()) > _MAX_TITLE - 2:
                continue
        song = _song(artist, title, "", _PLAYED, is_artist)
        if song is not None:
            return song
    return None


def _song(credit: str, title: str, rest: str, confidence: float, is_artist: IsArtist) -> Song | None:
    notes, rest = take_notes(rest)
    title = trim(title).strip(" '")
    words = {word.casefold().strip(".,!?'") for word in title.split()}
    is_no_title = names_nothing(title) or " - " in title
    if (
        not is_title(title)
        or not any(map(str.isalpha, title))
        or is_no_title
        or VERSION.fullmatch(title)
        or is_whole_work(title)
    ):
        return None
    if (
        (is_everyday(title) and title.islower())
        or title.casefold() == credit.casefold()
        or (len(words) > 1 and is_artist(title))
    ):
        return None
    guests = guests_at_start(rest, is_artist)
    return make_song(credit, title, notes=notes, guests=guests, confidence=confidence, is_artist=is_artist)
