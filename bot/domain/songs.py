"""Which songs a text names.

Four families of patterns, tried line by line; what stands in quotes is preferred to what does not.

    "Title" by Artist        also with (versions), [ft. Guest], "the new single by"
    Artist's "Title"         Artist - "Title", Artist: "Title", Artist, "Title", Artist "Title"
    Artist - Title           a whole line, with annotations in brackets
    Title by Artist          after "now playing" and the like, or where the artist is known

Each song carries the confidence of its pattern. A caller that has a list of artists passes `is_artist`: names with
"and" or commas in them are then kept whole, and the patterns without quotes become trustworthy.
"""

from __future__ import annotations

import re
from dataclasses import replace

from bot.domain.model import Song
from bot.domain.names import (
    FEATURING,
    IsArtist,
    is_name,
    is_name_word,
    name_at_end,
    name_at_start,
    split_credit,
    trim,
    words_of,
)
from bot.domain.text import Quote, clean_lines, find_quotes

MAX_SONGS = 25
"""Songs of one text; a longer list is a playlist."""

_LEAD_IN = re.compile(
    r"(?:(?:\W*\b(?:please|go|let's|i'm|i|we|we're|currently|just|still|also|everyone|you|should|must|need to|to|am)"
    r"\s+)*"
    r"\W*\b(?:(?:listen(?:ing)? to|hear(?:ing)?|watch(?:ing)?|stream(?:ing)?|check(?:ing)? out|play(?:ing)?|spinning|"
    r"now (?:playing|spinning)|nowplaying|nowspinning|np|on repeat|obsessed with|loving|loved|heard|discovered|"
    r"new (?:music|song|single|track|video|release)|song of the day|sotd|throwback to|first listen|out now|"
    r"today's (?:song|pick|track)|best new (?:music|track)|presenting|introducing|revisit(?:ing)?)\b(?![\w'])|"
    # These begin names as well ("New Order", "Video Age"), so they must be set off by a mark.
    r"(?:new|love|premiere|exclusive|video|audio|track|song|single|throwback|tbt|fresh|review|enjoy|recommended|"
    r"discovery|update|breaking)(?=\s*[:!|\]]))\s*[:\-!|,\]]*\s*)+",
    re.IGNORECASE,
)
_PLAYING = re.compile(
    r"\b(?:now ?playing|listening to|np|on repeat|now ?spinning|song of the day|sotd)\b", re.IGNORECASE
)
_NUMBER = re.compile(r"^\W*\d{1,3}\s*[.):]\s+|^[-*•·]\s+")
_BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]{1,80})[)\]}]")
_LEADING_BRACKETS = re.compile(r"^\s*[(\[{]([^()\[\]{}]{1,80})[)\]}]\s*")
_VERSION = re.compile(
    r"\b(?:re-?mix(?:ed)?|mix|edit|version|live|acoustic|demo|re-?master(?:ed)?|instrumental|rework|vip|dub|bootleg|"
    r"mash-?up|session|unplugged|reprise|extended|a ?cappella|sped up|slowed(?: down)?|stripped|orchestral|cover)\b",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"\b(?:official|video|audio|lyrics?|hd|hq|mv|m/v|premiere|explicit|free download|visuali[sz]er|out now|fresh|new|"
    r"nsfw|x-?post|\d{2,4}s?|\d+p)\b",
    re.IGNORECASE,
)
_WHOLE_WORK = re.compile(
    r"\b(?:album|lp|e\.?p|mixtape|book|novel|memoir|film|movie|documentary|tour|series|show|podcast|essay|interview|"
    r"article|playlist|discography|split|compilation|soundtrack|ost|full set|dj set|festival|record)\b",
    re.IGNORECASE,
)
_WORK_WORDS = (
    r"(?:(?:the|a|an|my|their|his|her|this|brand|new|newest|latest|debut|lead|first|second|third|next|classic|great|"
    r"gorgeous|beautiful|excellent|upcoming|solo|hit|smash|iconic|timeless|\d{4}|single|song|track|tune|video|clip|"
    r"visual|music|anthem|ballad|banger|jam|cut|masterpiece|for|remix|of|to)\s+)"
)
_BY = re.compile(rf"^\s*[,-]?\s*{_WORK_WORDS}{{0,5}}(?:performed\s+)?by\s+", re.IGNORECASE)
_POSSESSIVE = re.compile(rf"(?:'s|(?<=[szxSZX])')\s+{_WORK_WORDS}{{0,6}}$", re.IGNORECASE)
_VERBS = (
    r"(?:(?:has|have|just|also)\s+){0,2}(?:shares?|shared|releases?|released|drops?|dropped|unveils?|unveiled|performs?|"
    r"performed|plays?|played|sings?|sang|announces?|announced|debuts?|debuted|returns? with|returned with)\s+"
)
_JOINT = re.compile(rf"(\s-+|:|,|)\s*(?:\b{_VERBS})?(?:\b{_WORK_WORDS}{{1,5}})?$", re.IGNORECASE)
_DASH_AFTER = re.compile(r"^\s*-+\s+(?=\S)")
_COVERS = re.compile(r"^(.*\S)\s+(?:cover|covers|covered|covering)$", re.IGNORECASE)
_HARD_BREAK = re.compile(r".*(?:[.!?…]\s|[:;|()\[\]{}~]|\s-+\s|\s[^\w\s@&$+×'\".]+\s)")
_DASH = re.compile(r"\s+-{1,3}\s+|\s+-{1,3}(?=\w)|(?<=\w)-{1,3}\s+")
_PROSE = words_of(
    "i i'm i've i'd i'll you you're your my me we we're they're it's that's this is are was were am be been have "
    "has had do does did don't can can't could should would will won't if because what how why who when where "
    "there here anyone anybody someone help please thanks looking think thoughts know just really very"
)

