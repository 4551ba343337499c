"""Fluency of texts under a trigram model of the valid split, which no model is trained with or ranks candidates by.

The training split would not do: a worker prefers candidates whose word pairs training sentences hold, and an aim
is not a measure any more. For the same reason the share of unseen word pairs, which are those of the training
split, is to be read with the other figures.

SLOR, the syntactic log-odds ratio, is (log p(x) - log p_unigram(x)) / words (Lau, Clark and Lappin 2017; Kann, Rothe
and Filippova 2018): the log-likelihood without the part that rare words alone explain.

Shapes: N texts, L words of all texts, V words of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from training.evaluation.intervals import Figure, Resampler
from training.evaluation.language_model import TrigramModel, WordVocabulary
from training.evaluation.words import Encoded, FloatArray, IntArray

NAMES: Final = ("log_prob_per_word", "slor", "least_likely", "unseen_bigrams")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluency:
    """Fluency of each text, [N]."""

    log_prob_N: FloatArray
    """Log-probability of the text, nats."""
    slor_N: FloatArray
    """Log-probability less that of the same words in any order, nats."""
    count_N: FloatArray
    """Number of words, end mark included."""
    least_likely_N: FloatArray
    """Log-probability of the least likely word, nats."""
    unseen_N: FloatArray
    """Number of word pairs that no training sentence holds."""
    pairs_N: FloatArray
    """Number of word pairs."""

    def per_text(self) -> dict[str, FloatArray]:
        """Return the figures of each text by name, [N]; a text of one word has no pair, which counts as seen."""
        return {
            "log_prob_per_word": self.log_prob_N / self.count_N,
            "slor": self.slor_N / self.count_N,
            "least_likely": self.least_likely_N,
            "unseen_bigrams": self.unseen_N / np.maximum(self.pairs_N, 1),
        }


@dataclass(slots=True)
class FluencyMeasure:
    """Measure of fluency."""

    vocabulary: WordVocabulary
    valid: Encoded
    """Sentences of the valid split, for the language model."""
    train: Encoded
    """Sentences of the training split, for the word pairs."""
    _model: TrigramModel = field(init=False)
    _unigrams_V: FloatArray = field(init=False)
    _pairs: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self._model = TrigramModel(self.vocabulary, self.valid)
        _, _, predicted, _ = self.vocabulary.encode(self.valid).trigrams()
        # One more for every entry, so that none is impossible.
        counts_V = np.bincount(predicted, minlength=len(self.vocabulary)) + 1.0
        self._unigrams_V = np.log(counts_V / counts_V.sum())
        self._pairs = np.unique(self.train.grams(2)[0])

    def score(self, texts: Encoded) -> Fluency:
        """Score each text as a sentence."""
        words = self._model.word_log_probs(texts)
        size = len(texts.lengths_N)
        unigrams_L = self._unigrams_V[words.entry_L] + words.spelled_L
        least_N = np.zeros(size)
        np.minimum.at(least_N, words.text_L, words.log_prob_L)
        hashes, starts = texts.grams(2)
        at = np.minimum(np.searchsorted(self._pairs, hashes), max(0, len(self._pairs) - 1))
        seen = self._pairs[at] == hashes if len(self._pairs) else np.zeros(len(hashes), dtype=np.bool_)
        text_of_pair = texts.text_indices[starts]
        log_prob_N = _sums(words.text_L, words.log_prob_L, size)
        return Fluency(
            log_prob_N=log_prob_N,
            slor_N=log_prob_N - _sums(words.text_L, unigrams_L, size),
            count_N=np.bincount(words.text_L, minlength=size).astype(np.float64),
            least_likely_N=least_N,
            unseen_N=np.bincount(text_of_pair[~seen], minlength=size).astype(np.float64),
            pairs_N=np.bincount(text_of_pair, minlength=size).astype(np.float64),
        )


def _sums(text_L: IntArray, values_L: FloatArray, size: int) -> FloatArray:
    """Sum of the values of each text, [N]."""
    return np.bincount(text_L, weights=values_L, minlength=size).astype(np.float64)


def fluency_figures(scores: list[Fluency], resampler: Resampler) -> dict[str, Figure]:
    """Mean of the texts' figures; of word pairs the share of all."""
    texts = [score.per_text() for score in scores]
    figures = {name: resampler.ratio([each[name] for each in texts]) for name in NAMES if name != "unseen_bigrams"}
    unseen = resampler.ratio([score.unseen_N for score in scores], [score.pairs_N for score in scores])
    return {**figures, "unseen_bigrams": unseen}
