"""Songs in rows of fields, as radios write them: `Artist • Title • Album • 2007`, `Artist: X` above `Title: Y`.

A mark such as "|" stands between many things, so a row needs evidence: an announcement, a known artist, a note sign.
"""

from __future__ import annotations

import re

from bot.domain.songs.clauses import strip_lead_in
from bot.domain.songs.everyday import is_everyday
from bot.domain.songs.names import IsArtist, all_known, is_name_word, is_titled, split_credit, trim
from bot.domain.songs.notes import BRACKETS, clean_title, is_whole_note, is_whole_work, side_guests
from bot.domain.songs.orientation import second_is_artist
from bot.domain.songs.parts import is_credit, is_title, make_song
from bot.domain.songs.song import Song

ANNOUNCED = re.compile(
    r"\b(?:now ?(?:playing|spinning|on)|on now|playing now|(?:up )?next(?: up)?(?=\s*[:|»-])|coming up(?: next)?|"
    r"listening to|np|on repeat|song of the day|sotd|on air|just played|last track|"
    r"you're (?:listening to|hearing)|en direct|en ce moment|à l'antenne|en écoute|j'écoute|ouvindo(?: agora)?|"
    r"tocando(?: agora)?|"
    r"no ar|escuchando(?: ahora)?|sonando|suena|läuft gerade|ich höre(?: gerade)?|gerade läuft|"
    r"nu luister ik naar|nu op|"
    r"sto ascoltando|in onda|słucham|teraz gramy|сейчас (?:играет|в эфире)|слушаю|dinliyorum)"
    r"(?!\w)|[♫♪🎵🎶]|#np\b",
    re.IGNORECASE,
)
_MARKS = (r"\s*::\s*", r"\s*[•·]\s*", r"\s*\|\s*", r"\s+/{1,2}\s+", r"\s+~\s+")
_SKIPPED = re.compile(
    r"[\W_]*(?:(?:19|20)\d\d|(?:[01]?\d|2[0-3])[:h.][0-5]\d|\d{1,3}|#\w+|premiere|video|now playing|nowplaying|"
    r"np|on air|"
    r"new|out now|track|song|exclusive|live|stream|listen|watch|neu|new music|new video|review|premier)?[\W_]*",
    re.IGNORECASE,
)
_LABEL = re.compile(r"^[^:]{2,30}?\s?:\s+(?=\S)")
_YEAR = re.compile(r"\s*\(?(?:19|20)\d\d\)?\s*")
_OFFERED = re.compile(
    r"\W*(?:premiere|stream|listen|watch|new music|new track|new single|new video|exclusive)\W*", re.IGNORECASE
)
_STATION = re.compile(r"\b(?:radio|fm|tv|station|records?|podcast)\b", re.IGNORECASE)
_FACT = re.compile(
    r"\d+\s*(?:%|€|\$|£|eur|usd|gbp|kg|g|cm|ml|km|mph|kcal|min(?:ute)?s?|hours?|cups?|pm|am|years?)\b|[€$£]\s*\d|"
    r"^\w+\s+\d+(?:[.,:]\d+)*$|\b\d+[:.]\d\d\b",
    re.IGNORECASE,
)
_LABELLED = re.compile(
    r"^\W*(artist|artiste|künstler|artista|band|by|title|titel|titre|título|titolo|song|track)\s*(?:[:=]|\s-\s)\s*(.+)$",
    re.IGNORECASE,
)
_TITLES = frozenset({"title", "titel", "titre", "título", "titolo", "song", "track"})
_MAX_LIST, _PAIR = 400, 2
_ROW, _KNOWN_ROW, _LABELS = 0.75, 0.85, 0.9


def labelled_song(lines: list[str], is_artist: IsArtist | None) -> Song | None:
    """Read `Artist: X` and `Title: Y` in two lines, or in one with a mark between."""
    fields: dict[bool, str] = {}
    for part in (
        part
        for line in lines
        if any(mark in line[:40] for mark in (":", "=", " - "))
        for part in re.split(r"\s+[/|•·;]\s+", line)
    ):
        label = _LABELLED.match(part)
        if label is not None:
            fields.setdefault(label.group(1).casefold() in _TITLES, label.group(2).strip(" .\"'"))
    artist, title = fields.get(False, ""), fields.get(True, "")
    if not (is_credit(artist) and is_title(title)):
        return None
    title, notes, guests = clean_title(title)
    return make_song(artist, title, notes=notes, guests=guests, confidence=_LABELS, is_artist=is_artist)


def listed_pairs(line: str, is_artist: IsArtist | None = None) -> list[str]:
    """Return the items of `A - T, B - U` in one line, all of two sides in capitals; an empty list for any other line.

    Two items need a known artist in the second one, or a label before them.

    >>> listed_pairs("Two for today: Ona Vell - Tin Sea, Tor Brisk - Moss")
    ['Ona Vell - Tin Sea', 'Tor Brisk - Moss']
    >>> listed_pairs("Ona Vell - Tin Sea, Moss")
    []
    """
    if len(line) > _MAX_LIST or line.count(" - ") < _PAIR:
        return []
    items = [item.rpartition(": ")[2].strip() for item in re.split(r"\s*[,;]\s+|\s+[/|+•]\s+", line)]
    sides = [item.split(" - ") for item in items]
    paired = len(items) >= _PAIR and all(len(each) == _PAIR for each in sides)
    named = paired and all(is_titled(BRACKETS.sub("", side).strip(" .!?")) for each in sides for side in each)
    sure = len(items) > _PAIR or ": " in line or (paired and all_known(sides[-1][0], is_artist))
    named = named and sure and all(any(map(str.isalpha, side)) for each in sides for side in each)
    return items if named and not any(is_everyday(each[0]) for each in sides) else []