_BY_QUOTED, _POSSESSED, _DASHED_QUOTE, _LISTED_QUOTE, _ADJACENT = 0.95, 0.9, 0.95, 0.7, 0.6
_DASHED, _DASHED_PROSE, _BY_PLAIN, _ANNOUNCED, _KNOWN = 0.6, 0.35, 0.3, 0.8, 0.85


def parse_songs(text: str, *, is_artist: IsArtist | None = None) -> list[Song]:
    """The songs that a text names, in the order in which it names them; never an error, often none.

    Args:
        text: what somebody posted, HTML entities, links and all.
        is_artist: says whether a name is a known artist's.

    >>> [(song.artists, song.title) for song in parse_songs("Listen to Ona Vell’s “Slow Lamp” [ft. Tor Brisk]")]
    [(('Ona Vell',), 'Slow Lamp')]
    """
    songs: dict[tuple[object, ...], Song] = {}
    for line in clean_lines(text):
        plain = _NUMBER.sub("", line)
        for song in _quoted_songs(plain, is_artist) or _plain_songs(plain, is_artist):
            key = (tuple(name.casefold() for name in song.artists), song.title.casefold())
            songs.setdefault(key, song)
            if len(songs) == MAX_SONGS:
                return list(songs.values())
    return list(songs.values())


def _quoted_songs(line: str, is_artist: IsArtist | None) -> list[Song]:
    """Songs whose titles stand in quotes."""
    quotes = [quote for quote in find_quotes(line) if _is_title(quote.text)]
    songs: list[Song] = []
    for place, quote in enumerate(quotes):
        before = line[quotes[place - 1].end if place else 0 : quote.start]
        after = line[quote.end : quotes[place + 1].start if place + 1 < len(quotes) else len(line)]
        song = _by(quote, before, after, is_artist) or _before(quote, before, after, is_artist)
        if song is not None:
            songs.append(song)
    return songs


def _by(quote: Quote, before: str, after: str, is_artist: IsArtist | None) -> Song | None:
    """`"Title" (version) by Artist ft. Guest`."""
    notes, rest = _take_notes(after)
    joint = _BY.match(rest)
    confidence = _BY_QUOTED
    if joint is None and not re.search(r"\w", _LEAD_IN.sub("", before, count=1)):
        joint, confidence = _DASH_AFTER.match(rest), _LISTED_QUOTE
        if joint is not None and not is_name_word(rest[joint.end() :]):
            return None
    if joint is None or _WHOLE_WORK.search(before[-25:]) or _WHOLE_WORK.search(rest[: joint.end()]):
        return None
    credit, rest = name_at_start(rest[joint.end() :], is_artist)
    return _song(quote, credit, notes, rest, confidence=confidence - (0 if quote.double else 0.05), is_artist=is_artist)


