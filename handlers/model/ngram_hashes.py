"""Sets of word n-grams that fit into an archive: a hash of 32 bits (4 bytes) for each n-gram.

With a million n-grams, one unknown n-gram in four thousand is taken for a known one. Case, punctuation and the kind of
apostrophe are ignored, since the words are those of `foundation.text_ngrams`.

Shapes: D texts, L words of all texts, G n-grams of all texts, N n-grams of a set.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.text_ngrams import words

START: Final = "<start>"
"""Mark before the first word of a sentence; no text holds it as a word."""
END: Final = "<end>"
"""Mark after the last word of a sentence."""

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_UPPER: Final = np.uint64(32)
_TEXTS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedTexts:
    """Words of some texts as 64-bit hashes."""

    flat_L: NDArray[np.uint64]
    lengths_D: NDArray[np.int64]
    """Number of words of each text."""

    def ngrams(self, size: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return each n-gram's hash and the index of its text, [G] each."""
        text_L = np.repeat(np.arange(len(self.lengths_D)), self.lengths_D)
        left_L = np.repeat(self.lengths_D.cumsum(), self.lengths_D) - np.arange(len(self.flat_L))
        start_G = (left_L >= size).nonzero()[0]
        hashes_G = np.zeros(len(start_G), dtype=np.uint64)
        for offset in range(size):
            hashes_G = (hashes_G ^ self.flat_L[start_G + offset]) * _MULTIPLIER
        # The upper half is mixed better.
        return (hashes_G >> _UPPER).astype(np.uint32).view(np.int32), text_L[start_G]


@dataclass(frozen=True, slots=True)
class WordHasher:
    """Hasher of words that remembers their hashes, which are the same in every process."""

    marks: bool = False
    """Whether the start and the end of a text count as words."""
    min_words: int = 0
    """Number of words to which a shorter text is padded with marks of its end, unless it is empty."""
    _known: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def hashed(self, texts: Sequence[str]) -> HashedTexts:
        """Return the hashes of the words of some texts."""
        if len(self._known) > _TEXTS_AT_ONCE:
            self._known.clear()
        numbers = [[self._number(word) for word in self._words(text)] for text in texts]
        return HashedTexts(
            flat_L=np.array([number for each in numbers for number in each], dtype=np.uint64),
            lengths_D=np.array([len(each) for each in numbers], dtype=np.int64),
        )

    def _words(self, text: str) -> list[str]:
        found = words(text)
        if self.marks:
            return [START, *found, END]
        return found + [END] * (self.min_words - len(found)) if found else found

    def _number(self, word: str) -> int:
        number = self._known.get(word)
        if number is None:
            digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
            number = self._known[word] = int.from_bytes(digest, "little")
        return number


def ngram_sets(texts: Iterable[str], sizes: Sequence[int], *, marks: bool = False, min_words: int = 0) -> list[Tensor]:
    """Return the set of the texts' n-grams of each size: distinct hashes in ascending order, int32 [N].

    Args:
        texts: sentences whose n-grams are collected.
        sizes: sizes of the n-grams.
        marks: whether the start and the end of a text count as words.
        min_words: number of words to which a shorter text is padded, see `WordHasher`.
    """
    hasher = WordHasher(marks, min_words)
    parts: list[list[NDArray[np.int32]]] = [[np.zeros(0, dtype=np.int32)] for _ in sizes]
    remaining = iter(texts)
    while some := list(itertools.islice(remaining, _TEXTS_AT_ONCE)):
        hashed = hasher.hashed(some)
        for part, size in zip(parts, sizes, strict=True):
            part.append(np.unique(hashed.ngrams(size)[0]))
    return [torch.from_numpy(np.unique(np.concatenate(part))) for part in parts]


def check_set(hashes_N: Tensor) -> None:
    """Check that hashes can be searched.

    Raises:
        ValueError: they are not 1-d int32, or not in ascending order, each once.
    """
    if hashes_N.dtype != torch.int32 or hashes_N.dim() != 1:
        raise ValueError(f"hashes must be 1-d torch.int32, got {hashes_N.dim()}-d {hashes_N.dtype}")
    if bool((hashes_N[1:] <= hashes_N[:-1]).any()):
        raise ValueError("hashes must be in ascending order, each once")


def held(hashes_N: Tensor, asked_G: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return which of some hashes a set holds, [G]."""
    set_N = hashes_N.numpy()
    if not len(set_N):
        return np.zeros(len(asked_G), dtype=bool)
    place_G = set_N.searchsorted(asked_G)
    place_G[place_G == len(set_N)] = 0
    found_G: NDArray[np.bool_] = set_N[place_G] == asked_G
    return found_G
