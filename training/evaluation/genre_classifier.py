"""Classifier of genres, trained on real sentences, to measure how well samples fit the requested genres.

Shapes: N texts, W words, K labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from foundation.text_ngrams import words
from training.corpus import Corpus
from training.errors import CorpusError
from training.evaluation.words import BoolArray, FloatArray

_MAX_LABELS: Final = 24
_MAX_SENTENCES: Final = 30_000
_MIN_SENTENCES: Final = 30
_MIN_LABELS: Final = 2


@dataclass(frozen=True, slots=True)
class GenreClassifier:
    """Logistic regression per label on TF-IDF of words, with balanced classes.

    Sentences have several labels, and some labels are on most sentences. With balanced classes a label's score depends
    on the sentence and not on the label's frequency, so that a constant answer gains nothing.
    """

    labels: tuple[str, ...]
    _vectorizer: TfidfVectorizer
    _weights_WK: FloatArray
    _bias_K: FloatArray

    @classmethod
    def fit(cls, train: Corpus, *, seed: int = 0) -> GenreClassifier:
        """Fit a classifier of the most frequent labels to the sentences of a split.

        Raises:
            CorpusError: fewer than two labels are frequent enough.
        """
        with_genres = [number for number, genres in enumerate(train.genres) if genres]
        generator = np.random.default_rng(seed)
        if len(with_genres) > _MAX_SENTENCES:
            with_genres = np.sort(generator.choice(with_genres, _MAX_SENTENCES, replace=False)).tolist()
        counts = Counter(label for number in with_genres for label in set(train.genres[number]))
        frequent = sorted(
            (label for label, count in counts.items() if _MIN_SENTENCES <= count <= len(with_genres) / 2),
            key=lambda label: (-counts[label], label),
        )[:_MAX_LABELS]
        if len(frequent) < _MIN_LABELS:
            raise CorpusError(
                f"only {len(frequent)} genres have {_MIN_SENTENCES} sentences or more, too few for a genre classifier"
            )
        vectorizer = TfidfVectorizer(
            tokenizer=words, token_pattern=None, lowercase=False, min_df=2, sublinear_tf=True, dtype=np.float32
        )
        features = vectorizer.fit_transform([train.texts[number] for number in with_genres])
        weights, bias = [], []
        for label in frequent:
            holds = np.array([label in train.genres[number] for number in with_genres])
            model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=0, tol=1e-3)
            model.fit(features, holds)
            weights.append(model.coef_[0])
            bias.append(float(model.intercept_[0]))
        return cls(tuple(frequent), vectorizer, np.stack(weights, axis=1).astype(np.float64), np.array(bias))

    def hits(self, texts: Sequence[str], genres: Sequence[Sequence[str]]) -> tuple[FloatArray, BoolArray]:
        """Whether the label with the highest score of each text is one of its genres.

        Returns:
            1 for a hit, [N], and whether the text counts, [N], which it does if one of its genres is a label.
        """
        counted = np.array([not set(self.labels).isdisjoint(each) for each in genres], dtype=np.bool_)
        if not counted.any():
            return np.zeros(len(texts)), counted
        scores_NK = self._vectorizer.transform(texts) @ self._weights_WK + self._bias_K
        best = np.asarray(scores_NK).argmax(axis=1)
        hit = [self.labels[label] in each for label, each in zip(best.tolist(), genres, strict=True)]
        return np.array(hit, dtype=np.float64) * counted, counted