def _before(quote: Quote, before: str, after: str, is_artist: IsArtist | None) -> Song | None:
    """`Artist's "Title"`, and the other ways to put the artist first."""
    if _WHOLE_WORK.search(before[-15:]):
        return None
    possessive = _POSSESSIVE.search(before[-120:])
    if possessive is not None:
        segment = before[: len(before) - len(possessive.group())]
        segment += "s" if possessive.group().startswith("s'") else ""
        rest, credit = name_at_end(_last_clause(segment))
        confidence = _POSSESSED
    else:
        joint = _JOINT.search(before[-120:])
        sign = joint.group(1).strip()[:1] if joint is not None else ""
        segment = before[: len(before) - len(joint.group())] if joint is not None else before
        rest, credit = name_at_end(_last_clause(segment, comma=sign != "-"))
        known = is_artist is not None and bool(credit) and is_artist(credit)
        confidence = {"-": _DASHED_QUOTE, ":": _LISTED_QUOTE, ",": _LISTED_QUOTE}.get(sign, _ADJACENT)
        speech = sign != "-" and _is_speech(quote.text)
        loose = not sign and not (quote.double and all(map(is_name_word, credit.split())))
        if not known and (rest or speech or loose):
            return None
        confidence = max(confidence, _KNOWN if known else 0)
    cover_of = None
    covers = _COVERS.match(rest)
    if covers is not None and credit:
        cover_of, credit = credit, name_at_end(covers.group(1))[1]
    notes, after = _take_notes(after)
    song = _song(quote, credit, notes, after, confidence=confidence, is_artist=is_artist)
    return song if song is None or cover_of is None else replace(song, cover_of=cover_of)


def _last_clause(segment: str, *, comma: bool = True) -> str:
    """The end of a segment from which a name is read: after the last break, less "listen to" and the like."""
    segment = segment[-200:].strip()
    broken = _HARD_BREAK.match(segment)
    if broken is not None and not re.search(r"\b\w\.\s$", broken.group()):
        segment = segment[broken.end() :]
    if comma and "," in segment and not re.search(r",[^,]+(?:\s&|\sand|\sx)\s", segment):
        head, tail = segment.rsplit(",", 1)
        segment = tail if tail.strip().casefold() != "the creator" else ",".join((head.rsplit(",", 1)[-1], tail))
    return _strip_lead_in(segment)


def _strip_lead_in(segment: str) -> str:
    lead_in = _LEAD_IN.match(segment)
    rest = segment[lead_in.end() :] if lead_in is not None else segment
    # "New Order" and "Video Age" are names: what is left of a lead-in must still be able to be one.
    return rest.strip() or segment.strip()


def _song(
    quote: Quote, credit: str, notes: list[str], after: str, *, confidence: float, is_artist: IsArtist | None
) -> Song | None:
    artists = split_credit(credit, is_artist)
    if not artists:
        return None
    title, guests = _split_guests(quote.text)
    guests += _guests_in(notes) + _guests_at_start(after, is_artist)
    version = next(filter(_VERSION.search, [*_BRACKETS.findall(title), *notes, *_take_notes(after)[0]]), None)
    return Song(
        artists=artists,
        title=title,
        featured=_artists_of(guests, is_artist),
        version=version.strip() if version else None,
        confidence=round(confidence, 2),
    )


def _take_notes(text: str) -> tuple[list[str], str]:
    """Bracketed notes at the start of a text, and what follows them."""
    notes: list[str] = []
    while (bracket := _LEADING_BRACKETS.match(text)) is not None:
        notes.append(bracket.group(1).strip())
        text = text[bracket.end() :]
    return notes, text


def _guests_in(notes: list[str]) -> list[str]:
    marks = ((note, FEATURING.match(note) or re.match(r"with(?=\s)", note, re.IGNORECASE)) for note in notes)
    return [note[mark.end() :].strip() for note, mark in marks if mark is not None]


def _guests_at_start(text: str, is_artist: IsArtist | None) -> list[str]:
    """Guests that are named next: `ft. A & B has been ...`, or in brackets."""
    notes, rest = _take_notes(text)
    mark = FEATURING.match(rest.lstrip(" ,"))
    if mark is None:
        return _guests_in(notes)
    credit, _ = name_at_start(rest.lstrip(" ,")[mark.end() :].strip(), is_artist)
    return [*_guests_in(notes), credit]


def _split_guests(title: str) -> tuple[str, list[str]]:
    """A title without its `(feat. Guest)`, and the guests."""
    guests: list[str] = []
    for bracket in _BRACKETS.finditer(title):
        if FEATURING.match(bracket.group(1).strip()):
            guests += _guests_in([bracket.group(1).strip()])
            title = title.replace(bracket.group(), " ")
    return " ".join(title.split()).rstrip(" ,"), guests


def _artists_of(lines: list[str], is_artist: IsArtist | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for line in lines for name in split_credit(line, is_artist)))


def _plain_songs(line: str, is_artist: IsArtist | None) -> list[Song]:
    """The song of a line without quoted titles: `Artist - Title`, else `Title by Artist`."""
    announced = _PLAYING.search(line) is not None
    notes = [note.strip() for note in _BRACKETS.findall(line[:400])]
    if any(_WHOLE_WORK.search(note) for note in notes):
        return []
    body = _strip_lead_in(re.sub(r"#\w+", " ", _LEADING_BRACKETS.sub("", line)))
    song = _dashed(body, is_artist, announced=announced) or _plain_by(body, is_artist, announced=announced)
    return [song] if song is not None else []


