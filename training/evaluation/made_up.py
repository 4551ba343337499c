"""Made-up words: words that no training sentence holds and the dictionary does not know.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from handlers.model.vocabulary import PLACEHOLDERS, words
from training.corpus.words import is_known
from training.evaluation.words import FloatArray

_APOSTROPHES = str.maketrans("’", "'")


def plain_words(text: str) -> list[str]:
    """Return a text's words as they are written: no numbers, placeholders, signs or endings of placeholders.

    >>> plain_words("<artist>'s lo-fi hiss of 1999, so Glassy’s")
    ['lo-fi', 'hiss', 'of', 'so', "Glassy's"]
    """
    stripped = (word.strip().translate(_APOSTROPHES) for word in words(text))
    return [word for word in stripped if word[:1].isalpha() and word not in PLACEHOLDERS]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeUp:
    """Counts of each text, [N]."""

    words_N: FloatArray
    """Number of words."""
    made_up_N: FloatArray
    """Number of made-up words."""
    lower_N: FloatArray
    """Number of made-up words in lower case, which are not names."""


@dataclass(frozen=True, slots=True)
class KnownWords:
    """Words that exist: those of training sentences, and those of the dictionary."""

    seen: frozenset[str]
    """Words of the training sentences, case folded."""
    _cache: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Collect the words of training sentences."""
        return cls(frozenset(word.casefold() for text in texts for word in plain_words(text)))

    def knows(self, word: str) -> bool:
        """Whether a word exists; case, and a possessive ending, do not matter.

        A compound with hyphens exists if each of its parts does, since writers make new ones all the time.

        >>> known = KnownWords.of(["A shoegaze band."])
        >>> [known.knows(word) for word in ("Shoegaze's", "shoegaze-loud", "guitar", "glimmerous-loud", "shoegazerly")]
        [True, True, True, False, False]
        """
        folded = word.casefold()
        found = self._cache.get(folded)
        if found is None:
            found = self._cache[folded] = self._knows(folded)
        return found

    def _knows(self, folded: str) -> bool:
        bare = folded.removesuffix("'s").removesuffix("'")
        if folded in self.seen or bare in self.seen or is_known(bare):
            return True
        parts = bare.split("-")
        return len(parts) > 1 and all(not part or self.knows(part) for part in parts)

    def count(self, texts: Sequence[str]) -> MadeUp:
        """Count the made-up words of each text."""
        written = [plain_words(text) for text in texts]
        made_up = [[word for word in each if not self.knows(word)] for each in written]
        size = len(texts)
        return MadeUp(
            words_N=np.fromiter(map(len, written), np.float64, size),
            made_up_N=np.fromiter(map(len, made_up), np.float64, size),
            lower_N=np.fromiter((sum(word[0].islower() for word in each) for each in made_up), np.float64, size),
        )
