"""Annotations of a song: guests, versions, and remarks behind a title."""

from __future__ import annotations

import re

from bot.domain.songs.clauses import is_abbreviation
from bot.domain.songs.names import FEATURING, IsArtist, is_name_word, is_titled, name_at_start, split_credit, words_of

VERSION = re.compile(
    r"\b(?:re-?mix(?:ed)?|mix|edit|version|live|acoustic|demo|re-?master(?:ed)?|re-?model(?:led)?|re-?touch|re-?rub|re-?imagin\w+|re-?construct\w*|instrumental|rework|vip|dub|bootleg|"
    r"mash[- ]?up|session|unplugged|reprise|extended|a ?cappella|sped up|slowed(?: down)?|stripped|orchestral|cover|"
    r"ukulele|piano|refix|flip|original)\b",
    re.IGNORECASE,
)
WHOLE_WORK = re.compile(
    r"\b(?:album(?! (?:version|mix|edit))|lp|e\.?p|mixtape|book|novel|memoir|film|movie|documentary|tour|series|show|"
    r"podcast|essay|interview|article|playlist|discography|split|compilation|soundtrack|ost|full (?:set|concert)|"
    r"dj set|festival|record)\b",
    re.IGNORECASE,
)
_WHOLE_TITLE = re.compile(
    r"\b(?:EP|E\.P\.?|LP|full album|albums?|mixtape|discography|documentary|lectures?|interview|soundtrack|OST|podcast|"
    r"essential mix|dj set|live set|full (?:\w+ )?set|concert|playlist|compilation|tour dates|box ?set|"
    r"teaser (?:pics?|photos?)|ama|trailer|review|available|pre-?order|tracklist|announce(?:s|d|ment)|samplers?|"
    r"giveaway|wallpapers?|infographic|tickets)\b|^youtube$|"
    r"^self.?titled\b|^live (?:at|in|from|on|@)|^live\b.*\b(?:festival|\d{4})\b",
    re.IGNORECASE,
)
_WHOLE_NOTE = re.compile(
    r"^(?!.*\b(?:from|off|on)\b).*\b(?:album(?! (?:version|mix|edit))|lp|e\.?p|mixtape|documentary|film|interview|"
    r"discography|compilation|full (?:length(?! version)|set|concert)|dj set|playlist|podcast|book|soundtrack)\b",
    re.IGNORECASE,
)
_MANY = re.compile(r"\b(?:\d+[- ]track|collection of)\b", re.IGNORECASE)
_NOISE = re.compile(
    r"\b(?:official|officiel(?:le)?|oficial|ufficiale|offiziell\w*|clip|"
    r"video|audio|lyrics?|hd|hq|mv|m/v|premiere|explicit|free|visuali[sz]er|out now|fresh|new|"
    r"nsfw|x-?post|\d{2,4}s?|\d+p|cdq|youtube|links?|comments?|album)\b|/r/",
    re.IGNORECASE,
)
BRACKETS = re.compile(r"[(\[{]([^()\[\]{}]{1,200})[)\]}]")
LEADING_BRACKETS = re.compile(r"^\s*[(\[{]([^()\[\]{}]{1,80})[)\]}]\s*")
_COVER_OF = re.compile(
    r"^(?:an? )?(?:\w+ )?(?:cover|covering|version) of (?:a |an )?(.+?)(?:'s)?(?: song)?$|^(.+?) cover$", re.IGNORECASE
)
# Words that are common in titles and rare in artists' names: brackets with one of them belong to the title.
_OF_TITLES = words_of(
    "a all and are away be can can't do don't down for go he her i i'm if in is it it's me my never no not of on or "
    "pt part phase she that the this to up was we what when why with without won't you you're your"
)
_GOES_ON = words_of("and but if is or so to what when")
_SENTENCE = re.compile(r"(\w[\w.']*)?([.!?;])\s|\s[|/~•·*]+\s|\s\*+(?=\w)|\.{3,}|\s?,\s")
_REMARKS = words_of("this what great best love good nice one song track remix cover live new by from my such")
_FORMAT = re.compile(r"\s+(?:7|10|12)(?:\"|''|-?\s?inch\b)(?:\s+(?:vinyl|single|repress))?(?=\s|$)", re.IGNORECASE)
_IMPRINTS = words_of(
    "records recordings recs music tapes tape discs disques musik label traxx digital "
    "warp domino xl 4ad matador merge anti- epitaph kranky hyperdub ghostly ninja tune sub pop rough trade jagjaguwar"
)
_SUBTITLE = re.compile(r"^[^()\[\]]+\s(\(([^()]{2,40})\))\s*[.!]*$")
_COVER_BY = re.compile(r"^(?:\w+ )?(?:cover(?:ed)?|version|performed|sung) by (.+)$", re.IGNORECASE)
_LONG_SUBTITLE = 4
_TITLE_WORDS, _REMARK_WORDS = 2, 4
"""Minimum words of a title and of the remark behind it; "City Rising from the ashes" is one title."""
_REMARK_STARTS = words_of(
    "in on at and is was while for from with has just again came hits makes when because but as during before after "
    "through all every so this that sounds feels got gets still will would could really being"
)
_SIDE_GUESTS = re.compile(r"\s[(\[]?(?:(?i:feat(?:uring)?|ft)\.?\s|(?i:feat|ft)\.(?=\w)|w/\s(?=[A-Z@]))")


