"""Two-sample test: how well a classifier distinguishes samples from real text.

The test is a linear classifier on TF-IDF of 1-, 2- and 3-grams with five folds and as many samples as real sentences.
Sentences of one post are in one fold, since their artist and writer would reveal them. The area under the ROC curve is
0.5 for indistinguishable texts and 1 for perfectly distinguishable ones.

Shapes: N texts, L words of all texts.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from training.evaluation.words import Encoded, FloatArray, IntArray

Scores = tuple[FloatArray, FloatArray]
"""Scores of the samples, [N], and of the real texts, [N]."""

_FOLDS: Final = 5
_SIZES: Final = (1, 2, 3)
_MIN_TEXTS: Final = 2
_C: Final = 4.0


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a two-sample test: texts with the group of each."""

    texts: Encoded
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, end: int) -> Side:
        """Return some consecutive texts."""
        return Side(self.texts.take(np.arange(start, end)), self.keys[start:end])


def shuffled(one: Side, other: Side) -> tuple[Side, Side]:
    """Mix two sides and split them at random."""
    texts = Encoded(
        flat_L=np.concatenate((one.texts.flat_L, other.texts.flat_L)),
        lengths_N=np.concatenate((one.texts.lengths_N, other.texts.lengths_N)),
    )
    keys = [*one.keys, *other.keys]
    order = np.random.default_rng(3).permutation(len(keys))
    halves = order[: len(keys) // 2], order[len(keys) // 2 :]
    first, last = (Side(texts.take(half), [keys[number] for number in half.tolist()]) for half in halves)
    return first, last


def scores_of_groups(sides: Sequence[tuple[Side, Side]], size: int | None, most_groups: int) -> list[Scores]:
    """Score groups of `size` texts of each pair of sides, or all texts if it is None.

    With more texts the classifier learns more and the area grows, so only equal sizes are comparable.
    """
    scores = []
    for one, other in sides:
        most = min(len(one), len(other))
        step = most if size is None else min(size, most)
        for start in range(0, most - step + 1, step)[:most_groups]:
            sample, real = one.part(start, start + step), other.part(start, start + step)
            scores.append(tell_apart(sample.texts, real.texts, sample_keys=sample.keys, real_keys=real.keys))
    return scores


def folds(keys: Sequence[str]) -> IntArray:
    """Assign texts to folds by their keys, the post's id for real text; texts of one key are in one fold."""
    return np.array([zlib.crc32(key.encode()) % _FOLDS for key in keys], dtype=np.int64)


def tell_apart(
    samples: Encoded, real: Encoded, *, sample_keys: Sequence[str], real_keys: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Score texts by a classifier trained on the other folds; the higher, the more like a sample.

    Args:
        samples: N generated texts; with `WordTable(split=words_and_signs)` the classifier also uses case and
            punctuation, which reveal text without them at once.
        real: as many real texts, of the same table.
        sample_keys: key of each sample's group.
        real_keys: key of each real text's group, its post.

    Returns:
        Scores of the samples, [N], and of the real texts, [N]. They are NaN if no classifier can be trained on the
        other folds, which have texts of one kind alone, or no n-gram in two texts.
    """
    both = Encoded(
        flat_L=np.concatenate((samples.flat_L, real.flat_L)),
        lengths_N=np.concatenate((samples.lengths_N, real.lengths_N)),
    )
    size = len(both.lengths_N)
    fold = folds([*sample_keys, *real_keys])
    labels = np.repeat([1, 0], [len(samples.lengths_N), len(real.lengths_N)])
    features = _features(both)
    scores = np.full(size, np.nan)
    for number in range(_FOLDS):
        held_out = fold == number
        seen = labels[~held_out]
        if features.shape[1] and held_out.any() and 0 < seen.sum() < len(seen):
            model = LogisticRegression(solver="liblinear", C=_C, random_state=0).fit(features[~held_out], seen)
            scores[held_out] = model.decision_function(features[held_out])
    return scores[: len(sample_keys)], scores[len(sample_keys) :]


def _features(texts: Encoded) -> csr_matrix:
    """TF-IDF of the n-grams of at least two texts; an n-gram of a single text says nothing about others."""
    size = len(texts.lengths_N)
    rows, columns, width = [], [], 0
    for length in _SIZES:
        hashes, starts = texts.grams(length)
        kinds, kind = np.unique(hashes, return_inverse=True)
        rows.append(texts.text_indices[starts])
        columns.append(kind + width)
        width += len(kinds)
    row, column = np.concatenate(rows), np.concatenate(columns)
    counts = csr_matrix((np.ones(len(row)), (row, column)), shape=(size, width))
    in_texts = np.bincount(counts.indices, minlength=width)
    shared = counts[:, in_texts >= _MIN_TEXTS]
    # scikit-learn rejects a table without columns.
    return TfidfTransformer(sublinear_tf=True).fit_transform(shared) if shared.shape[1] else shared
