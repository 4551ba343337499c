"""Common word pairs of a model's own samples, and how much a sentence loses by them.

A taste that many candidates meet in the same words would have them written again and again: what is chosen by a value
function repeats itself more than what is chosen by the score. So a candidate loses by its share of pairs that are
common in the model's samples.

Shapes: N pairs of the table, D texts, G pairs of all texts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from handlers.model.ngram_hashes import WordHasher, check_set, held

_SIZE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonPairs:
    """Set of the common pairs, and their weight.

    Raises:
        ValueError: the set cannot be searched, or the weight is not a finite number from 0 on.
    """

    hashes_N: Tensor = field(repr=False, compare=False)
    """Distinct hashes of the pairs in ascending order, int32."""
    weight: float
    """Log odds that a sentence would lose all of whose pairs are common."""
    _hasher: WordHasher = field(default_factory=WordHasher, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_set(self.hashes_N)
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of common pairs must be a finite number from 0 on, got {self.weight}")

    @classmethod
    def of(cls, texts: Sequence[str], *, least: int, weight: float) -> CommonPairs:
        """Return the pairs that occur at least so often in some texts."""
        hashes_G, _ = WordHasher().hashed(texts).ngrams(_SIZE)
        found, counts = np.unique(hashes_G, return_counts=True)
        return cls(hashes_N=torch.from_numpy(found[counts >= least]), weight=weight)

    def losses(self, texts: Sequence[str]) -> list[float]:
        """Return the log odds that each text loses; 0 for one without a pair."""
        hashes_G, text_G = self._hasher.hashed(texts).ngrams(_SIZE)
        all_D = np.bincount(text_G, minlength=len(texts))
        common_D = np.bincount(text_G[held(self.hashes_N, hashes_G)], minlength=len(texts))
        losses: list[float] = (self.weight * (common_D / np.maximum(all_D, 1))).tolist()
        return losses