def take_notes(text: str) -> tuple[list[str], str]:
    """Split off the bracketed notes at the start of a text; return the notes and the rest."""
    notes: list[str] = []
    while (bracket := LEADING_BRACKETS.match(text)) is not None:
        notes.append(bracket.group(1).strip())
        text = text[bracket.end() :]
    return notes, text


def guests_in(notes: list[str]) -> list[str]:
    """Return the credits of guests in some notes: `feat. A & B`, `with A`."""
    marks = ((note, FEATURING.match(note) or re.match(r"with(?=\s)", note, re.IGNORECASE)) for note in notes)
    return [note[mark.end() :].strip() for note, mark in marks if mark is not None]


def guests_at_start(text: str, is_artist: IsArtist | None) -> list[str]:
    """Return the credits of guests at the start of a text: `ft. A & B has been ...`, or in brackets."""
    notes, rest = take_notes(text)
    mark = FEATURING.match(rest.lstrip(" ,"))
    if mark is None:
        return guests_in(notes)
    credit, _ = name_at_start(rest.lstrip(" ,")[mark.end() :].strip(), is_artist)
    return [*guests_in(notes), credit]


def split_guests(title: str) -> tuple[str, list[str]]:
    """Split off `(feat. Guest)` from a title; return the title and the guests."""
    guests: list[str] = []
    for bracket in BRACKETS.finditer(title):
        if FEATURING.match(bracket.group(1).strip()):
            guests += guests_in([bracket.group(1).strip()])
            title = title.replace(bracket.group(), " ")
    return " ".join(title.split()).rstrip(" ,"), guests


def side_guests(credit: str) -> tuple[str, list[str]]:
    """Split `Artist ft. Guest` into the artist and the guests."""
    mark = _SIDE_GUESTS.search(credit)
    if mark is None:
        return credit.strip(), []
    return credit[: mark.start()].strip(), [credit[mark.end() :].strip(" )]")]


def artists_of(lines: list[str], is_artist: IsArtist | None) -> tuple[str, ...]:
    """Return the artists of several credits, each once."""
    return tuple(dict.fromkeys(name for line in lines for name in split_credit(line, is_artist)))


def version_of(notes: list[str]) -> str | None:
    """Return the first note that names a version; None without one."""
    versions = (note.strip() for note in notes if VERSION.search(note) and not covered_by(note))
    return next((note for note in versions if len(note.split()) <= 6 and not {",", "/"} & set(note)), None)


def covered_by(note: str) -> str:
    """Return the original artist that a note names, `cover of A` or `A cover`; empty without one.

    >>> covered_by("cover of Ona Vell"), covered_by("Ona Vell cover"), covered_by("acoustic cover")
    ('Ona Vell', 'Ona Vell', '')
    """
    match = _COVER_OF.match(note.strip())
    name = (match.group(1) or match.group(2)).strip() if match is not None else ""
    return name if name and is_name_word(name) and not VERSION.search(name) else ""


def cover_performer(note: str) -> str:
    """Return the performer that a note names, `cover by A`; empty without one.

    >>> cover_performer("Cover by Ona Vell"), cover_performer("acoustic cover")
    ('Ona Vell', '')
    """
    match = _COVER_BY.match(note.strip())
    name = match.group(1).strip() if match is not None else ""
    return name if is_name_word(name) else ""  # "cover by me"


def without_remark(title: str, *, in_sentence: bool = False) -> str:
    """Cut a title in capitals where a sentence in small letters goes on.

    Args:
        title: the title.
        in_sentence: whether words in small letters come before the song as well, so that fewer of them cut it.

    >>> without_remark("So Hot You Melt in a supermarket and had to sit down"), without_remark("Song for the sad")
    ('So Hot You Melt', 'Song for the sad')
    """
    words = title.split()
    run = 0
    for place, word in enumerate(words):
        if in_sentence and run and word in _REMARK_STARTS:
            break
        if is_name_word(word):
            run = place + 1
    rest = words[run:]
    least, most = (1, 2) if in_sentence else (_TITLE_WORDS, _REMARK_WORDS)
    named = run >= least and is_titled(" ".join(words[:run]))
    remark = named and len(rest) >= most and rest[0].casefold() in _REMARK_STARTS
    return " ".join(words[:run]) if remark else title


def performer_in(notes: list[str]) -> str:
    """Return the performer of a cover, named in a note behind the original artist: `Title - Artist (Performer)`.

    >>> performer_in(["2011", "Tor Brisk & the Lamps"]), performer_in(["Tor Brisk Remix"])
    ('Tor Brisk & the Lamps', '')
    """
    return next(filter(_is_performer, notes), "")


