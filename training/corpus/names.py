"""Names in a sentence other than those of its own song, which placeholders have replaced."""

from __future__ import annotations

import re
from typing import Final

from foundation.text_ngrams import FIRST_PERSON
from training.corpus.cleaning import ARTIST, TITLE

_WORD_OR_MARK: Final = re.compile(rf"[{ARTIST}{TITLE}]|[^\W\d_][\w'’-]*|\d[\d.,:']*|\S")
_WITHIN_NAMES: Final = frozenset(["of", "the", "and", "&", "-", "'"])
"""Words and marks that a name may contain: "Bram Orva & the Lanterns" is one name."""
_OPENING_MARKS: Final = frozenset('"(')
_ENDS: Final = frozenset(".!?:")


def count_names(sentence: str) -> int:
    """Count runs of words with a capital, other than "I" and the words that start a sentence, a quotation or brackets.

    >>> count_names("Produced by Ada Tolk, it owes a lot to Bram Orva & the Lanterns."), count_names("It rains.")
    (2, 0)
    """
    count, in_name, starts = 0, False, True
    for token in _WORD_OR_MARK.findall(sentence):
        is_name = token[0].isupper() and token not in FIRST_PERSON and not starts
        count += is_name and not in_name
        in_name = is_name or (in_name and token in _WITHIN_NAMES)
        starts = token in _ENDS or token in _OPENING_MARKS
    return count
