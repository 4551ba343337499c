"""Detection of copied text: n-grams of a text that a training sentence contains, by a table that fits into an archive.

Eight equal words in a row are rarely chance: of the 8-grams in unseen posts, one in a hundred occurs in another post. A
text of fewer words counts as an n-gram if it is a whole training sentence.

Shapes: G n-grams of all texts, N n-grams of the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from foundation.text_ngrams import COPY_SIZE
from handlers.model.ngram_hashes import WordHasher, check_set, held, ngram_sets


def _hasher() -> WordHasher:
    return WordHasher(min_words=COPY_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyTable:
    """Set of the n-grams of some sentences; case, punctuation and the kind of apostrophe are ignored.

    Attributes:
        hashes_N: distinct hashes in ascending order, int32.
    """

    hashes_N: Tensor
    _hasher: WordHasher = field(default_factory=_hasher, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_set(self.hashes_N)

    @classmethod
    def of(cls, texts: Iterable[str]) -> CopyTable:
        """Build the table of some sentences."""
        (hashes_N,) = ngram_sets(texts, [COPY_SIZE], min_words=COPY_SIZE)
        return cls(hashes_N=hashes_N)

    def count(self, texts: Sequence[str]) -> list[int]:
        """Count the n-grams of each text that one of the sentences contains."""
        hashes_G, text_G = self._hasher.hashed(texts).ngrams(COPY_SIZE)
        counts: list[int] = np.bincount(text_G[held(self.hashes_N, hashes_G)], minlength=len(texts)).tolist()
        return counts
