"""Weights of real sentences by which they are of the same kinds as samples: topics and lengths.

The discriminator ranks candidates for one request. It should prefer a well-formed sentence, not one of a kind that the
model writes too rarely, so real sentences weigh as much as their kind is frequent among samples (importance weights:
the odds of a classifier that sees the kind alone).

Shapes: N real sentences, M sentences, K topics, B bins of lengths, F features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression, LogisticRegression

from training.acceptability.samples import Sentences

_LENGTH_BINS: Final = 10
_MAX_WEIGHT: Final = 8.0
"""Maximum weight of a real sentence. Without it, a few sentences of a rare kind would decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinds:
    """Features of a sentence's kind, and a classifier that tells by them whether it is real."""

    edges: NDArray[np.float64]
    """Lengths at which one bin of lengths ends and the next begins."""
    classifier: LogisticRegression

    @classmethod
    def of(cls, real: Sentences, samples: Sentences) -> Kinds:
        """Fit the classifier to real sentences and samples, whose numbers may differ."""
        edges = np.unique(np.quantile(samples.lengths(), np.linspace(0, 1, _LENGTH_BINS + 1)[1:-1]))
        features_MF = np.concatenate([_features(real, edges), _features(samples, edges)])
        labels_M = np.repeat([0, 1], [len(real), len(samples)])
        balance_M = np.repeat([1 / len(real), 1 / len(samples)], [len(real), len(samples)]) * len(labels_M) / 2
        classifier = LogisticRegression(max_iter=500).fit(features_MF, labels_M, sample_weight=balance_M)
        return cls(edges=edges, classifier=classifier)

    def features(self, sentences: Sentences) -> NDArray[np.float64]:
        """Return the features of each sentence, [M, F]."""
        return _features(sentences, self.edges)

    def weights(self, real: Sentences) -> NDArray[np.float64]:
        """Return the weights of real sentences, [N], whose mean is 1."""
        odds_N: NDArray[np.float64] = np.exp(self.classifier.decision_function(self.features(real)))
        weights_N = np.minimum(odds_N / odds_N.mean(), _MAX_WEIGHT)
        mean_one_N: NDArray[np.float64] = weights_N / weights_N.mean()
        return mean_one_N

    def explained(self, sentences: Sentences, values_M: NDArray[np.float64]) -> float:
        """Return the share of the variance of the sentences' values that their kinds explain linearly."""
        features_MF = self.features(sentences)
        return float(LinearRegression().fit(features_MF, values_M).score(features_MF, values_M))


def _features(sentences: Sentences, edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return topic shares, the main topic, the bin of the length, and the main topic's length, [M, F]."""
    topics_MK = sentences.topics_NK.astype(np.float64)
    main_MK = np.eye(topics_MK.shape[1])[topics_MK.argmax(axis=1)]
    lengths_M = sentences.lengths()
    bins_MB = np.eye(len(edges) + 1)[np.digitize(lengths_M, edges)]
    log_length_M1 = np.log1p(lengths_M)[:, None] - np.log(25)
    return np.concatenate([topics_MK, main_MK, bins_MB, main_MK * log_length_M1], axis=1)
