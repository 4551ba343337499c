"""Detection of copied text: n-grams of a text that a training sentence contains, by a table that fits into an archive.

Eight equal words in a row are rarely chance: of the 8-grams in unseen posts, one in a hundred occurs in another post.
The table stores a hash of 32 bits (4 bytes) for each n-gram. With a million of them, one unknown n-gram in four
thousand is taken for a known one.

Shapes: D texts, L words of all texts, G n-grams of all texts, N n-grams of the table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foundation.text_ngrams import COPY_SIZE, words

_MULTIPLIER: Final = np.uint64(0x9E3779B97F4A7C15)
_UPPER: Final = np.uint64(32)
_TEXTS_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTable:
    """Set of the n-grams of some sentences; case, punctuation and the kind of apostrophe are ignored.

    Attributes:
        hashes_N: distinct hashes in ascending order, int32.
    """

    hashes_N: Tensor
    _known: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Cache of the hashes of words."""

    def __post_init__(self) -> None:
        if self.hashes_N.dtype != torch.int32 or self.hashes_N.dim() != 1:
            raise ValueError(f"hashes must be 1-d torch.int32, got {self.hashes_N.dim()}-d {self.hashes_N.dtype}")
        if bool((self.hashes_N[1:] <= self.hashes_N[:-1]).any()):
            raise ValueError("hashes must be in ascending order, each once")

    @classmethod
    def of(cls, texts: Iterable[str]) -> CopyTable:
        """Build the table of some sentences."""
        known: dict[str, int] = {}
        parts: list[NDArray[np.int32]] = []
        waiting: list[str] = []
        for text in texts:
            waiting.append(text)
            if len(waiting) == _TEXTS_AT_ONCE:
                parts.append(np.unique(_grams(waiting, known)[0]))
                waiting = []
        parts.append(np.unique(_grams(waiting, known)[0]))
        return cls(hashes_N=torch.from_numpy(np.unique(np.concatenate(parts))))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the n-grams of each text that one of the sentences contains."""
        if len(self._known) > _TEXTS_AT_ONCE:
            self._known.clear()
        hashes_G, text_G = _grams(texts, self._known)
        table_N = self.hashes_N.numpy()
        place_G = table_N.searchsorted(hashes_G)
        place_G[place_G == len(table_N)] = 0
        found_G = table_N[place_G] == hashes_G if len(table_N) else np.zeros(len(hashes_G), dtype=bool)
        counts: list[int] = np.bincount(text_G[found_G], minlength=len(texts)).tolist()
        return counts


def _grams(texts: Sequence[str], known: dict[str, int]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return each n-gram's hash and the index of its text, [G] each."""
    numbers = [[_number(word, known) for word in words(text)] for text in texts]
    flat_L = np.array([number for each in numbers for number in each], dtype=np.uint64)
    lengths_D = np.array([len(each) for each in numbers], dtype=np.int64)
    text_L = np.repeat(np.arange(len(texts)), lengths_D)
    left_L = np.repeat(lengths_D.cumsum(), lengths_D) - np.arange(len(flat_L))
    start_G = (left_L >= COPY_SIZE).nonzero()[0]
    hashes_G = np.zeros(len(start_G), dtype=np.uint64)
    for offset in range(COPY_SIZE):
        hashes_G = (hashes_G ^ flat_L[start_G + offset]) * _MULTIPLIER
    # The upper half is mixed better.
    return (hashes_G >> _UPPER).astype(np.uint32).view(np.int32), text_L[start_G]


def _number(word: str, known: dict[str, int]) -> int:
    """Return a 64-bit hash of a word, the same in every process."""
    number = known.get(word)
    if number is None:
        number = known[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return number
