"""Real text that rows are compared with: all of it, or that of the desired kind.

A model that shifts z writes one kind of sentence. Against real text of every kind it is bound to look narrow and
distinguishable, so it is compared with real text of the same kind as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from training.corpus import Corpus
from training.evaluation.diversity import distinct
from training.evaluation.intervals import Figure
from training.evaluation.judges import Judges
from training.evaluation.language_model import TrigramModel, WordVocabulary
from training.evaluation.openings import concentration
from training.evaluation.plan import DecodePlan
from training.evaluation.rows import MIN_TEXTS, SampleSet, desired_sets, judged_desired
from training.evaluation.words import Encoded, WordTable

_TESTED: Final = 5000
"""Maximum number of held-out sentences for reverse perplexity."""
_JUDGED_AT_ONCE: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SameSize:
    """Figures that depend on the number of texts, of a row and of as many real sentences of its kind."""

    size: int
    own: Mapping[str, Figure]
    real: Mapping[str, Figure]

    def ratio(self, name: str) -> Figure:
        """Ratio of the row's figure to real text's, whose own interval is not counted."""
        own, real = self.own[name], self.real[name].value or math.nan
        return Figure(
            value=own.value / real,
            low=own.low / real,
            high=own.high / real,
            per_seed=tuple(value / real for value in own.per_seed),
        )


@dataclass(slots=True, kw_only=True)
class RealText:
    """Real text, whose splits have three roles: to be tested, to be distinguished from, and to be drawn from."""

    tested: Encoded
    """Sentences of the test split, the text of reverse perplexity."""
    reference: Sequence[SampleSet]
    """Sets of the valid split for the two-sample test; they take turns if a row has more sets."""
    pool: Sequence[str]
    """Sentences of the training split, from which as many as a row has are drawn."""
    pool_encoded: Encoded
    vocabulary: WordVocabulary
    _reverse: dict[int, float] = field(default_factory=dict)
    _same_size: dict[int, dict[str, Figure]] = field(default_factory=dict)

    def draw(self, size: int, seed: int) -> Encoded:
        """Draw sentences of the training split, others for each seed."""
        return self.pool_encoded.take(self._chosen(size, seed))

    def reverse_perplexity(self, size: int) -> float:
        """Reverse perplexity of that many training sentences."""
        if size not in self._reverse:
            self._reverse[size] = TrigramModel(self.vocabulary, self.draw(size, 0)).score(self.tested).perplexity
        return self._reverse[size]

    def concentrated(self, size: int) -> dict[str, Figure]:
        """Measure distinct-2 and the openings of that many training sentences, since both depend on the number."""
        if size not in self._same_size:
            chosen = self._chosen(size, 0)
            texts = [self.pool[number] for number in chosen.tolist()]
            self._same_size[size] = concentrated([texts], [self.pool_encoded.take(chosen)])
        return self._same_size[size]

    def _chosen(self, size: int, seed: int) -> np.ndarray:
        return np.random.default_rng((seed, 2)).permutation(len(self.pool))[:size]


def concentrated(sets: Sequence[Sequence[str]], encoded: Sequence[Encoded]) -> dict[str, Figure]:
    """Measure distinct-2, and the concentration of openings and sentences, of some sets of texts."""
    return {"distinct_2": distinct(encoded, 2), **concentration(sets)}


def all_real_text(
    corpus: Corpus, reference: Sequence[SampleSet], table: WordTable, vocabulary: WordVocabulary
) -> RealText:
    """Collect the real text of every kind; the reference is of the valid split."""
    train = corpus.part("train").texts
    return RealText(
        tested=table.encode(corpus.part("test").texts[:_TESTED]),
        reference=reference,
        pool=train,
        pool_encoded=table.encode(train),
        vocabulary=vocabulary,
    )


def desired_real_text(
    corpus: Corpus, plan: DecodePlan, judges: Judges, table: WordTable, vocabulary: WordVocabulary
) -> RealText | None:
    """Collect the real text that both judges call desired; None if a split has too little of it."""
    tested = desired_sets(corpus, "test", plan, judges)
    reference = desired_sets(corpus, "valid", plan, judges)
    pool = _desired_of_train(corpus.part("train").texts, plan.num_samples, judges)
    if not (tested and reference and len(pool) >= MIN_TEXTS):
        return None
    return RealText(
        tested=table.encode([text for each in tested for text in each.texts][:_TESTED]),
        reference=reference,
        pool=pool,
        pool_encoded=table.encode(pool),
        vocabulary=vocabulary,
    )


def _desired_of_train(texts: Sequence[str], wanted: int, judges: Judges) -> list[str]:
    """Judge training sentences in a random order until there are as many desired ones as wanted."""
    order = np.random.default_rng(4).permutation(len(texts)).tolist()
    found: list[str] = []
    for start in range(0, len(order), _JUDGED_AT_ONCE):
        part = [texts[number] for number in order[start : start + _JUDGED_AT_ONCE]]
        found += [text for text, desired in zip(part, judged_desired(part, judges).tolist(), strict=True) if desired]
        if len(found) >= wanted:
            break
    return found[:wanted]
