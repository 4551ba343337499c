"""Concentration of texts: shared openings, and the most frequent opening and sentence.

All three grow with the number of texts, so only sets of one size are comparable.

Shapes: N texts, G groups of texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from foundation.text_ngrams import words
from training.evaluation.intervals import Figure, groups, jackknife
from training.evaluation.words import FloatArray, IntArray

OPENING: Final = 5
"""Number of words of an opening."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequent:
    """Opening or sentence that is the most frequent one of some texts."""

    text: str
    count: int


def opening(text: str) -> str:
    """Return the first words of a text, case folded and without signs; a shorter text is its own opening.

    >>> opening("It's a slow, warm hum of <artist>.")
    "it's a slow warm hum"
    """
    return " ".join(words(text)[:OPENING])


def sentence(text: str) -> str:
    """Return all words of a text, case folded and without signs."""
    return " ".join(words(text))


FREQUENT: Final[Mapping[str, Callable[[str], str]]] = {"opening": opening, "sentence": sentence}
"""Parts of a text whose most frequent one is shown, by name."""


def most_frequent(texts: Sequence[str], key: Callable[[str], str]) -> Frequent:
    """Find the most frequent opening, or sentence, of some texts; of equally frequent ones, the first."""
    found, count = Counter(map(key, texts)).most_common(1)[0]
    return Frequent(text=found, count=count)


def concentration(sets: Sequence[Sequence[str]]) -> dict[str, Figure]:
    """Measure how concentrated openings and sentences are, with intervals by `jackknife`.

    Returns:
        opening_shared: share of texts whose opening another text of the set has too.
        opening_top: share of texts that have the most frequent opening.
        sentence_top: share of texts that are the most frequent sentence.
    """
    openings, sentences = ([_kinds(texts, key) for texts in sets] for key in (opening, sentence))
    return {
        "opening_shared": _figure(openings, _shared),
        "opening_top": _figure(openings, _top),
        "sentence_top": _figure(sentences, _top),
    }


def _kinds(texts: Sequence[str], key: Callable[[str], str]) -> IntArray:
    """Number the distinct keys of texts: [N]."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key(text), len(numbers)) for text in texts], dtype=np.int64)


def _shared(kind_N: IntArray) -> float:
    counts = np.bincount(kind_N)
    return float(counts[counts > 1].sum() / max(1, len(kind_N)))


def _top(kind_N: IntArray) -> float:
    return float(np.bincount(kind_N).max(initial=0) / max(1, len(kind_N)))


def _figure(sets: Sequence[IntArray], measure: Callable[[IntArray], float]) -> Figure:
    found = jackknife([measure(each) for each in sets], [_left_out(each, measure) for each in sets])
    return replace(found, low=max(0.0, found.low))


def _left_out(kind_N: IntArray, measure: Callable[[IntArray], float]) -> FloatArray:
    """Measure the texts without each group: [G]."""
    group_N = groups(len(kind_N))
    return np.array([measure(kind_N[group_N != group]) for group in range(int(group_N.max(initial=0)) + 1)])
