"""A word trigram model with interpolated Kneser-Ney smoothing (Ney, Essen and Kneser 1994; Chen and Goodman 1999).

    p(c | a b) = max(n(abc) - D3, 0) / n(ab.) + D3 t(ab.) / n(ab.) p(c | b)
    p(c | b)   = max(k(bc) - D2, 0) / k(b.) + D2 t(b.) / k(b.) p(c)
    p(c)       = max(k(c) - D1, 0) / k(.) + D1 t(.) / k(.) / V

n counts; k counts the different words that come before (what starts a sentence has nothing before it and keeps its
count); t counts the different words that come after; D = n1 / (n1 + 2 n2) per order. Why our own: the libraries at hand
are C++ with a build step (KenLM) or go word by word through Python (NLTK's takes minutes for what takes a second here),
and the metric needs one small model per row and seed.

A word outside the vocabulary is charged p(unknown) / M, M being the words that the vocabulary's text holds once: a
writer who makes words up must not find them cheap. Such words are counted on their own too (`Score.unknown_N`).

Shapes: N sentences, L predicted words (end marks included), V words of the vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from training.evaluation.words import BoolArray, Encoded, FloatArray, IntArray

_BOS: Final = 0
_EOS: Final = 1
_UNKNOWN: Final = 2
_SPECIALS: Final = 3
# For counts too few to estimate from: the middle of what real text gives.
_DISCOUNT: Final = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class WordVocabulary:
    """The words that every model of a comparison predicts."""

    entry_of: IntArray
    """Entry of each word of the `WordTable`; words that came to the table later have none."""
    size: int
    """Entries, marks included."""
    num_rare: int
    """Words of the text that were too rare to be in it: how many an unknown word is one of."""

    @classmethod
    def of(cls, encoded: Encoded, *, min_count: int = 2) -> WordVocabulary:
        """Words that come at least `min_count` times in some texts."""
        counts = np.bincount(encoded.flat_L)
        kept = counts >= min_count
        entry_of = np.where(kept, np.cumsum(kept) - 1 + _SPECIALS, _UNKNOWN)
        num_rare = int((counts > 0).sum() - kept.sum())
        return cls(entry_of=entry_of, size=int(kept.sum()) + _SPECIALS, num_rare=max(1, num_rare))

    def __len__(self) -> int:
        return self.size

    def encode(self, encoded: Encoded) -> Sentences:
        """Texts with two start marks and an end mark each."""
        known = encoded.flat_L < len(self.entry_of)
        entries_L = np.where(known, self.entry_of[np.where(known, encoded.flat_L, 0)], _UNKNOWN)
        lengths_N = encoded.lengths_N + 3
        starts_N = np.cumsum(lengths_N) - lengths_N
        flat = np.full(int(lengths_N.sum()), _BOS)
        flat[starts_N + lengths_N - 1] = _EOS
        # Each text's words stand behind its two start marks and, before it, three marks per earlier text.
        flat[np.arange(len(entries_L)) + 3 * encoded.text_L + 2] = entries_L
        return Sentences(flat=flat, lengths_N=lengths_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentences:
    """Encoded sentences, marks included, one after the other."""

    flat: IntArray
    lengths_N: IntArray

    def trigrams(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Of every predicted word: the two words before it, itself, and its sentence; [L] each."""
        sentence = np.repeat(np.arange(len(self.lengths_N)), self.lengths_N)
        starts = np.repeat(np.cumsum(self.lengths_N) - self.lengths_N, self.lengths_N)
        at = np.flatnonzero(np.arange(len(self.flat)) - starts >= 2)
        return self.flat[at - 2], self.flat[at - 1], self.flat[at], sentence[at]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a model makes of each sentence."""

    log_prob_N: FloatArray
    """Nats, of all words and the end mark."""
    count_N: IntArray
    """Words, the end mark included."""
    unknown_N: IntArray
    """Words outside the vocabulary."""

    @property
    def perplexity(self) -> float:
        """Per word, over all sentences."""
        return float(np.exp(-self.log_prob_N.sum() / max(1, self.count_N.sum())))


class TrigramModel:
    """See the module."""

    def __init__(self, vocabulary: WordVocabulary, texts: Encoded) -> None:
        """Count and discount.

        Raises:
            ValueError: there is no text.
        """
        if not len(texts.lengths_N):
            raise ValueError("a language model needs at least one text")
        self._vocabulary = vocabulary
        a, b, c, _ = vocabulary.encode(texts).trigrams()
        size = len(vocabulary)
        trigrams, counts = np.unique((a * size + b) * size + c, return_counts=True)
        self._third = _Order(trigrams, counts, size)
        bigrams, after = np.unique(trigrams % (size * size), return_counts=True)
        # What starts a sentence has only the start mark before it, so its own count says more.
        first = bigrams // size == _BOS
        after[first] = _sums(trigrams % (size * size), counts, bigrams[first])
        self._second = _Order(bigrams, after, size)
        unigrams, before = np.unique(bigrams % size, return_counts=True)
        discount = _discount(before)
        total = before.sum()
        # Every word and mark but the start can come next.
        rest = discount * len(unigrams) / total / (size - 1)
        self._first_V = np.full(size, rest)
        self._first_V[unigrams] += (before - discount) / total
        self._first_V[_BOS] = 0.0

    def probabilities(self, a: IntArray, b: IntArray, c: IntArray) -> FloatArray:
        """p(c | a b) of vocabulary entries, the unknown word as one of them."""
        size = len(self._vocabulary)
        second = self._second.interpolated(b, b * size + c, self._first_V[c])
        return self._third.interpolated(a * size + b, (a * size + b) * size + c, second)

    def score(self, texts: Encoded) -> Score:
        """Score each text as a sentence."""
        sentences = self._vocabulary.encode(texts)
        a, b, c, sentence = sentences.trigrams()
        unknown: BoolArray = c == _UNKNOWN
        log_prob = np.log(self.probabilities(a, b, c)) - unknown * np.log(self._vocabulary.num_rare)
        size = len(sentences.lengths_N)
        return Score(
            log_prob_N=np.bincount(sentence, weights=log_prob, minlength=size).astype(np.float64),
            count_N=np.bincount(sentence, minlength=size),
            unknown_N=np.bincount(sentence[unknown], minlength=size),
        )


class _Order:
    """N-grams of one order, by the number of their context times the vocabulary plus the word."""

    def __init__(self, keys: IntArray, counts: IntArray, size: int) -> None:
        self._keys = keys
        self._counts = counts
        self._discount = _discount(counts)
        self._contexts, self._types = np.unique(keys // size, return_counts=True)
        self._totals = _sums(keys // size, counts, self._contexts)

    def interpolated(self, contexts: IntArray, keys: IntArray, lower: FloatArray) -> FloatArray:
        """Discounted shares, what was taken off given to the order below; that order alone in a new context."""
        at = _positions(self._contexts, contexts)
        known = at >= 0
        total = np.where(known, self._totals[at], 1)
        free = np.where(known, self._discount * self._types[at] / total, 1.0)
        found = _positions(self._keys, keys)
        own = np.where(found >= 0, (self._counts[found] - self._discount) / total, 0.0)
        return own + free * lower


def _positions(table: IntArray, keys: IntArray) -> IntArray:
    """Place of each key in a sorted table, -1 for one that is not there."""
    at = np.minimum(np.searchsorted(table, keys), len(table) - 1)
    return np.where(table[at] == keys, at, -1)


def _sums(keys: IntArray, counts: IntArray, wanted: IntArray) -> IntArray:
    """Sum of the counts of each wanted key; the wanted are sorted, and other keys are passed over."""
    at = _positions(wanted, keys) if len(wanted) else np.full(len(keys), -1)
    sums: IntArray = np.bincount(at[at >= 0], weights=counts[at >= 0], minlength=len(wanted)).astype(np.int64)
    return sums


def _discount(counts: IntArray) -> float:
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once and twice else _DISCOUNT
