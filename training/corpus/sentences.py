"""Sentences of clean paragraphs: splitting, and the reasons for which a sentence is dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

import sentencex

from training.corpus.cleaning import ARTIST, AUTHOR, LINK, SITE, TITLE, has_stray_quote
from training.corpus.names import count_names

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
_STOP: Final = re.compile(rf"[.!?]([\"')]*) (?=[\"'(]?[A-Z{ARTIST}{TITLE}])")
_LAST_WORD: Final = re.compile(r"([A-Za-z]+)[\"')]*$")

_WORD: Final = re.compile(rf"[^\W_][\w'-]*|[{ARTIST}{TITLE}]")
_NO_LETTER: Final = re.compile(r"[\W\d_]+")
_CAPITAL: Final = re.compile(r"[A-ZÀ-ÖØ-Þ]+")
_MARKUP: Final = re.compile(r"#(?!\d)|[*_`\[\]{}<>|\\^~=@]|&\w+;|\ufffd")
_ODD: Final = re.compile(rf"[^\w\s\"'.,!?;:()&$%/+#–{ARTIST}{TITLE}-]|[^\W\d_a-zA-Z\u00c0-\u017f]")
"""Characters that a plain sentence does not need: marks beyond punctuation, letters beyond the Latin ones."""
_END: Final = re.compile(r"(?<![ ,.'][B-HJ-Z])[.!?][\"')]*$")
"""Stop at the end, but not that of an initial ("D.")."""
_FAVOURITES: Final = re.compile(r"(?<=\w) \((?:\"[^\"()]+\"[,;]?\s?)+\)\.?$")
"""Names of songs alone in brackets at the end of a review's sentence: ("Song," "Another One")."""
_NUMBER_END: Final = re.compile(r"[.)] ?\d{1,2}\.$")
"""Number of a list's next item at the end: "(the first) 04."."""
_GLUED: Final = re.compile(
    rf"[a-z]{{3}}(?!Cloud)[A-Z][a-z]{{2}}|\b[a-z]{{2,}}[A-Z]|[{ARTIST}{TITLE}][^\W_]|\w[{ARTIST}{TITLE}]"
)
"""Words that lost the space between them together with a tag, "followsEmpty Sky"; some names match too."""
_START: Final = re.compile(rf"^[\"'(]*[A-Z0-9À-ÖØ-Þ{ARTIST}{TITLE}]")
_TRAILING: Final = re.compile(r"\.\.[\"')]*$")
_HALF_WAY: Final = re.compile(
    r"\b(?:the|a|an|and|or|but|nor|my|your|our|their|than|because|if|very|whose)[.!?][\"')]*$", re.IGNORECASE
)
_RATING: Final = re.compile(r"\b\d+(?:\.\d+)? ?/ ?(?:5|10|100)\b|\b(?!9/11\b)\d/\d")
_LIST: Final = re.compile(
    r"^(?:[^\s:]+ ){0,6}[^\s:]+: (?:[\"']?[A-Z0-9][^,;]*[,;] ?){2}|^(?:[^\"]*\"[^\"]+\"){4}|(?:;[^;]*){4}"
)
"""Items after a colon, four quoted names, or four semicolons."""
_NAME: Final = re.compile(r"(?!I\b)[A-ZÀ-ÖØ-Þ]")
_NAME_LENGTH: Final = 8
_TRIGGERS: Final = frozenset(
    [
        "above",
        "advertise",
        "advertisement",
        "below",
        "click",
        "comment",
        "comments",
        "cookie",
        "cookies",
        "find",
        "follow",
        "here",
        "join",
        "like",
        "mailing",
        "manufactured",
        "newsletter",
        "photo",
        "photography",
        "photos",
        "posted",
        "press",
        "privacy",
        "published",
        "purchase",
        "read",
        "reply",
        "return",
        "rights",
        "share",
        "sign",
        "subscribe",
    ]
)
"""Words of which boilerplate holds at least one; searching for them is ten times faster than for the phrases."""
_BOILERPLATE: Final = re.compile(
    r"""\b(?:follow|join)\ (?:us|me|them|him|her)\b | \b(?:like|find)\ us\b
    | \bsubscribe\b | \bnewsletter\b | \bmailing\ list\b
    | \bsign\ up\b | \bclick\ (?:here|on|the|to)\b | \bread\ more\b | \bshare\ this\b | \ball\ rights\ reserved\b
    | \bphotos?(?:graphy)?\ (?:by|credit|courtesy)\b | \bphoto\ cred\b | \bcookies?\ (?:policy|settings)\b
    | \bprivacy\ policy\b | \bleave\ a\ (?:comment|reply)\b | \bcomments?\ (?:section|below)\b
    | \badvertise\b | ^advertisement\b | \bmanufactured\ on\ demand\b | \breturn\ policy\b
    | \b(?:below|above)[.!]$ | \b(?:published|posted)\ (?:on|in|by)\b | \bpress\ play\b
    | \b(?:listen|stream|watch|hear|check|see|enjoy|grab|download|buy|look|find|preview)\b.*\b(?:below|here)[.!]$
    | \bpurchase\b.*\b(?:here|link)\b | \b(?:like|follow)\b.*\ on\ (?:facebook|instagram|twitter)\b""",
    re.IGNORECASE | re.VERBOSE,
)

