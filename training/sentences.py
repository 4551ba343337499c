"""From clean paragraphs to sentences: names masked, text split, what is no good sentence dropped with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import sentencex

from training.cleaning import ARTIST, AUTHOR, LINK, SITE, TITLE, repair

_FEATURED: Final = re.compile(r"\s*[(\[]?\b(?:ft|feat|featuring|prod)\b\.?\s.*$", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"\s*[(\[][^()\[\]]*[)\]]\s*$")
_JOINED: Final = re.compile(r"\s+(?:&|x|with|vs\.?)\s+|,\s", re.IGNORECASE)
_EDGES: Final = " \t\"'“”‘’:;,.-–—|/"

_ABBREVIATIONS: Final = (
    *(
        "approx",
        "bros",
        "capt",
        "cf",
        "dept",
        "dr",
        "eg",
        "feat",
        "ft",
        "ie",
        "jr",
        "lt",
        "mr",
        "mrs",
        "ms",
        "mt",
        "op",
    ),
    *("orig", "prod", "pt", "rev", "sgt", "st", "vol", "vs"),
)
_OPEN_END: Final = re.compile(rf"(?:^|[\s(\"'])(?:{'|'.join(_ABBREVIATIONS)}|a\.k\.a|e\.g|i\.e)\.$", re.IGNORECASE)
_NUMBERED: Final = re.compile(r"(?:^|\s)(?:No|Nos|Op|Vol|Pt)\.$", re.IGNORECASE)
_STOP: Final = re.compile(rf"([a-z]{{2,}}|\bMay|[.!?])([.!?]?[\"')]*)\s+(?=[\"'(]?[A-Z{ARTIST}{TITLE}])")
"""A word and a stop before a capital: where the splitter sees an abbreviation ("me.") or stays inside quotes."""

_WORD: Final = re.compile(rf"[^\W_][\w'-]*|[{ARTIST}{TITLE}]")
_LETTER: Final = re.compile(r"[^\W\d_]")
_MARKUP: Final = re.compile(r"[*_`#\[\]{}<>|\\^~=@]|&\w+;|\ufffd")
_END: Final = re.compile(r"[.!?][\"')]*$")
_START: Final = re.compile(rf"^[\"'(]*[A-Z0-9À-ÖØ-Þ{ARTIST}{TITLE}]")
_BOILERPLATE: Final = re.compile(
    r"""\b(?:follow|like|find|join)\ (?:us|me|them|him|her)\b | \bsubscribe\b | \bnewsletter\b | \bmailing\ list\b
    | \bsign\ up\b | \bclick\ (?:here|on|the|to)\b | \bread\ more\b | \bshare\ this\b | \ball\ rights\ reserved\b
    | \bphotos?(?:graphy)?\ (?:by|credit|courtesy)\b | \bphoto\ cred\b | \bcookies?\ (?:policy|settings)\b
    | \bprivacy\ policy\b | \bleave\ a\ (?:comment|reply)\b | \bcomments?\ (?:section|below)\b | \badvertis\w+\b
    | \b(?:listen|stream|watch|hear|check|see|enjoy|grab|download|buy|look|find|preview)\b.*\b(?:below|here)[.!]$
    | \b(?:below|above)[.!]$ | \bpublished\ (?:on|in|by)\b | \bposted\ (?:on|in|by)\b | \bpress\ play\b
    | \bpurchase\b.*\b(?:here|link)\b""",
    re.IGNORECASE | re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceLimits:
    """What a sentence must be like to be kept."""

    min_words: int = 4
    max_words: int = 40
    min_letters: float = 0.8
    """Share of letters among the characters that are no spaces."""
    max_capitals: float = 0.4
    """Share of capitals among the letters."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_words <= self.max_words:
            raise ValueError(f"words must be 1 <= min <= max, got {self.min_words} and {self.max_words}")


REASONS: Final = (
    "holds a link",
    "names a writer or a site",
    "boilerplate",
    "leftover markup",
    "too short",
    "too long",
    "starts within a sentence",
    "no sentence end",
    "unbalanced quotes or brackets",
    "few letters",
    "capitals",
)
"""Why `reject` drops a sentence, in the order in which it looks."""


def reject(sentence: str, limits: SentenceLimits) -> str | None:
    """The reason why a sentence is not kept, one of `REASONS`; None if it is.

    >>> reject("It is loud, and it is fast.", SentenceLimits())
    >>> reject("so loud", SentenceLimits())
    'too short'
    """
    num_words = len(_WORD.findall(sentence))
    checks = (
        LINK in sentence,
        AUTHOR in sentence or SITE in sentence,
        _BOILERPLATE.search(sentence) is not None,
        _MARKUP.search(sentence) is not None,
        num_words < limits.min_words,
        num_words > limits.max_words,
        _START.match(sentence) is None,
        _END.search(sentence) is None,
        not is_balanced(sentence),
    )
    for reason, fails in zip(REASONS, checks, strict=False):
        if fails:
            return reason
    letters = _LETTER.findall(sentence)
    placeholders = sentence.count(ARTIST) + sentence.count(TITLE)
    if (len(letters) + placeholders) < limits.min_letters * (len(sentence) - sentence.count(" ")):
        return "few letters"
    if sum(map(str.isupper, letters)) > limits.max_capitals * len(letters):
        return "capitals"
    return None


