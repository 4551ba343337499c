"""Songs with titles in quotes: `"Title" by Artist`, `Artist's "Title"` and similar patterns."""

from __future__ import annotations

import re
from dataclasses import replace

from bot.domain.songs.clauses import LEAD_IN, last_clause
from bot.domain.songs.everyday import is_everyday, is_saying
from bot.domain.songs.known import known_end, without_alias, without_beginning
from bot.domain.songs.names import (
    IsArtist,
    all_known,
    is_name_word,
    is_titled,
    name_at_end,
    name_at_start,
    split_credit,
    words_of,
)
from bot.domain.songs.notes import (
    BRACKETS,
    WHOLE_WORK,
    guests_at_start,
    guests_in,
    performer_in,
    split_guests,
    take_notes,
)
from bot.domain.songs.parts import is_title, make_song
from bot.domain.songs.song import Song
from bot.domain.songs.song import credit as credit_line
from bot.domain.songs.text import Quote, find_quotes
from bot.domain.songs.unquoted import KNOWN, unquoted_songs

_WORK_WORDS = (
    r"(?:(?:the|a|an|my|their|his|her|this|brand|new|newest|latest|debut|lead|first|second|third|next|classic|great|"
    r"gorgeous|beautiful|excellent|upcoming|solo|hit|smash|iconic|timeless|awesome|amazing|favou?rite|best|\d{4}|single|"
    r"song|track|tune|video|clip|visual|music|anthem|ballad|banger|jam|cut|masterpiece|cover|rendition|version|for|"
    r"remix|of|to|called|titled|entitled|named)\s+)"
)
_BY = re.compile(rf"^\s*[,-]?\s*{_WORK_WORDS}{{0,5}}(?:performed\s+)?by\s+", re.IGNORECASE)
_POSSESSIVE = re.compile(rf"(?:'s|(?<=[szxSZX])'|\s+whose)\s+{_WORK_WORDS}{{0,6}}$", re.IGNORECASE)
_VERBS = (
    r"(?:(?:has|have|just|also)\s+){0,2}(?:shares?|shared|releases?|released|drops?|dropped|unveils?|unveiled|performs?|"
    r"performed|performing|plays?|played|playing|sings?|sang|singing|announces?|announced|debuts?|debuted|"
    r"returns? with|returned with|wrote|writes|recorded|records|premieres?|premiered)\s+"
)
_JOINT = re.compile(rf"(\s-+|:|,|)\s*(\b{_VERBS})?(?:\b{_WORK_WORDS}{{1,5}})?$", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(?:the|an?|my|their|his|her|this)\b", re.IGNORECASE)
_COVER_OF = re.compile(
    r"('s\s+)?(?:\w+\s+)?\b(?:cover|rendition|version)\s+of\s*$|"
    r"(\s+(?:(?:has|have|just)\s+)*(?:cover(?:s|ed|ing)?|reworks?|reworked)\s*$)",
    re.IGNORECASE,
)
_AND = re.compile(r"^[,\s]*(?:(?:and|&|\+|/|,|b/w|c/w)\s*)+$", re.IGNORECASE)
# Words before a quoted title that are not a name: "Best songs: ...", "and ...".
_NAMELESS = words_of(
    "song songs track tracks title titles video single singles music new enjoy and but or especially including include "
    "next first then "
    "finally also last second third "
    "includes standout standouts highlight highlights favorite favorites favourite favourites best like namely que o y"
)
_COMMA_AFTER_WORK = re.compile(r"(\b(?:song|single|track|video|tune)),\s*$", re.IGNORECASE)
_SONG_WORD = re.compile(r"\b(?:song|track|tune|single|banger|cut)\b", re.IGNORECASE)
_ALIAS = re.compile(r"\s*\([^()]{1,40}\)\s*$")
_LABEL = re.compile(r"^\W*(?:[\w'#&-]+\s+){0,4}[\w'#&-]+:\s*$")
_VIDEO_BEFORE = re.compile(r"\s+(?:MV|M/V|official(?: music)? video|music video|新曲|new single)\s*$", re.IGNORECASE)
_THAT = re.compile(r"^(?:that|this|another|every|one)\s+(?=[A-Z0-9])", re.IGNORECASE)
_JOINED = re.compile(r"[-:,]\s*$")
_COMPARED = re.compile(r"\bcompared? (?:it |this |that |them )?(?:with|to|against)\s*$", re.IGNORECASE)
_BY_FOREIGN = re.compile(
    r"^\s*,?\s*(?:(?:von|van|vom|par|de|di|del|da|do|av|af|от|przez|od)\s+|d')(?=\S)", re.IGNORECASE
)
_AND_FOREIGN = re.compile(r"^(?:e|y|et|und|en|och|og|и)\s+(?=[^\W\d_])")
_COMMA_AFTER = re.compile(r"^\s*,\s+(?=\S)")
_CLIP = re.compile(
    r"^\s*[(\[]?\s*(?:official|mv|m/v|music video|lyric video|live clip|7\"|10\"|12\"|7-inch|12-inch|repress)(?!\w)",
    re.IGNORECASE,
)
_WORK_AFTER = re.compile(
    r"\s*(?:(?:remix|debut|live|studio|covers?|new|\d+(?:th|st|nd|rd)?)\s+)?"
    r"(?:album|e\.?p|lp|mixtape|tour|box ?set|film|book|documentary|compilation|soundtrack)\b(?! (?:version|mix|edit))",
    re.IGNORECASE,
)
"""The name of a kind of work behind a quote: `announces "Title" remix album`."""
_PRONOUN = re.compile(r"(?:^|\s)(?:that|it|what|here|there|let|he|she|who|this|where|how)$", re.IGNORECASE)
_DASH_AFTER = re.compile(r"^\s*-+\s+(?=\S)")
_COVERS = re.compile(
    r"^(.*?\S)\s+(?:cover|covers|covered|covering|(?:(?:has|have|just)\s+)*(?:(?:released?|shares?|shared|dropp?(?:ed|s)|"
    r"performed|performs|recorded|done|posted|unveil(?:s|ed))\s+)?(?:an?|their|her|his|this|the)\s+(?:\w+\s+)?"
    r"(?:cover|version|rendition|take)\s+(?:of|on))$",
    re.IGNORECASE,
)
_FROM = re.compile(rf"\b(?:{_WORK_WORDS})+(?:from|by)\s+(?P<name>[^\"]{{2,60}}?)\s*[!:,.]*\s*$", re.IGNORECASE)
_SAYING, _UNSURE = 3, 0.4
"""Maximum words in small letters that count as a title of an unknown artist, and the confidence of longer ones."""
_BY_QUOTED, _POSSESSED, _DASHED_QUOTE, _LISTED_QUOTE, _ADJACENT = 0.95, 0.9, 0.95, 0.7, 0.6


def quoted_songs(line: str, is_artist: IsArtist | None, *, chained: bool = False) -> list[Song]:
    """Find the songs of a line with titles in quotes.

    Args:
        line: the line, cleaned.
        is_artist: returns whether a name is that of a known artist.
        chained: whether the line is a link of a chain, `Artist 'Title' > Artist 'Title'`.
    """
    quotes = [quote for quote in find_quotes(line) if is_title(quote.text)]
    songs: list[Song] = []
    previous = ""
    for place, quote in enumerate(quotes):
        before = line[quotes[place - 1].end if place else 0 : quote.start]
        after = line[quote.end : quotes[place + 1].start if place + 1 < len(quotes) else len(line)]
        if " - " in quote.text and quote.double and not _JOINED.search(before):
            # YouTube's share text has all in quotes: `Watch "Artist - Title" on YouTube`.
            whole = unquoted_songs(quote.text, is_artist, announced=not _POSSESSIVE.search(before))
            if whole:
                songs += whole
                continue
        song = _by(quote, before, after, is_artist) or _foreign(quote, after, is_artist)
        song = song or _before(quote, before, after, is_artist, chained=chained)
        song = song or _after_comma(quote, after, is_artist) or _in_brackets(quote, after, is_artist)
        song = song or (_behind(quote, after, is_artist) if quote.double else None)
        if song is None and songs and place and _AND.match(before) and songs[-1].title == split_guests(previous)[0]:
            # `Artist's "Title" and "Title"`: both belong to the artist.
            song = replace(songs[-1], title=quote.text, version=None, featured=())
        if song is None and songs and quote.double and _COMPARED.search(before):
            song = replace(songs[-1], title=quote.text, version=None, featured=())
        if song is not None:
            songs.append(song)
        previous = quote.text
    return songs


def _by(quote: Quote, before: str, after: str, is_artist: IsArtist | None) -> Song | None:
    """`"Title" (version) by Artist ft. Guest`, and `"Title" - Artist` at the start of a line."""
    notes, rest = take_notes(after)
    joint = _BY.match(rest)
    confidence = _BY_QUOTED
    if joint is None and (not re.search(r"\w", LEAD_IN.sub("", before, count=1)) or _labels(before, is_artist)):
        joint, confidence = _DASH_AFTER.match(rest), _LISTED_QUOTE
        if joint is not None and (is_saying(quote.text) or not is_name_word(rest[joint.end() :])):
            return None  # `"A long saying in small letters" - Somebody`
    if joint is None or WHOLE_WORK.search(before[-25:]) or WHOLE_WORK.search(rest[: joint.end()]):
        return None
    credit, rest = name_at_start(rest[joint.end() :], is_artist)
    song = _song(quote, credit, notes, rest, confidence=confidence - (0 if quote.double else 0.05), is_artist=is_artist)
    if song is None:
        return None
    performer = performer_in(take_notes(rest)[0]) if confidence == _LISTED_QUOTE else ""
    return _performed(song, performer, is_artist) if performer else _covered(song, before, rest, is_artist)


def _labels(before: str, is_artist: IsArtist | None) -> bool:
    """Whether the words before a quote introduce it, `current mood: `, rather than name its artist."""
    name = before.strip().rstrip(":")
    known = is_artist is not None and is_artist(name)
    return _LABEL.match(before) is not None and (is_everyday(name) or (name.islower() and not known))


def _covered(song: Song, before: str, after: str, is_artist: IsArtist | None) -> Song:
    """Set the performer in `Performer's cover of "Title" by Artist`, `Cover of "Title" by Artist (Performer)`."""
    cover = _COVER_OF.search(before[-60:])
    if cover is None:
        return song
    owner = before[: len(before) - len(cover.group())]
    named = cover.group(1) or cover.group(2)
    performer = name_at_end(last_clause(owner))[1] if named else next(iter(take_notes(after)[0]), "")
    return _performed(song, performer, is_artist) if is_titled(performer) or performer.startswith("@") else song


def _performed(song: Song, performer: str, is_artist: IsArtist | None) -> Song:
    performers = split_credit(performer, is_artist)
    return replace(song, artists=performers, cover_of=credit_line(song.artists)) if performers else song


def _before(quote: Quote, before: str, after: str, is_artist: IsArtist | None, *, chained: bool) -> Song | None:
    """`Artist's "Title"`, and the other ways to put the artist first."""
    if WHOLE_WORK.search(before[-15:]) or _WORK_AFTER.match(after):
        return None
    named = _possessor(before, is_artist) or _neighbour(
        quote, before, is_artist, marked=chained or _CLIP.match(after) is not None
    )
    if named is None:
        return None
    rest, credit, confidence = named
    cover_of = ""
    covers = _COVERS.match(rest)
    if covers is not None and credit:
        cover_of, credit = credit, name_at_end(covers.group(1))[1]
    notes, after = take_notes(after)
    song = _song(quote, credit, notes, after, confidence=confidence, is_artist=is_artist)
    return song if song is None or not cover_of else replace(song, cover_of=cover_of)


def _possessor(before: str, is_artist: IsArtist | None) -> tuple[str, str, float] | None:
    """Read `Artist's new song "Title"`; return the text before the name, the name and the confidence."""
    possessive = _POSSESSIVE.search(before[-120:])
    if possessive is None:
        return None
    segment = before[: len(before) - len(possessive.group())]
    segment += "s" if possessive.group().startswith("s'") else ""
    if _PRONOUN.search(segment):
        return None  # "that's", "it's"
    rest, credit = name_at_end(last_clause(segment))
    credit = without_beginning(credit, is_artist)
    return rest, credit, _POSSESSED


def _neighbour(quote: Quote, before: str, is_artist: IsArtist | None, *, marked: bool) -> tuple[str, str, float] | None:
    """Read `Artist - "Title"`, `Artist shares new song "Title"`, `Artist "Title"`; return as `_possessor` does."""
    before = _COMMA_AFTER_WORK.sub(r"\1 ", before)  # `drops new song, "Title"`
    presented = _FROM.search(before[-120:])
    if presented is not None and is_titled(presented["name"]):
        return "", presented["name"], _LISTED_QUOTE  # `New single from Artist! "Title"`
    joint = _JOINT.search(before[-120:])
    sign = joint.group(1).strip()[:1] if joint is not None else ""
    segment = before[: len(before) - len(joint.group())] if joint is not None else before
    segment = _VIDEO_BEFORE.sub("", segment)
    plain = without_alias(segment, is_artist) if _ALIAS.search(segment) else segment
    plain = _ALIAS.sub("", plain) or segment
    has_alias = plain != segment
    marked = marked or quote.double or has_alias
    segment = plain
    # `..., Artist - "Title"` continues a list.
    segment = segment.lstrip(" ,;") if sign == "-" else segment
    rest, credit = name_at_end(last_clause(segment, comma=sign != "-"))
    credit = without_beginning(credit, is_artist)
    if joint is not None and _SONG_WORD.search(joint.group()) and not (is_artist is not None and is_artist(credit)):
        credit = _THAT.sub("", credit)  # `that Ona Vell song "Tin Sea"`
    small = credit == credit.lower() and not credit.startswith("@")
    # Lower case is a name if the title is in lower case too, `girl in red "serotonin"`; else it is some other word.
    named = not small or (before + quote.text).islower() or has_alias
    known = is_artist is not None and named and is_artist(credit)
    confidence = {"-": _DASHED_QUOTE, ":": _LISTED_QUOTE, ",": _LISTED_QUOTE}.get(sign, _ADJACENT)
    speech = sign != "-" and _is_speech(quote.text)
    # An article without a verb introduces words about the quote, not a name: `Regarding the "Best" list`.
    bare = joint is not None and joint.group(2) is None and _ARTICLE.search(joint.group()) is not None
    verb = joint is not None and joint.group(2) is not None
    named_both = is_titled(credit) and is_titled(quote.text[:1])
    loose = not (sign or has_alias) and not ((marked or verb) and named_both and not bare)
    if not known and is_artist is not None and (before + quote.text).islower():
        ending = known_end(segment, is_artist)
        if ending:
            return "", ending, KNOWN
    words = [word.strip("?!.,") for word in credit.casefold().split()]
    nameless = all(word in _NAMELESS for word in words) or (sign == "," and not named)
    if nameless or (not known and (rest or speech or loose)):
        return None
    return rest, credit, max(confidence, KNOWN if known else 0)


def _foreign(quote: Quote, after: str, is_artist: IsArtist | None) -> Song | None:
    """Read `"Title" von Artist`, in the words for "by" of several languages; the name has capitals."""
    notes, rest = take_notes(after)
    joint = _BY_FOREIGN.match(rest)
    if joint is None or is_everyday(quote.text):
        return None
    credit, rest = name_at_start(rest[joint.end() :], is_artist)
    if not is_titled(credit):
        return None
    joined = _AND_FOREIGN.match(rest)
    second = name_at_start(rest[joined.end() :], is_artist)[0] if joined is not None else ""
    credit = f"{credit} & {second}" if second and is_titled(second) else credit
    confidence = KNOWN if all_known(credit, is_artist) else _LISTED_QUOTE
    return _song(quote, credit, notes, rest, confidence=confidence, is_artist=is_artist)


def _after_comma(quote: Quote, after: str, is_artist: IsArtist | None) -> Song | None:
    """Read `"Title", Artist` of a known artist; without a list, only if nothing follows."""
    notes, rest = take_notes(after)
    joint = _COMMA_AFTER.match(rest)
    if joint is None or not quote.double or _is_speech(quote.text):
        return None
    credit, rest = name_at_start(rest[joint.end() :], is_artist)
    known = all_known(credit, is_artist)
    if not is_titled(credit) or len(credit) < 2 or not (known or (is_artist is None and not rest.strip(" .!"))):
        return None
    confidence = KNOWN if known else _ADJACENT
    return _song(quote, credit, notes, rest, confidence=confidence, is_artist=is_artist)


def _in_brackets(quote: Quote, after: str, is_artist: IsArtist | None) -> Song | None:
    """Read `"Title" (Artist)` of a known artist."""
    notes, rest = take_notes(after)
    known = is_artist is not None and bool(notes) and is_artist(notes[0]) and quote.double
    return _song(quote, notes[0], notes[1:], rest, confidence=_LISTED_QUOTE, is_artist=is_artist) if known else None


def _behind(quote: Quote, after: str, is_artist: IsArtist | None) -> Song | None:
    """Read `... "Title" - Artist` after prose, only if nothing but a name follows."""
    notes, rest = take_notes(after)
    dash = _DASH_AFTER.match(rest)
    if dash is None or _is_speech(quote.text):
        return None
    sentence = re.split(r"[.!?;]\s", rest[dash.end() :], maxsplit=1)[0].strip(" .!?")
    if not is_titled(sentence) or len(sentence.split()) > 5:
        return None
    return _song(quote, sentence, notes, "", confidence=_ADJACENT, is_artist=is_artist)


def _song(
    quote: Quote, credit: str, notes: list[str], after: str, *, confidence: float, is_artist: IsArtist | None
) -> Song | None:
    title, guests = split_guests(quote.text)
    words = title.split()
    small = len(words) > _SAYING and 2 * sum(map(is_name_word, words)) < len(words)
    if is_artist is not None and small and is_titled(credit):
        # A saying in quotes, unless a musician is said to have made it.
        confidence = confidence if all_known(credit, is_artist) else min(confidence, _UNSURE)
    return make_song(
        credit,
        title,
        notes=[*BRACKETS.findall(title), *notes, *take_notes(after)[0]],
        guests=[*guests, *guests_in(notes), *guests_at_start(after, is_artist)],
        confidence=confidence,
        is_artist=is_artist,
    )


def _is_speech(text: str) -> bool:
    """Whether quoted words are speech, a sentence rather than a title."""
    words = text.split()
    capitals = sum(map(is_name_word, words))
    return text.endswith((".", ",", "!")) or len(words) > 8 or (len(words) > 3 and capitals * 2 < len(words))
