"""English words: a dictionary, corrections, and splitting of words that lost the space between them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from spellchecker import SpellChecker

WORD: Final = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")

_GLUABLE: Final = re.compile(r"(?<![\w'])(?:[a-z]{4,}|[a-z]+[A-Z][a-z]*|[A-Z][a-z]{4,})(?!\w)")
_SEAM: Final = re.compile(r"([a-z]+)([A-Z][a-z]*)")
_FIRST: Final = frozenset(
    [
        *("a", "and", "are", "as", "at", "but", "by", "for", "from", "if", "in", "is", "like", "of", "on", "or"),
        *("than", "that", "the", "their", "this", "to", "was", "when", "which", "while", "with"),
    ]
)
"""Short words that are glued to a title after them: "onPainful" was "on <i>Painful</i>"."""
_PARTS_FIRST: Final = ("from", "that", "this", "which", "with", "the", "and", "for", "was", "of", "to")
"""Words that may open a glued word in lower case; "in" and "on" open too many real ones."""
_PARTS_LAST: Final = (
    *("which", "with", "from", "that", "this", "were", "will", "the", "and", "for", "was", "are", "has", "but", "of"),
)
_AFTER_TITLE: Final = ("features", "sounds", "seems", "finds", "which", "with", "from", "were", "will", "was")
"""Words that a name may have been glued to; too many names end in "is", "and" or "the"."""
_OPENERS: Final = frozenset(
    [
        *("A", "All", "And", "As", "But", "He", "His", "I", "If", "In", "It", "Its", "My", "Not", "On", "She", "So"),
        *("The", "Then", "There", "These", "They", "This", "To", "We", "What", "When", "With", "You"),
    ]
)
"""Words that start a sentence or a title; a longer word glued to one of them is not split."""
_MIN_REST: Final = 4
_MIN_CORRECTED: Final = 6
"""Minimum letters of a word that may be corrected; shorter words are near too many others."""
_COMMON: Final = 2000
"""Minimum count of a correction in the dictionary's sources, which hold about a billion words."""
_CLEARLY: Final = 50
"""Minimum ratio of a correction's frequency to that of the next candidate."""


@lru_cache(maxsize=1)
def _speller() -> SpellChecker:
    return SpellChecker(distance=1)


@lru_cache(maxsize=1 << 16)
def is_known(word: str) -> bool:
    """Whether the dictionary has a word, in any case, with or without a possessive "'s".

    >>> is_known("Guitar's"), is_known("guitra")
    (True, False)
    """
    folded = word.casefold().removesuffix("'s")
    return folded in _speller()


def known_words() -> list[str]:
    """Words of the dictionary, in lower case, in alphabetical order."""
    return sorted(_speller().word_frequency.words())


def is_common(word: str) -> bool:
    """Whether the dictionary has a word, in any case, with a high count.

    >>> is_common("GREAT"), is_common("Abba")
    (True, False)
    """
    return _speller().word_frequency[word.casefold()] >= _COMMON


def unknown_words(text: str) -> set[str]:
    """Words in lower case that the dictionary lacks: slang, terms and coinages, but mostly misspellings.

    >>> sorted(unknown_words("A definately loud shoegaze Xylox."))
    ['definately', 'shoegaze']
    """
    found = WORD.findall(text)
    return {word for word in found if word[0].islower() and len(word) > 1 and not is_known(word)}


def split_glued(text: str) -> str:
    """Put a space into words that lost it together with a tag.

    A word is split only if one part is a short common word and the other is known or has a capital.

    >>> split_glued("The leap onPainful, theirnoise and the albumwith Changewas a leap.")
    'The leap on Painful, theirnoise and the album with Change was a leap.'
    """
    return _GLUABLE.sub(lambda match: _split(match[0]), text)


@lru_cache(maxsize=1 << 16)
def _split(word: str) -> str:
    if is_known(word):
        return word
    seam = _SEAM.fullmatch(word)
    if seam:
        first, rest = seam.groups()
        if first in _FIRST or (len(first) >= _MIN_REST and is_known(first) and rest not in _OPENERS):
            return f"{first} {_split(rest)}"
        return word
    if word[0].islower():
        for first in _PARTS_FIRST:
            rest = word.removeprefix(first)
            if rest != word and len(rest) >= _MIN_REST - 1 and is_known(rest):
                return f"{first} {rest}"
    for last in _PARTS_LAST if word[0].islower() else _AFTER_TITLE:
        rest = word.removesuffix(last)
        if rest != word and len(rest) >= _MIN_REST and is_known(rest):
            return f"{rest} {last}"
    return word


@lru_cache(maxsize=1 << 16)
def correction(word: str) -> str | None:
    """Return the only common word at edit distance 1 from a word in lower case; None without one, or with a choice.

    >>> correction("definately"), correction("popcraft"), correction("xbxyx")
    ('definitely', None, None)
    """
    if len(word) < _MIN_CORRECTED:
        return None
    speller = _speller()
    near = [other for other in speller.known(speller.edit_distance_1(word)) if other[0] == word[0]]
    common = sorted(near, key=lambda other: -speller.word_frequency[other])
    if not common or speller.word_frequency[common[0]] < _COMMON:
        return None
    clear = len(common) == 1 or speller.word_frequency[common[0]] > _CLEARLY * speller.word_frequency[common[1]]
    return common[0] if clear else None
