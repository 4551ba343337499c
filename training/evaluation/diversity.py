"""Diversity of texts: distinct n-grams and self-BLEU. Both depend on the number of texts.

Shapes: N texts, G groups of texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from foundation.text_ngrams import words
from training.evaluation.intervals import Figure, Resampler, groups, jackknife
from training.evaluation.words import Encoded, FloatArray

SMALL: Final = 100
"""Number of samples that the original published, at which distinct-n and self-BLEU are also given."""
_MAX_SMALL_SETS: Final = 20


def distinct(sets: Sequence[Encoded], size: int) -> Figure:
    """Share of distinct n-grams within texts (Li 2016), with an interval by `jackknife`."""
    values, left_out = [], []
    for encoded in sets:
        value, each = _distinct(encoded, size)
        values.append(value)
        left_out.append(each)
    return jackknife(values, left_out)


def distinct_small(sets: Sequence[Encoded], size: int, resampler: Resampler) -> Figure:
    """Mean distinct-n of groups of `SMALL` texts, comparable with published figures of as many."""
    values = []
    for encoded in sets:
        number = min(max(1, len(encoded.lengths_N) // SMALL), _MAX_SMALL_SETS)
        parts = np.split(np.arange(number * min(SMALL, len(encoded.lengths_N))), number)
        values.append(np.array([_distinct(encoded.take(part), size)[0] for part in parts]))
    return resampler.ratio(values)


def self_bleu(sets: Sequence[Sequence[str]], resampler: Resampler) -> Figure:
    """Mean BLEU-4 of each of `SMALL` texts against the others (Zhu 2018), 0 to 1; high for similar texts."""
    bleu = BLEU(effective_order=True, tokenize="none")
    values = []
    for texts in sets:
        lines = [" ".join(words(text)) for text in texts[:SMALL]]
        scores = [
            bleu.sentence_score(line, [*lines[:number], *lines[number + 1 :]]).score / 100
            for number, line in enumerate(lines)
            if len(lines) > 1
        ]
        values.append(np.array(scores))
    return resampler.ratio(values)


def _distinct(encoded: Encoded, size: int) -> tuple[float, FloatArray]:
    """Distinct-n of all texts, and of the texts without each group."""
    hashes, starts = encoded.grams(size)
    if not len(hashes):
        return 0.0, np.zeros(2)
    group_of_text = groups(len(encoded.lengths_N))
    group = group_of_text[encoded.text_indices[starts]]
    number = int(group_of_text.max()) + 1
    _, kind = np.unique(hashes, return_inverse=True)
    kinds = int(kind.max()) + 1
    # A kind is lost with a group if no other group holds it.
    pairs = np.unique(kind * number + group)
    alone = np.bincount(pairs // number, minlength=kinds) == 1
    lost_G = np.bincount((pairs % number)[alone[pairs // number]], minlength=number)
    left_G = len(hashes) - np.bincount(group, minlength=number)
    return kinds / len(hashes), (kinds - lost_G) / np.maximum(left_G, 1)
