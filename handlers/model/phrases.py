"""Phrases of the training sentences: the word pairs and triples that they hold, by a table that fits into an archive.

A sentence of well-known words may still put them together as no one does; of held-out real sentences, a smaller share
of the triples is new than of samples.

Shapes: G n-grams of all texts, D texts, N n-grams of a set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from handlers.model.ngram_hashes import WordHasher, check_set, held, ngram_sets


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseTable:
    """Sets of the n-grams of some sentences, for two sizes; the start and the end of a sentence count as words."""

    sizes: tuple[int, int]
    """Sizes of the n-grams, in words."""
    sets: tuple[Tensor, Tensor]
    """Distinct hashes of each size in ascending order, int32 [N]."""
    _hasher: WordHasher = field(default_factory=lambda: WordHasher(marks=True), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.sizes[0] < self.sizes[1]:
            raise ValueError(f"sizes must be two ascending numbers of words, got {self.sizes}")
        for hashes_N in self.sets:
            check_set(hashes_N)

    @classmethod
    def of(cls, texts: Iterable[str], sizes: tuple[int, int] = (2, 3)) -> PhraseTable:
        """Build the table of some sentences."""
        shorter_N, longer_N = ngram_sets(texts, sizes, marks=True)
        return cls(sizes=sizes, sets=(shorter_N, longer_N))

    def tensors(self) -> dict[str, Tensor]:
        """Return the sets by the sizes of their n-grams, for a file."""
        return {str(size): hashes_N for size, hashes_N in zip(self.sizes, self.sets, strict=True)}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> PhraseTable:
        """Return the table whose `tensors` these are.

        Raises:
            ValueError: they are not the sets of two sizes.
        """
        sets = {int(name): hashes_N for name, hashes_N in tensors.items()}
        if len(sets) != 2:
            raise ValueError(f"a table of phrases has two sizes, got {sorted(sets)}")
        (shorter, longer) = sorted(sets)
        return cls(sizes=(shorter, longer), sets=(sets[shorter], sets[longer]))

    def unseen_shares(self, texts: Sequence[str]) -> list[tuple[float, float]]:
        """Return the share of each text's n-grams that no sentence holds, for both sizes; 0 where there are none."""
        hashed = self._hasher.hashed(texts)
        shorter, longer = (
            _unseen(*hashed.ngrams(size), hashes_N, len(texts))
            for size, hashes_N in zip(self.sizes, self.sets, strict=True)
        )
        return list(zip(shorter, longer, strict=True))


def _unseen(hashes_G: np.ndarray, text_G: np.ndarray, hashes_N: Tensor, count: int) -> list[float]:
    all_D = np.bincount(text_G, minlength=count)
    seen_D = np.bincount(text_G[held(hashes_N, hashes_G)], minlength=count)
    shares: list[float] = ((all_D - seen_D) / np.maximum(all_D, 1)).tolist()
    return shares
