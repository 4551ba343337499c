"""Can a classifier tell samples from real text? The area under its ROC curve: .5 is no, 1 is always.

A linear classifier on TF-IDF of 1-, 2- and 3-grams, five-fold, as many samples as real sentences. Sentences of one post
stay in one fold: their artist and their writer would give them away.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from training.evaluation.words import FloatArray, IntArray, words

_FOLDS: Final = 5
_SIGNS = r"<\w+>|[^\W_]+(?:['’\-.][^\W_]+)*|\S"


def folds(keys: Sequence[str]) -> IntArray:
    """A fold for each text by its key, the post's name for real text: texts of one key are in one fold."""
    return np.array([zlib.crc32(key.encode()) % _FOLDS for key in keys], dtype=np.int64)


def tell_apart(
    samples: Sequence[str],
    real: Sequence[str],
    *,
    sample_keys: Sequence[str],
    real_keys: Sequence[str],
    signs: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Score texts by a classifier that has seen the other folds only; the higher, the more like a sample.

    Args:
        samples: generated texts, N of them.
        real: as many real ones.
        sample_keys: name of each sample's group.
        real_keys: likewise; posts.
        signs: see case and punctuation too, by which text that has lost them is told at once.

    Returns:
        scores of the samples [N] and of the real texts [N].
    """
    texts = [*samples, *real]
    fold = folds([*sample_keys, *real_keys])
    labels = np.repeat([1, 0], [len(samples), len(real)])
    vectorizer = _vectorizer(signs=signs, frequent=len(texts) >= 400)
    features = vectorizer.fit_transform(texts)
    scores = np.zeros(len(texts))
    for number in range(_FOLDS):
        held_out = fold == number
        seen = labels[~held_out]
        if held_out.any() and 0 < seen.sum() < len(seen):
            model = LogisticRegression(solver="liblinear", C=4.0, random_state=0).fit(features[~held_out], seen)
            scores[held_out] = model.decision_function(features[held_out])
    return scores[: len(samples)], scores[len(samples) :]


def _vectorizer(*, signs: bool, frequent: bool) -> TfidfVectorizer:
    # What one text of thousands holds tells no other one.
    options = {"ngram_range": (1, 3), "min_df": 2 if frequent else 1, "sublinear_tf": True, "dtype": np.float32}
    if signs:
        return TfidfVectorizer(token_pattern=_SIGNS, lowercase=False, **options)
    return TfidfVectorizer(tokenizer=words, token_pattern=None, lowercase=False, **options)
