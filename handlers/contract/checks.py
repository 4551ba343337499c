"""Checks of a request's values by type, range and length; each names the field at fault."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Any, Final

from handlers.contract.errors import invalid, shown
from handlers.contract.limits import MAX_BAD_WORDS, MAX_TEXT_LENGTH, RANGES

_SINGLE_WORD: Final = re.compile(r"[\w'’\-]+")
"""A word as `handlers.decoding.constraints.word_repeats` splits words."""


def as_tuple(name: str, value: object) -> tuple[Any, ...]:
    """Return the items of a list."""
    if not isinstance(value, list | tuple):
        raise invalid(name, f"must be a list of strings, got {type(value).__name__}")
    return tuple(value)


def make_tuple(of: object, name: str) -> None:
    """Replace a list by a tuple, which cannot change behind the checks."""
    if isinstance(values := getattr(of, name), list):
        object.__setattr__(of, name, tuple(values))


def check_texts(name: str, values: object, maximum: int, what: str) -> None:
    """Refuse anything but a tuple of texts that are not too many."""
    if not isinstance(values, tuple):
        raise invalid(name, f"must be a list of strings, got {type(values).__name__}")
    if len(values) > maximum:
        raise invalid(name, f"must hold at most {maximum} {what}, got {len(values)}")
    for value in values:
        if value is None:
            raise invalid(name, "must hold strings, got NoneType")
        check_text(name, value)


def check_bad_words(bad_words: Iterable[str]) -> None:
    """Refuse anything but single words."""
    check_texts("bad_words", bad_words, MAX_BAD_WORDS, "words")
    for word in bad_words:
        # Composed, as in the corpus: a separate combining mark would split the word.
        if not _SINGLE_WORD.fullmatch(unicodedata.normalize("NFC", word)):
            raise invalid(
                "bad_words", f"must hold single words (letters, digits, apostrophes and hyphens), got {shown(word)!r}"
            )


def check_text(name: str, value: object) -> None:
    """Refuse anything but None or a short text that every terminal can show."""
    if value is None:
        return
    if not isinstance(value, str):
        raise invalid(name, f"must be a string, got {type(value).__name__}")
    if len(value) > MAX_TEXT_LENGTH:
        raise invalid(name, f"must have at most {MAX_TEXT_LENGTH} characters, got {len(value)}")
    # Control characters (Cc) would garble a terminal or a log, surrogates (Cs) cannot be written as UTF-8.
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise invalid(name, "must not hold control characters or lone surrogates")


def check_int(name: str, value: object) -> None:
    """Refuse anything but an integer within the range of that field."""
    low, high = RANGES[name]
    # bool is an int in Python, but true is not a count.
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(name, f"must be an integer, got {type(value).__name__}")
    if not low <= value <= high:
        raise invalid(name, f"must be between {low} and {high}, got {shown(value)}")


def check_float(name: str, value: object) -> None:
    """Refuse anything but a number within the range of that field."""
    low, high = RANGES[name]
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise invalid(name, f"must be a number, got {type(value).__name__}")
    # NaN compares false with everything, so it is refused like any value out of range.
    if not low <= value <= high:
        raise invalid(name, f"must be between {low:g} and {high:g}, got {shown(value)}")
