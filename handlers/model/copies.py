"""What of a text stands in a training sentence already: n-grams looked up in a table that fits into an archive.

Eight words in a row are hardly the same by chance: of those in unseen posts, one in a hundred stands in others. A text
that holds some was copied. The table has 4 bytes for each n-gram, a hash of 32 bits; with a million of them it takes
one in four thousand for known that is not.

Shapes: D texts, L words in all of them, G n-grams, N n-grams of the table.
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
    """The n-grams of some sentences. Case, signs and the kind of apostrophe make no difference.

    Attributes:
        hashes_N: int32, in rising order, each once.
    """

    hashes_N: Tensor
    _known: dict[str, int] = field(default_factory=dict, init=False, repr=False, compare=False)
    """Hashes of words that were met before."""

    def __post_init__(self) -> None:
        if self.hashes_N.dtype != torch.int32 or self.hashes_N.dim() != 1:
            raise ValueError(f"hashes must be a row of torch.int32, got {self.hashes_N.dim()}-d {self.hashes_N.dtype}")
        if bool((self.hashes_N[1:] <= self.hashes_N[:-1]).any()):
            raise ValueError("hashes must rise")

    @classmethod
    def of(cls, texts: Iterable[str]) -> CopyTable:
        """The table of some sentences."""
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
        """N-grams of each text that stand in one of the sentences."""
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
    """Each n-gram's hash, and the text that it is of: [G] both."""
    numbers = [[_number(word, known) for word in words(text)] for text in texts]
    flat_L = np.array([number for each in numbers for number in each], dtype=np.uint64)
    lengths_D = np.array([len(each) for each in numbers], dtype=np.int64)
    text_L = np.repeat(np.arange(len(texts)), lengths_D)
    left_L = np.repeat(lengths_D.cumsum(), lengths_D) - np.arange(len(flat_L))
    start_G = (left_L >= COPY_SIZE).nonzero()[0]
    hashes_G = np.zeros(len(start_G), dtype=np.uint64)
    for offset in range(COPY_SIZE):
        hashes_G = (hashes_G ^ flat_L[start_G + offset]) * _MULTIPLIER
    # The upper half is the better mixed one.
    return (hashes_G >> _UPPER).astype(np.uint32).view(np.int32), text_L[start_G]


def _number(word: str, known: dict[str, int]) -> int:
    """64 bits that stand for a word, the same in every process."""
    number = known.get(word)
    if number is None:
        number = known[word] = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
    return number
