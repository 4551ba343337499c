"""Visible faults of texts: unknown marks, repeats, open quotes, cut ends.

Shapes: N texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from training.evaluation.words import FloatArray

_UNKNOWN: Final = re.compile(r"<unk>|\bUNK\b")
# Only space between the two: "very, very" is a figure of speech.
_REPEAT: Final = re.compile(r"(?<![\w'’\-])([\w'’\-]+) +\1(?![\w'’\-])", re.IGNORECASE)
_END: Final = re.compile(r"[.!?…][\"'”’)\]*]*$")
_PAIRS: Final = (("“", "”"), ("(", ")"), ("[", "]"))


def has_unknown(text: str) -> bool:
    """Whether a text shows a model's mark of an unknown word."""
    return _UNKNOWN.search(text) is not None


def has_repeat(text: str) -> bool:
    """Whether a word is repeated at once.

    >>> has_repeat("It is the the best."), has_repeat("It is very, very good."), has_repeat("That that's so.")
    (True, False, False)
    """
    return _REPEAT.search(text) is not None


def is_unbalanced(text: str) -> bool:
    """Whether a quote or bracket is opened and not closed, or closed and not opened.

    >>> is_unbalanced('the "best'), is_unbalanced('the "best" (so far)'), is_unbalanced("a) first")
    (True, False, True)
    """
    if text.count('"') % 2:
        return True
    for opening, closing in _PAIRS:
        depth = 0
        for character in text:
            depth += (character == opening) - (character == closing)
            if depth < 0:
                return True
        if depth:
            return True
    return False


def is_half(text: str) -> bool:
    """Whether a text lacks the end of its sentence.

    >>> is_half("It is warm."), is_half('She sings "go!"'), is_half("It is"), is_half("")
    (False, False, True, True)
    """
    return _END.search(text.rstrip()) is None


CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "unk": has_unknown,
    "repeats": has_repeat,
    "unbalanced": is_unbalanced,
    "half": is_half,
    "broken": lambda text: is_unbalanced(text) or is_half(text),
}
"""Checks by name of the report's column."""


def check(texts: Sequence[str]) -> dict[str, FloatArray]:
    """Check every text; returns, for each check, 1 for a fault: name -> [N]."""
    return {name: np.fromiter(map(fault, texts), np.float64, len(texts)) for name, fault in CHECKS.items()}
