"""Word trigram model with interpolated Kneser-Ney smoothing (Ney, Essen and Kneser 1994; Chen and Goodman 1999).

    p(c | a b) = max(n(abc) - D3, 0) / n(ab.) + D3 t(ab.) / n(ab.) p(c | b)
    p(c | b)   = max(k(bc) - D2, 0) / k(b.) + D2 t(b.) / k(b.) p(c)
    p(c)       = max(k(c) - D1, 0) / k(.) + D1 t(.) / k(.) / V

n is the count; k is the number of different words before (an n-gram that starts a sentence has none and keeps its
count); t is the number of different words after; D = n1 / (n1 + 2 n2) per order. The model is implemented here because
the metric needs a small model per row and seed, KenLM is C++ with a build step, and NLTK's, a Python loop over words,
takes minutes instead of a second.

A word outside the vocabulary has probability p(unknown) / M, where M is the number of words that the vocabulary's text
holds once, so that invented words are not cheap. They are also counted on their own (`Score.unknown_N`).

Shapes: N sentences, L predicted words (end marks included), V words of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.evaluation.words import Encoded, FloatArray, IntArray

_BOS: Final = 0
_EOS: Final = 1
_UNKNOWN: Final = 2
_SPECIALS: Final = 3
_DISCOUNT: Final = 0.75
"""Discount where there are too few counts to estimate it: the middle of the values of real text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVocabulary:
    """Vocabulary of all models of a comparison."""

    entry_of: IntArray
    """Entry of each word of the `WordTable`; words that were added to the table later have none."""
    size: int
    """Number of entries, including marks."""
    num_rare: int
    """Number of words of the text that are too rare for the vocabulary, M in the module's docstring."""

    @classmethod
    def of(cls, encoded: Encoded, *, min_count: int = 2) -> WordVocabulary:
        """Make the vocabulary of the words that occur at least `min_count` times in some texts."""
        counts = np.bincount(encoded.flat_L)
        kept = counts >= min_count
        entry_of = np.where(kept, np.cumsum(kept) - 1 + _SPECIALS, _UNKNOWN)
        num_rare = int((counts > 0).sum() - kept.sum())
        return cls(entry_of=entry_of, size=int(kept.sum()) + _SPECIALS, num_rare=max(1, num_rare))

    def __len__(self) -> int:
        return self.size

    def encode(self, encoded: Encoded) -> Sentences:
        """Encode texts with two start marks and an end mark each."""
        known = encoded.flat_L < len(self.entry_of)
        entries_L = np.where(known, self.entry_of[np.where(known, encoded.flat_L, 0)], _UNKNOWN)
        lengths_N = encoded.lengths_N + 3
        starts_N = np.cumsum(lengths_N) - lengths_N
        flat = np.full(int(lengths_N.sum()), _BOS)
        flat[starts_N + lengths_N - 1] = _EOS
        # Before a text's words are its two start marks, and three marks per earlier text.
        flat[np.arange(len(entries_L)) + 3 * encoded.text_indices + 2] = entries_L
        return Sentences(flat=flat, lengths_N=lengths_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """Encoded sentences with their marks, concatenated."""

    flat: IntArray
    lengths_N: IntArray

    def trigrams(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Return the two words before each predicted word, the word, and its sentence; [L] each."""
        sentence = np.repeat(np.arange(len(self.lengths_N)), self.lengths_N)
        starts = np.repeat(np.cumsum(self.lengths_N) - self.lengths_N, self.lengths_N)
        at = np.flatnonzero(np.arange(len(self.flat)) - starts >= 2)
        return self.flat[at - 2], self.flat[at - 1], self.flat[at], sentence[at]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Score of each sentence by a model."""

    log_prob_N: FloatArray
    """Log-probability of all words and the end mark, nats."""
    count_N: IntArray
    """Number of words, including the end mark."""
    unknown_N: IntArray
    """Number of words outside the vocabulary."""

    @property
    def perplexity(self) -> float:
        """Perplexity per word over all sentences."""
        return float(np.exp(-self.log_prob_N.sum() / max(1, self.count_N.sum())))


@dataclass(frozen=True, slots=True, kw_only=True)
class WordLogProbs:
    """Log-probability of every predicted word, [L] each."""

    entry_L: IntArray
    """Entry of the vocabulary."""
    log_prob_L: FloatArray
    """Log-probability after the two words before it, nats."""
    spelled_L: FloatArray
    """Part of it that an unknown word costs beyond its mark, -log M; 0 for a known word."""
    text_L: IntArray
    """Index of the word's text."""


class TrigramModel:
    """Trigram model of some texts, by the formulas of the module's docstring."""

    def __init__(self, vocabulary: WordVocabulary, texts: Encoded) -> None:
        """Count n-grams and estimate discounts.

        Raises:
            ValueError: there are no texts.
        """
        if not len(texts.lengths_N):
            raise ValueError("a language model needs at least one text")
        self._vocabulary = vocabulary
        a, b, c, _ = vocabulary.encode(texts).trigrams()
        size = len(vocabulary)
        trigrams, counts = np.unique((a * size + b) * size + c, return_counts=True)
        self._third = _Order(trigrams, counts, size)
        bigrams, after = np.unique(trigrams % (size * size), return_counts=True)
        # An n-gram that starts a sentence has only the start mark before it, so it keeps its count.
        first = bigrams // size == _BOS
        after[first] = _sums(trigrams % (size * size), counts, bigrams[first])
        self._second = _Order(bigrams, after, size)
        unigrams, before = np.unique(bigrams % size, return_counts=True)
        discount = _discount(before)
        total = before.sum()
        # Every word and mark except the start mark can come next.
        rest = discount * len(unigrams) / total / (size - 1)
        self._first_V = np.full(size, rest)
        self._first_V[unigrams] += (before - discount) / total
        self._first_V[_BOS] = 0.0

    def probabilities(self, a: IntArray, b: IntArray, c: IntArray) -> FloatArray:
        """Return p(c | a b) of vocabulary entries, one of which is the unknown word."""
        size = len(self._vocabulary)
        second = self._second.interpolated(b, b * size + c, self._first_V[c])
        return self._third.interpolated(a * size + b, (a * size + b) * size + c, second)

    def score(self, texts: Encoded) -> Score:
        """Score each text as a sentence."""
        words = self.word_log_probs(texts)
        size = len(texts.lengths_N)
        return Score(
            log_prob_N=np.bincount(words.text_L, weights=words.log_prob_L, minlength=size).astype(np.float64),
            count_N=np.bincount(words.text_L, minlength=size),
            unknown_N=np.bincount(words.text_L[words.entry_L == _UNKNOWN], minlength=size),
        )

    def word_log_probs(self, texts: Encoded) -> WordLogProbs:
        """Return the log-probability of each word and end mark of some texts."""
        a, b, c, text = self._vocabulary.encode(texts).trigrams()
        spelled = (c == _UNKNOWN) * -np.log(self._vocabulary.num_rare)
        log_prob = np.log(self.probabilities(a, b, c)) + spelled
        return WordLogProbs(entry_L=c, log_prob_L=log_prob, spelled_L=spelled, text_L=text)


class _Order:
    """N-grams of one order; a key is the number of the context times the vocabulary's size plus the word."""

    def __init__(self, keys: IntArray, counts: IntArray, size: int) -> None:
        self._keys = keys
        self._counts = counts
        self._discount = _discount(counts)
        self._contexts, self._types = np.unique(keys // size, return_counts=True)
        self._totals = _sums(keys // size, counts, self._contexts)

    def interpolated(self, contexts: IntArray, keys: IntArray, lower: FloatArray) -> FloatArray:
        """Return discounted probabilities interpolated with the lower order's, which alone count in a new context."""
        at = _positions(self._contexts, contexts)
        known = at >= 0
        total = np.where(known, self._totals[at], 1)
        free = np.where(known, self._discount * self._types[at] / total, 1.0)
        found = _positions(self._keys, keys)
        own = np.where(found >= 0, (self._counts[found] - self._discount) / total, 0.0)
        return own + free * lower


def _positions(table: IntArray, keys: IntArray) -> IntArray:
    """Position of each key in a sorted table; -1 for a key that is not in it."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[at] == keys, at, -1)


def _sums(keys: IntArray, counts: IntArray, wanted: IntArray) -> IntArray:
    """Sum of the counts of each wanted key; the wanted keys are sorted, and other keys are ignored."""
    at = _positions(wanted, keys) if len(wanted) else np.full(len(keys), -1)
    sums: IntArray = np.bincount(at[at >= 0], weights=counts[at >= 0], minlength=len(wanted)).astype(np.int64)
    return sums


def _discount(counts: IntArray) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else _DISCOUNT