def is_balanced(sentence: str) -> bool:
    """Whether double quotes come in pairs and round brackets close."""
    depth = 0
    for character in sentence:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0 and sentence.count('"') % 2 == 0


def split(paragraph: str) -> Iterator[str]:
    """Split a paragraph into sentences; quotes that lost their partner to the split are taken off the ends.

    The library splits fast and well but for names behind a title ("by Dr. Who"), words that are also abbreviations
    ("trust me. It is") and ends inside quotes or brackets; these are put right here.
    """
    waiting = ""
    pieces = [piece for piece in sentencex.segment("en", paragraph) if piece]
    for piece, following in zip(pieces, [*pieces[1:], ""], strict=True):
        waiting += piece
        start = waiting.strip()
        numbered = following[:1].isdigit() and _NUMBERED.search(start)
        if following and (numbered or _OPEN_END.search(start)):
            continue
        for sentence in _split_stops(start):
            if trimmed := _trim(sentence):
                yield trimmed
        waiting = ""


def _split_stops(text: str) -> Iterator[str]:
    begin = 0
    for match in _STOP.finditer(text):
        word, stop = match.groups()
        closed = word in ".!?" and stop[:1] in {'"', "'", ")"}
        if closed or (stop.startswith(".") and word not in _ABBREVIATIONS):
            yield text[begin : match.end()].strip()
            begin = match.end()
    yield text[begin:].strip()


def _trim(sentence: str) -> str:
    """Take off a quote or bracket that opens or closes outside the sentence."""
    if sentence.count('"') % 2:
        if sentence.startswith('"'):
            sentence = sentence[1:].lstrip()
        elif sentence.endswith('"'):
            sentence = sentence[:-1].rstrip()
    if sentence.startswith("(") and sentence.endswith(")") and "(" not in sentence[1:]:
        sentence = sentence[1:-1].strip()
    elif sentence.startswith("(") and ")" not in sentence:
        sentence = sentence[1:].lstrip()
    elif sentence.endswith(")") and "(" not in sentence:
        sentence = sentence[:-1].rstrip()
    return sentence.strip(f" {LINK}")


class Masker:
    """Puts placeholders where a song's artist and title are named."""

    def __init__(self, artist: str | None, title: str | None) -> None:
        artists, titles = _artist_forms(artist or ""), _title_forms(title or "")
        quoted = "|".join(re.escape(form) for form in titles)
        self._quoted = re.compile(rf"(?<=[\"'])(?:{quoted})(?=[,.!?]?[\"'])", re.IGNORECASE) if titles else None
        self._artist = _pattern(artists, anywhere=True)
        self._title = _pattern(tuple(form for form in titles if form not in artists), anywhere=False)

    def __call__(self, text: str) -> str:
        """Mask a text. A title in quotes is the title even if the artist has the same name."""
        if self._quoted:
            text = self._quoted.sub(TITLE, text)
        if self._artist:
            text = self._artist.sub(ARTIST, text)
        return self._title.sub(TITLE, text) if self._title else text


@lru_cache(maxsize=256)
def masker(artist: str | None, title: str | None) -> Masker:
    """The masker of a song, kept for the posts that follow about the same song."""
    return Masker(artist, title)


def _artist_forms(artist: str) -> tuple[str, ...]:
    """A name as texts write it: whole, without guests, without partners, without "The"; longest first."""
    whole = _flat(artist)
    alone = _FEATURED.sub("", whole)
    forms = [whole, alone, *_JOINED.split(alone)[:1]]
    forms += [form[4:] for form in forms if form.casefold().startswith("the ")]
    return _distinct(forms)


def _title_forms(title: str) -> tuple[str, ...]:
    whole = _flat(title)
    alone = _FEATURED.sub("", whole)
    bare = _BRACKETS.sub("", alone)
    return _distinct([whole, alone, bare, *bare.split(" - ")[:1]])


def _flat(name: str) -> str:
    return " ".join(repair(name).split()).strip(_EDGES)


def _distinct(forms: list[str]) -> tuple[str, ...]:
    stripped = (form.strip(_EDGES) for form in forms)
    return tuple(sorted({form for form in stripped if len(form) > 1}, key=lambda form: (-len(form), form)))


def _pattern(forms: tuple[str, ...], *, anywhere: bool) -> re.Pattern[str] | None:
    """A pattern for names outside quotes.

    Names of several words are found in any case. One word is found only as it is spelt (or in capitals), and a title
    of one word only within a sentence: at its start, "Home" is too often just a home.
    """
    options = []
    for form in forms:
        escaped = re.escape(form).replace(r"\ ", r"\s+")
        if " " in form and len(form) >= 7:
            options.append(f"(?i:{escaped})")
        elif form != form.casefold() or (anywhere and not form.isalpha()):
            before = "" if anywhere else r"(?<=[a-z,] )"
            options.append(f"{before}(?:{escaped}|{re.escape(form.upper())})")
    return re.compile(rf"(?<!\w)(?:{'|'.join(options)})(?!\w)") if options else None