_RELEASE: Final = re.compile(
    r"""\b(?:(?-i:CDs?|LPs?|DVDs?)|discs?|reissue\w*|remaster\w*|edition|reviews?|reviewers?|bought|buy|buying|purchas\w*
    | cop(?:y|ies)|price|shipping|amazon|imports?|liner\ notes|booklet|labels?|box\ sets?|packag\w*|bonus\ tracks?
    | collectors?|recommend\w*)\b""",
    re.IGNORECASE | re.VERBOSE,
)
"""Words of sentences about a release as a product, its price, its parts and its reviews, not about the music."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceLimits:
    """Limits within which a sentence is kept."""

    min_words: int = 6
    """Minimum number of words; blind readers would seldom post a shorter sentence (docs/concepts/corpus.md)."""
    max_words: int = 40
    min_letters: float = 0.7
    """Minimum share of letters among the characters other than spaces."""
    max_capitals: float = 0.4
    """Maximum share of capitals among the letters."""
    max_names: float = 0.45
    """Maximum share of words with a capital, without counting the first word and "I"."""
    max_other_names: int = 1
    """Maximum number of names other than the song's own; a model repeats and mixes up the names that it reads."""

    def __post_init__(self) -> None:
        if not 1 <= self.min_words <= self.max_words:
            raise ValueError(f"words must be 1 <= min <= max, got {self.min_words} and {self.max_words}")
        if self.max_other_names < 0:
            raise ValueError(f"max_other_names must be at least 0, got {self.max_other_names}")


REASONS: Final = (
    "holds a link",
    "names a writer or a site",
    "too short",
    "too long",
    "starts within a sentence",
    "no sentence end",
    "trails off or ends half-way",
    "unbalanced quotes or brackets",
    "leftover markup",
    "odd characters",
    "glued words",
    "few letters",
    "capitals",
    "a list or a rating",
    "mostly names",
    "names others",
    "about the release",
    "boilerplate",
)
"""Reasons for which `reject` drops a sentence, in the order of its checks."""


def reject(sentence: str, limits: SentenceLimits) -> str | None:
    """Return the first of the `REASONS` to drop a sentence; None if it is kept.

    >>> reject("It is loud, and it is very fast.", SentenceLimits())
    >>> reject("so loud", SentenceLimits())
    'too short'
    """
    return next((reason for reason, fails in zip(REASONS, _checks(sentence, limits), strict=True) if fails), None)


