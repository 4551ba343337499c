"""Copying from the training split: copied n-grams, the longest of them, and whole sentences.

Shapes: N texts, L words in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.words import BoolArray, Encoded, IntArray

SIZES = (4, 8)
"""Lengths of the n-grams that are reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Copied parts of each text, [N] each."""

    exact: BoolArray
    """Whether the whole text is a training sentence, without regard to case and punctuation."""
    longest: IntArray
    """Words of the longest n-gram that a training sentence holds."""
    copied: dict[int, IntArray]
    """Number of n-grams that a training sentence holds, by length."""
    total: dict[int, IntArray]
    """Number of all n-grams, by length."""

    def part(self, start: int, end: int) -> Copies:
        """Return the copies of some consecutive texts."""
        return Copies(
            exact=self.exact[start:end],
            longest=self.longest[start:end],
            copied={size: counts[start:end] for size, counts in self.copied.items()},
            total={size: counts[start:end] for size, counts in self.total.items()},
        )


def find_copies(train: Encoded, texts: Encoded) -> Copies:
    """Look up every n-gram, but a longer one only if both shorter ones in it were found."""
    size_N = len(texts.lengths_N)
    text_L = texts.text_indices
    longest = np.zeros(size_N, dtype=np.int64)
    copied, total = {}, {}
    # Whether the n-gram that starts at a word was found; the empty ones count as found.
    found_L = np.ones(len(texts.flat_L) + 1, dtype=np.bool_)
    size = 0
    while found_L.any():
        size += 1
        hashes, starts = texts.grams(size)
        possible = found_L[starts] & found_L[starts + 1] if size > 1 else np.ones(len(starts), dtype=np.bool_)
        starts = starts[possible]
        hit = _members(hashes[possible], train.grams(size)[0])
        found_L = np.zeros_like(found_L)
        found_L[starts[hit]] = True
        longest[text_L[starts[hit]]] = size
        if size in SIZES:
            copied[size] = np.bincount(text_L[starts[hit]], minlength=size_N)
    for each in SIZES:
        total[each] = np.maximum(texts.lengths_N - each + 1, 0)
        copied.setdefault(each, np.zeros(size_N, dtype=np.int64))
    return Copies(exact=_whole(train, texts), longest=longest, copied=copied, total=total)


def _members(wanted: NDArray[np.uint64], table: NDArray[np.uint64]) -> BoolArray:
    """Whether each of some hashes is in a larger table, which is not sorted."""
    kinds, kind = np.unique(wanted, return_inverse=True)
    if not len(kinds) or not len(table):
        return np.zeros(len(wanted), dtype=np.bool_)
    at = np.minimum(np.searchsorted(kinds, table), len(kinds) - 1)
    present = np.zeros(len(kinds), dtype=np.bool_)
    present[at[kinds[at] == table]] = True
    return present[kind]


def _whole(train: Encoded, texts: Encoded) -> BoolArray:
    known = set(_sentences(train))
    return np.fromiter((sentence in known for sentence in _sentences(texts)), np.bool_, len(texts.lengths_N))


def _sentences(encoded: Encoded) -> list[bytes]:
    ends = np.cumsum(encoded.lengths_N) * encoded.flat_L.itemsize
    flat = encoded.flat_L.tobytes()
    return [flat[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