def _is_performer(note: str) -> bool:
    name, _ = side_guests(note)
    named = is_titled(name) and len(name.split()) <= 8 and name.casefold() not in {"me", "us", "my band"}
    return named and not (any(map(str.isdigit, name)) or VERSION.search(name) or _NOISE.search(name))


def is_whole_work(title: str) -> bool:
    """Whether a text in a title's place names an album, a set, a film or a picture rather than a song.

    >>> is_whole_work("Tin Harbour EP"), is_whole_work("Live at the Quay"), is_whole_work("Live Wire")
    (True, True, False)
    """
    return _WHOLE_TITLE.search(title) is not None


def is_whole_note(note: str) -> bool:
    """Whether a note names an album or a set: `Free Mixtape`, but not `from the new album`."""
    return (len(note.split()) <= 4 and _WHOLE_NOTE.search(note) is not None) or _MANY.search(note) is not None


def is_part_of_title(note: str) -> bool:
    """Whether brackets in an unquoted title are part of the title rather than a remark.

    >>> is_part_of_title("Not the Moon"), is_part_of_title("my favourite one"), is_part_of_title("The Dunes, 2012")
    (True, False, False)
    """
    words = note.split()
    first = words[0].casefold() if words else ""
    small = {word.casefold().strip(".,'") for word in words} & _OF_TITLES
    if not small or len(words) > 6 or note.endswith(("!", ".")) or any(map(str.isdigit, note)) or is_whole_work(note):
        return False
    return (is_titled(note) and first not in {"from", "off", "taken"}) or (len(words) <= 5 and first in _GOES_ON)


def clean_title(text: str) -> tuple[str, list[str], list[str]]:
    """Split an unquoted title into the bare title, without trailing prose, its notes and its guests."""
    notes: list[str] = []
    text = _FORMAT.sub(" ", text)
    for bracket in list(BRACKETS.finditer(text))[:6]:
        note = bracket.group(1).strip()
        leading = not text[: text.find(bracket.group())].strip()
        noise = bracket.group()[0] == "[" or FEATURING.match(note) or VERSION.search(note) or _NOISE.search(note)
        if not noise and (leading or is_part_of_title(note)):
            continue
        notes.append(note)
        # The title precedes the note; a remark or another note follows.
        text = text.replace(bracket.group(), " " if leading else "\n", 1)
    text = text.partition("\n")[0]
    title, side = side_guests(" ".join(text.split()))
    return _without_prose(title), notes, [*guests_in(notes), *side]


def with_subtitle(title: str, text: str, is_artist: IsArtist | None) -> str:
    """Put back a subtitle in brackets at the end of a text, which `clean_title` took for a remark.

    >>> [with_subtitle("Tin Sea", f"Tin Sea ({note})", None) for note in ("Naive Harbour", "Lamp Records")]
    ['Tin Sea (Naive Harbour)', 'Tin Sea']
    """
    found = _SUBTITLE.match(text.strip())
    if found is None or text[: found.start(1)].strip() != title:
        return title
    note = found.group(2).strip()
    remark = (
        VERSION.search(note) or _NOISE.search(note) or FEATURING.match(note) or covered_by(note) or is_whole_note(note)
    )
    named = is_titled(note) and len(note.split()) <= _LONG_SUBTITLE and not any(map(str.isdigit, note))
    imprint = {word.casefold() for word in note.split()} & _IMPRINTS
    is_name = is_artist is not None and is_artist(note)
    return f"{title} ({note})" if named and not (remark or imprint or is_name or is_whole_work(note)) else title


def clean_credit(text: str) -> tuple[str, list[str]]:
    """Split the second part of `Title - Artist (note), a remark` into the credit and its notes in round brackets."""
    notes = [bracket.group(1).strip() for bracket in BRACKETS.finditer(text) if bracket.group()[0] == "("][:6]
    return _without_prose(" ".join(BRACKETS.sub("\n", text).partition("\n")[0].split())), notes


def _without_prose(title: str) -> str:
    """Cut a title at the end of its sentence: at a full stop, or at a comma before a remark."""
    for mark in _SENTENCE.finditer(title):
        word, stop = mark.group(1) or "", mark.group(2)
        rest = title[mark.end() :]
        if stop and is_abbreviation(word, stop):
            continue
        if mark.group().strip() == "," and not _is_remark(rest, title[: mark.start()]):
            continue
        if stop in {"!", "?"} and is_titled(title):
            continue  # "Panic! At The Disco", "Who? What!"
        return title[: mark.start(2) if stop else mark.start()]
    return title


def _is_remark(text: str, before: str) -> bool:
    if len(text.split()) <= 2 and " " not in before.strip() and not set(text.casefold().split()) & _REMARKS:
        return False  # "Girl, so confusing"
    words = [word for word in text.split() if word.isalpha()]
    small = [word for word in words if word.islower()]
    return text[:1].islower() or (len(words) > 2 and len(small) * 2 > len(words))