def _checks(sentence: str, limits: SentenceLimits) -> Iterator[bool]:
    """Yield whether a sentence fails each check; lazily, because most failures come early."""
    yield LINK in sentence
    yield AUTHOR in sentence or SITE in sentence
    words = _WORD.findall(sentence)
    yield len(words) < limits.min_words
    yield len(words) > limits.max_words
    yield _START.match(sentence) is None
    yield not _END.search(sentence) or bool(_OPEN_END.search(sentence) or _NUMBER_END.search(sentence))
    yield _TRAILING.search(sentence) is not None or _HALF_WAY.search(sentence) is not None
    yield not is_balanced(sentence) or has_stray_quote(sentence)
    yield _MARKUP.search(sentence) is not None
    yield _ODD.search(sentence) is not None
    yield _GLUED.search(sentence) is not None
    letters = _NO_LETTER.sub("", sentence)
    # A placeholder counts as a name of several letters, not as one character.
    names = _NAME_LENGTH * (sentence.count(ARTIST) + sentence.count(TITLE))
    shown = len(sentence.replace(" ", "").replace(ARTIST, "").replace(TITLE, "")) + names
    yield len(letters) + names < limits.min_letters * shown
    capitals = len(letters) - len(_CAPITAL.sub("", letters))
    yield capitals > limits.max_capitals * len(letters)
    yield _LIST.search(sentence) is not None or _RATING.search(sentence) is not None
    yield sum(1 for word in words[1:] if _NAME.match(word)) > limits.max_names * len(words)
    yield count_names(sentence) > limits.max_other_names
    yield _RELEASE.search(sentence) is not None
    yield not _TRIGGERS.isdisjoint(map(str.casefold, words)) and _BOILERPLATE.search(sentence) is not None


def is_balanced(sentence: str) -> bool:
    """Whether double quotes come in pairs without inner spaces, and round brackets close.

    >>> is_balanced('"One" and "two" (three)'), is_balanced('One" and "two')
    (True, False)
    """
    if '"' in sentence:
        pieces = sentence.split('"')
        if len(pieces) % 2 == 0 or any(piece != piece.strip() or not piece for piece in pieces[1::2]):
            return False
    depth = 0
    if "(" in sentence or ")" in sentence:
        for character in sentence:
            depth += (character == "(") - (character == ")")
            if depth < 0:
                return False
    return depth == 0


def split(paragraph: str) -> Iterator[str]:
    """Split a paragraph into sentences; quotes that lost their partner to the split are removed from the ends.

    The library splits fast and well except after titles ("by Dr. Who"), words that are also abbreviations
    ("trust me. It is") and stops inside quotes or brackets; these are corrected here.
    """
    waiting = ""
    pieces = [piece for piece in sentencex.segment("en", paragraph) if piece]
    for piece, following in zip_longest(pieces, pieces[1:], fillvalue=""):
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
        if text.count('"', begin, match.end()) % 2:
            continue  # A quotation of several sentences is not split.
        if match[1] or _ends_a_sentence(text[begin : match.start()]):
            yield text[begin : match.end()].strip()
            begin = match.end()
    yield text[begin:].strip()


def _ends_a_sentence(before_stop: str) -> bool:
    """Whether a stop after this text ends a sentence, though the library took the last word for an abbreviation."""
    last = _LAST_WORD.search(before_stop[-40:])
    word = last[1] if last else ""
    return word == "May" or (len(word) > 1 and word.islower() and word not in _ABBREVIATIONS)


def _trim(sentence: str) -> str:
    """Remove favourite songs in brackets, unpaired quotes and brackets at the ends, and spaces within quotes."""
    if sentence.endswith((")", ").")) and '("' in sentence:
        bare = _FAVOURITES.sub("", sentence)
        sentence = bare if bare == sentence or bare.endswith((".", "!", "?")) else bare + "."
    if sentence.count('"') % 2:
        if sentence.startswith('"'):
            sentence = sentence[1:].lstrip()
        elif sentence.endswith('"'):
            sentence = sentence[:-1].rstrip()
    elif ' "' in sentence or '" ' in sentence:
        # A piece with spaces at both ends lies between two quotes, not in one.
        pieces = sentence.split('"')
        inner = pieces[1::2]
        if not any(piece.startswith(" ") and piece.endswith(" ") for piece in inner):
            pieces[1::2] = [piece.strip() for piece in inner]
            sentence = '"'.join(pieces)
    if sentence.startswith("(") and sentence.endswith(")") and "(" not in sentence[1:]:
        sentence = sentence[1:-1].strip()
    elif sentence.startswith("(") and ")" not in sentence:
        sentence = sentence[1:].lstrip()
    elif sentence.endswith(")") and "(" not in sentence:
        sentence = sentence[:-1].rstrip()
    return sentence.strip(f" {LINK}")