def _dashed(body: str, is_artist: IsArtist | None, *, announced: bool) -> Song | None:
    parts = [part for part in _DASH.split(body, maxsplit=2) if part.strip()]
    if len(parts) < 2 or len(body) > 250:
        return None
    left, right = (trim(parts[0]), parts[1])
    if is_artist is not None and not is_artist(_without_guests(left)) and is_artist(_clean_title(right)[0]):
        left, right = _clean_title(right)[0], left
    credit, side_guests = _side_guests(left)
    title, notes, title_guests = _clean_title(right)
    if not _is_credit(credit) or not _is_title(title) or _reads_as_prose(title, 10):
        return None
    known = is_artist is not None and is_artist(credit)
    titled = sum(map(is_name_word, title.split())) * 2 >= len(title.split())
    confidence = _KNOWN if known else _ANNOUNCED if announced else _DASHED if titled else _DASHED_PROSE
    artists = split_credit(credit, is_artist)
    if not artists:
        return None
    return Song(
        artists=artists,
        title=title,
        featured=_artists_of([*side_guests, *title_guests], is_artist),
        version=next(filter(_VERSION.search, notes), None),
        confidence=confidence,
    )


def _plain_by(body: str, is_artist: IsArtist | None, *, announced: bool) -> Song | None:
    head, by, tail = body.rpartition(" by ")
    if not by or '"' in body or len(head) > 100:
        return None
    credit, rest = name_at_start(tail, is_artist)
    title, notes, guests = _clean_title(head)
    if not _is_credit(credit) or not _is_title(title) or _reads_as_prose(title, 8):
        return None
    known = is_artist is not None and is_artist(credit)
    artists = split_credit(credit, is_artist)
    if not artists or not (known or announced or not rest):
        return None
    guests += _guests_at_start(rest, is_artist)
    return Song(
        artists=artists,
        title=title,
        featured=_artists_of(guests, is_artist),
        version=next(filter(_VERSION.search, notes), None),
        confidence=_ANNOUNCED if announced or known else _BY_PLAIN,
    )


def _side_guests(credit: str) -> tuple[str, list[str]]:
    """`Artist ft. Guest` -> the artist, the guests."""
    mark = re.search(r"\s[(\[]?(?:feat(?:uring)?|ft)\.?\s", credit, re.IGNORECASE)
    if mark is None:
        return credit.strip(), []
    return credit[: mark.start()].strip(), [credit[mark.end() :].strip(" )]")]


def _without_guests(credit: str) -> str:
    return _side_guests(credit)[0]


def _clean_title(text: str) -> tuple[str, list[str], list[str]]:
    """An unquoted title without annotations; its version notes; its guests."""
    notes: list[str] = []
    guests: list[str] = []
    for bracket in list(_BRACKETS.finditer(text))[:6]:
        note = bracket.group(1).strip()
        if FEATURING.match(note):
            guests += _guests_in([note])
        elif _VERSION.search(note):
            notes.append(note)
        elif not (bracket.group()[0] == "[" or _NOISE.search(note)):
            continue  # part of the title: "(I Saw) The Lamp"
        text = text.replace(bracket.group(), " ")
    text, side = _side_guests(" ".join(text.split()))
    # Prose that follows a title: a new sentence, or a comma before a small letter ("..., great band").
    text = re.split(r"\s[|/~•·]+\s|[.!?;]\s|,\s(?=[a-z])", text, maxsplit=1)[0]
    return trim(text).strip(" '"), notes, [*guests, *side]


def _is_title(title: str) -> bool:
    """Whether something between quotes can be a title at all."""
    balanced = all(title.count(left) == title.count(right) for left, right in ("()", "[]", "{}"))
    return balanced and is_name(title) and len(title) <= 150


def _is_credit(credit: str) -> bool:
    words = credit.casefold().split()
    return 0 < len(words) <= 7 and len(credit) <= 70 and is_name(credit) and not _PROSE & set(words)


def _reads_as_prose(text: str, limit: int) -> bool:
    words = text.split()
    return len(words) > limit or (len(words) > 5 and words[0].casefold() in _PROSE and not is_name_word(words[1]))


def _is_speech(text: str) -> bool:
    """Whether quoted words are what somebody said: a sentence, rather than a title."""
    words = text.split()
    capitals = sum(map(is_name_word, words))
    return text.endswith((".", ",", "!")) or len(words) > 8 or (len(words) > 3 and capitals * 2 < len(words))