def row_song(line: str, is_artist: IsArtist | None, *, announced: bool = False, listed: bool = False) -> Song | None:
    """Read the first two fields of a row; None without evidence of a song.

    Args:
        line: the line, cleaned.
        is_artist: returns whether a name is that of a known artist.
        announced: whether the row is announced outside of the line.
        listed: whether the line is an item of a list.
    """
    if len(line) > 250:
        return None
    for mark in _MARKS:
        fields = re.split(mark, line)
        if len(fields) < 2:
            continue
        song = _read([field.strip() for field in fields], line, is_artist, weak=mark == _MARKS[3], announced=announced)
        if song is not None:
            return song
    comma = _announced_comma(line) or (_listed_comma(line, is_artist) if listed and is_artist is not None else None)
    return _song(*comma, 0.8, is_artist) if comma is not None else None


def _read(fields: list[str], line: str, is_artist: IsArtist | None, *, weak: bool, announced: bool) -> Song | None:
    announced = announced or ANNOUNCED.search(line) is not None
    if len(fields) > _PAIR and any(map(_YEAR.fullmatch, fields)):
        announced, fields[0] = True, _LABEL.sub("", fields[0])
    if not announced and _OFFERED.fullmatch(fields[0]):
        announced = len(fields) > _PAIR
    elif announced:
        fields[0] = _behind_announcement(fields[0])
        if len(fields) > 2 and _STATION.search(fields[0]):
            del fields[0]  # `on Radio Quay | Artist | Title`
    elif is_artist is not None and is_artist(fields[0].rpartition(": ")[2]):
        fields[0] = fields[0].rpartition(": ")[2]
    fields = [re.sub(r"#[^\W\d]\w*", "", field).strip() for field in fields]
    fields = [field for field in fields if not _SKIPPED.fullmatch(field) and not _FACT.search(field)]
    if len(fields) < 2 or " - " in " ".join(fields[:2]) or _STATION.search(fields[0]) or _STATION.search(fields[1]):
        return None
    first, second = fields[0], re.split(r"(?<=\w\w)[.!?](?:\s|$)", fields[1], maxsplit=1)[0]
    if is_everyday(first) or is_everyday(second):
        return None
    plain = BRACKETS.sub("", second).strip()
    artist, title = (plain, first) if second_is_artist(first, plain, is_artist) else (first, second)
    known = is_artist is not None and all(map(is_artist, split_credit(side_guests(artist)[0], is_artist) or ("",)))
    if not (announced or known) or (weak and not announced and not is_name_word(title[:1])):
        return None
    # A row without an announcement has nothing but its fields: words in lower case are a sentence.
    if not announced and (len(title.split()) > 8 or title[:1].islower() != artist[:1].islower()):
        return None
    return _song(artist, title, _KNOWN_ROW if known else _ROW, is_artist)


def _behind_announcement(field: str) -> str:
    """Return the words behind an announcement: `Radio Quay now playing: Ona Vell`."""
    found = list(ANNOUNCED.finditer(field))
    rest = field[found[-1].end() :].strip(" :-|>") if found else field
    return strip_lead_in(re.sub(r"^(?:(?:on|at|auf|sur)\s+)?[^:]{2,30}:\s+", "", rest) if found else rest)


def _announced_comma(line: str) -> tuple[str, str] | None:
    """Read `now playing: Artist, Title`, with one comma only."""
    found = ANNOUNCED.search(line)
    if found is None or line.count(", ") != 1 or " - " in line or " by " in line or '"' in line:
        return None
    behind = _behind_announcement(line)
    if ":" not in line[: len(line) - len(behind)]:
        return None
    artist, _, title = behind.partition(", ")
    return (artist, title) if all(is_name_word(side[:1]) for side in (artist, title)) else None


def _listed_comma(line: str, is_artist: IsArtist) -> tuple[str, str] | None:
    """Read `- Artist, Title` of a known artist in a list."""
    artist, comma, title = line.partition(", ")
    return (artist, title) if comma and is_artist(artist) and is_titled(BRACKETS.sub("", title)) else None


def _song(artist: str, title: str, confidence: float, is_artist: IsArtist | None) -> Song | None:
    artist, artist_guests = side_guests(artist)
    title, notes, guests = clean_title(title)
    if any(map(is_whole_note, notes)):
        return None
    title = trim(title).strip(" '\"")
    if not is_credit(artist) or not is_title(title) or is_whole_work(title) or trim(artist) == title:
        return None
    return make_song(
        artist, title, notes=notes, guests=[*artist_guests, *guests], confidence=confidence, is_artist=is_artist
    )
