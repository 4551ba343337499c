"""What it costs to spell a word that a vocabulary does not have.

A model of words gives an unknown word the probability of its unknown mark, which says nothing about which word it was.
To compare vocabularies by bits per character, the rest has to be paid for: p(word) = p(unknown mark) p(spelling), the
spelling by an n-gram model of characters with Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman 1999):

    p(c | h) = (n(hc) + t(h) p(c | h')) / (n(h) + t(h))

n counts, t(h) the different characters after h, h' is h without its first character. Below one character's frequencies
all of Unicode is equally likely, so any word has a probability, and those of all words add up to 1.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

_END: Final = "\n"
"""Ends a word; no word of a sentence holds it."""
_START: Final = "\r"
"""Stands before a word, so that its first characters have a history too."""


class SpellingModel:
    """Probabilities of words by their characters.

    Args:
        words: to learn from, those seen twice given twice.
        order: characters of an n-gram.

    Raises:
        ValueError: an order that there cannot be.
    """

    def __init__(self, words: Iterable[str], *, order: int = 6) -> None:
        if order < 1:
            raise ValueError(f"order must be at least 1, got {order}")
        self._order = order
        self._next: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for word, count in Counter(words).items():
            for history, character in self._steps(word):
                for start in range(len(history) + 1):
                    self._next[history[start:]][character] += count
        self._totals = {history: counts.total() for history, counts in self._next.items()}

    def bits(self, word: str) -> float:
        """-log2 p(word), its end counted."""
        return -sum(math.log2(self._probability(history, character)) for history, character in self._steps(word))

    def _steps(self, word: str) -> list[tuple[str, str]]:
        """Each character and the end mark, with the characters before it."""
        text = _START + word + _END
        return [(text[max(0, end - self._order + 1) : end], text[end]) for end in range(1, len(text))]

    def _probability(self, history: str, character: str) -> float:
        probability = 1 / (sys.maxunicode + 1)
        for start in range(len(history), -1, -1):
            counts = self._next.get(history[start:])
            if counts is None:
                break
            kinds = len(counts)
            total = self._totals[history[start:]] + kinds
            probability = (counts[character] + kinds * probability) / total
        return probability
