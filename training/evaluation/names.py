"""Loops of names: a name more than once in a sentence, and lists of names."""

from __future__ import annotations

import re
from typing import Final

from foundation.text_ngrams import FIRST_PERSON

_NAME: Final = r"[A-Z][\w'’.\-]*(?: (?:(?:of|the|and the|de|van) )?[A-Z][\w'’.\-]*)*"
_LIST: Final = re.compile(rf"{_NAME}(?:,? (?:and|&|or) {_NAME}|, {_NAME}){{2,}}")
_WORD: Final = re.compile(r"[^\W\d_][\w'’\-]*")
_OPENS: Final = re.compile(r"(?:^|[.!?…:] )[\"“'‘(\[]*$")
_NO_NAMES: Final = FIRST_PERSON | {"A", "The", "An"}
"""Words with a capital that are not names wherever they stand; titles begin with an article."""


def names(text: str) -> list[str]:
    """Return the words with a capital that do not open a sentence; initials, "I" and articles left out.

    >>> names("The Smiths and The Cure: Robert’s “Friday” is what I'd play. It is so Robert's.")
    ['Smiths', 'Cure', 'Friday', "Robert's"]
    """
    found = []
    for match in _WORD.finditer(text):
        word = match[0].replace("’", "'")
        if len(word) > 1 and word[0].isupper() and word not in _NO_NAMES and not _OPENS.search(text[: match.start()]):
            found.append(word)
    return found


def repeats_name(text: str) -> bool:
    """Whether a word with a capital that is a name stands in a text twice, a possessive ending aside.

    >>> repeats_name("A duet of Diana Ross and Diana Krall."), repeats_name("The Beat of The Beat's drum.")
    (True, True)
    >>> repeats_name("The bass of The Smiths and The Cure.")
    False
    """
    bare = [name.removesuffix("'s") for name in names(text)]
    return len(set(bare)) < len(bare)


def lists_names(text: str) -> bool:
    """Whether at least three names follow each other in a list.

    >>> lists_names("It is for fans of Slint, Low and The Cure."), lists_names("Slint and Low are loud.")
    (True, False)
    """
    return _LIST.search(text) is not None
