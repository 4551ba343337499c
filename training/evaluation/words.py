"""Texts as numbers of words, for metrics that count n-grams.

All metrics of words agree on what a word is: case folded, with what stands inside it (don't, lo-fi), numbers and
placeholders whole, punctuation left out. The original's samples have neither case nor punctuation; what ours do with
theirs is judged by metrics of its own (`training.evaluation.surface`).

Shapes: N texts, L words in all of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from foundation.text_ngrams import WORD_PATTERN, words

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_WORD_OR_SIGN: Final = re.compile(WORD_PATTERN + r"|\S")
# Odd, and of no short cycle modulo 2^64: two n-grams of millions share a hash with a chance of about 1e-7.
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)


def words_and_signs(text: str) -> list[str]:
    """The words of a text with their case, and every other sign by itself.

    >>> words_and_signs("So <title>, (don't)!")
    ['So', '<title>', ',', '(', "don't", ')', '!']
    """
    return _WORD_OR_SIGN.findall(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Some texts as word numbers, one text after the other."""

    flat_L: IntArray
    lengths_N: IntArray

    @property
    def text_L(self) -> IntArray:  # noqa: N802 - the shape suffix of the module's legend
        """Which text each word is of."""
        return np.repeat(np.arange(len(self.lengths_N)), self.lengths_N)

    def grams(self, size: int) -> tuple[NDArray[np.uint64], IntArray]:
        """Every n-gram within a text: its hash and the position of its first word, in order."""
        starts = self.starts(size)
        hashes = np.zeros(len(starts), dtype=np.uint64)
        flat = self.flat_L.astype(np.uint64)
        for offset in range(size):
            hashes = (hashes * _MULTIPLIER) ^ ((flat[starts + offset] + np.uint64(1)) * _MIX)
        return hashes, starts

    def starts(self, size: int) -> IntArray:
        """Positions at which a text has at least `size` words left."""
        ends_N = np.cumsum(self.lengths_N)
        left_L = np.repeat(ends_N, self.lengths_N) - np.arange(len(self.flat_L))
        return np.flatnonzero(left_L >= size)

    def take(self, indices: IntArray) -> Encoded:
        """Some of the texts, in the order of the indices."""
        begins_N = np.concatenate(([0], np.cumsum(self.lengths_N)[:-1])) if len(self.lengths_N) else self.lengths_N
        lengths = self.lengths_N[indices]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Encoded(flat_L=self.flat_L[np.repeat(begins_N[indices], lengths) + offsets], lengths_N=lengths)


@dataclass(slots=True)
class WordTable:
    """Numbers for words, given as they come."""

    ids: dict[str, int] = field(default_factory=dict)
    split: Callable[[str], list[str]] = words

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Texts as numbers; a word that has none gets the next."""
        ids = self.ids
        rows = [[ids.setdefault(word, len(ids)) for word in self.split(text)] for text in texts]
        return Encoded(
            flat_L=np.fromiter((number for row in rows for number in row), np.int64, sum(map(len, rows))),
            lengths_N=np.fromiter(map(len, rows), np.int64, len(rows)),
        )
