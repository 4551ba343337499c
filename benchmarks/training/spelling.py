"""Spelling model: the cost in bits of spelling a word that a vocabulary lacks.

A model of words gives an unknown word the probability of the unknown token, which does not identify the word. To
compare vocabularies by bits per character, the spelling is added: p(word) = p(unknown token) p(spelling), where
p(spelling) is an n-gram model of characters with Witten-Bell smoothing (Witten and Bell 1991; Chen and Goodman 1999):

    p(c | h) = (n(hc) + t(h) p(c | h')) / (n(h) + t(h))

n are counts, t(h) is the number of distinct characters after h, and h' is h without its first character. Unigrams back
off to a uniform distribution over Unicode, so every word has a positive probability, and all of them sum to 1.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

_END: Final = "\n"
"""End of a word; no word of a sentence contains it."""
_START: Final = "\r"
"""Start of a word, so that its first characters have a history too."""


class SpellingModel:
    """Character n-gram model of words.

    Args:
        words: words to learn from, repeated as often as they occur.
        order: n, the length of an n-gram.

    Raises:
        ValueError: the order is less than 1.
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
        """Return -log2 p(word), including its end."""
        return -sum(math.log2(self._probability(history, character)) for history, character in self._steps(word))

    def _steps(self, word: str) -> list[tuple[str, str]]:
        """List each character and the end with the characters before it."""
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
