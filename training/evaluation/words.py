"""Texts encoded as word numbers, for metrics that count n-grams.

All metrics of words have the same words: case folded, with inner marks (don't, lo-fi), numbers and placeholders whole,
punctuation left out. The original's samples have neither case nor punctuation, so those are measured by other metrics
(`training.evaluation.surface`).

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
# Odd, and without a short cycle modulo 2^64: two of millions of n-grams share a hash with a probability of about 1e-7.
_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX: Final = np.uint64(0xBF58476D1CE4E5B9)


def words_and_signs(text: str) -> list[str]:
    """Split a text into words, with their case, and other signs.

    >>> words_and_signs("So <title>, (don't)!")
    ['So', '<title>', ',', '(', "don't", ')', '!']
    """
    return _WORD_OR_SIGN.findall(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Texts as word numbers, concatenated."""

    flat_L: IntArray
    lengths_N: IntArray

    @property
    def text_indices(self) -> IntArray:
        """Index of each word's text, [L]."""
        return np.repeat(np.arange(len(self.lengths_N)), self.lengths_N)

    def grams(self, size: int) -> tuple[NDArray[np.uint64], IntArray]:
        """Return the hash and the first position of each n-gram within a text, in order."""
        starts = self.starts(size)
        hashes = np.zeros(len(starts), dtype=np.uint64)
        flat = self.flat_L.astype(np.uint64)
        for offset in range(size):
            hashes = (hashes * _MULTIPLIER) ^ ((flat[starts + offset] + np.uint64(1)) * _MIX)
        return hashes, starts

    def starts(self, size: int) -> IntArray:
        """Return the positions from which a text has at least `size` words."""
        ends_N = np.cumsum(self.lengths_N)
        left_L = np.repeat(ends_N, self.lengths_N) - np.arange(len(self.flat_L))
        return np.flatnonzero(left_L >= size)

    def take(self, indices: IntArray) -> Encoded:
        """Return the texts of some indices, in their order."""
        begins_N = np.concatenate(([0], np.cumsum(self.lengths_N)[:-1])) if len(self.lengths_N) else self.lengths_N
        lengths = self.lengths_N[indices]
        offsets = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return Encoded(flat_L=self.flat_L[np.repeat(begins_N[indices], lengths) + offsets], lengths_N=lengths)


@dataclass(slots=True)
class WordTable:
    """Table of word numbers, in order of first occurrence."""

    ids: dict[str, int] = field(default_factory=dict)
    split: Callable[[str], list[str]] = words

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Encode texts; a new word gets the next number."""
        ids = self.ids
        rows = [[ids.setdefault(word, len(ids)) for word in self.split(text)] for text in texts]
        return Encoded(
            flat_L=np.fromiter((number for row in rows for number in row), np.int64, sum(map(len, rows))),
            lengths_N=np.fromiter(map(len, rows), np.int64, len(rows)),
        )
