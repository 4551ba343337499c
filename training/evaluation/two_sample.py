"""Can a classifier tell samples from real text? The area under its ROC curve: 0.5 is no, 1 is always.

A linear classifier on TF-IDF of 1-, 2- and 3-grams, five-fold, as many samples as real sentences. Sentences of one post
stay in one fold: their artist and their writer would give them away.

Shapes: N texts, L words of all texts.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression

from training.evaluation.words import Encoded, FloatArray, IntArray

_FOLDS: Final = 5
_SIZES: Final = (1, 2, 3)
_MIN_TEXTS: Final = 2
_C: Final = 4.0


def folds(keys: Sequence[str]) -> IntArray:
    """A fold for each text by its key, the post's name for real text: texts of one key are in one fold."""
    return np.array([zlib.crc32(key.encode()) % _FOLDS for key in keys], dtype=np.int64)


def tell_apart(
    samples: Encoded, real: Encoded, *, sample_keys: Sequence[str], real_keys: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Score texts by a classifier that has seen the other folds only; the higher, the more like a sample.

    Args:
        samples: generated texts, N of them; `WordTable(split=words_and_signs)` lets the classifier see case and
            punctuation too, by which text that has lost them is told at once.
        real: as many real ones, of the same table.
        sample_keys: name of each sample's group.
        real_keys: likewise; posts.

    Returns:
        scores of the samples [N] and of the real texts [N]; NaN where the other folds could not teach a classifier:
        they hold texts of one kind alone, or no n-gram that two texts share.
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
    """TF-IDF of the n-grams of at least two texts; what one text alone holds tells no other one."""
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
    # scikit-learn refuses a table without columns.
    return TfidfTransformer(sublinear_tf=True).fit_transform(shared) if shared.shape[1] else shared
