"""Measures of a row: models that are fitted once on a corpus and applied to every row.

The splits of the corpus have three roles. The train split is for fitting the language model, the genre classifier and
the judges, and for finding copies. The test split is the row of real text, and the text of reverse perplexity. The
valid split is the real text of every row's two-sample test; for the real row both splits are mixed at random and the
halves compared.

Shapes: N texts, L words of all texts.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from handlers.model.topics import TopicModel
from training.corpus import Corpus
from training.evaluation.copying import SIZES, Copies, find_copies
from training.evaluation.diversity import SMALL, distinct, distinct_small, self_bleu
from training.evaluation.genre_classifier import GenreClassifier
from training.evaluation.intervals import Figure, Resampler
from training.evaluation.judges import Judges, LdaJudge
from training.evaluation.language_model import TrigramModel, WordVocabulary
from training.evaluation.metrics import missing
from training.evaluation.samples import RowKind, SampleSet, TextRow
from training.evaluation.surface import check
from training.evaluation.two_sample import tell_apart
from training.evaluation.words import Encoded, FloatArray, WordTable, words_and_signs

AUC_TEXTS: Final = 1000
"""Texts of each kind for a two-sample classifier."""
_MAX_GROUPS: Final = 5
_REVERSE_TESTED: Final = 5000
"""Maximum number of held-out sentences for reverse perplexity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Row with its figures."""

    row: TextRow
    figures: Mapping[str, Figure]
    reverse_ratio: float
    """Ratio of reverse perplexity to that of as many training sentences."""
    num_texts: int
    """Texts per seed."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reasons of the figures that could not be computed, by name."""


@dataclass(slots=True)
class Yardstick:
    """Measures of rows, fitted on a corpus."""

    corpus: Corpus
    judges: Judges
    reward: TopicModel | None
    """LDA of the reward for rows without a model; rows of a model are measured by its own LDA."""
    reference: Sequence[SampleSet]
    """Real text for the two-sample test; its sets take turns if a row has more sets."""
    resampler: Resampler = field(default_factory=Resampler)
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time spent on each metric."""
    _table: WordTable = field(default_factory=WordTable)
    _signs: WordTable = field(default_factory=lambda: WordTable(split=words_and_signs))
    _reverse_of_real: dict[int, float] = field(default_factory=dict)
    _train: Encoded = field(init=False)
    _vocabulary: WordVocabulary = field(init=False)
    _forward: TrigramModel = field(init=False)
    _tested: Encoded = field(init=False)
    _genres: GenreClassifier = field(init=False)

    def __post_init__(self) -> None:
        train, test = self.corpus.part("train"), self.corpus.part("test")
        with self._timed("fit: language model"):
            self._train = self._table.encode(train.texts)
            self._vocabulary = WordVocabulary.of(self._train)
            self._forward = TrigramModel(self._vocabulary, self._train)
            self._tested = self._table.encode(test.texts[:_REVERSE_TESTED])
        with self._timed("fit: genre classifier"):
            self._genres = GenreClassifier.fit(train)

    def measure(self, row: TextRow) -> Measured:
        """Measure all figures of a row; none of its sets may be empty."""
        encoded = [self._table.encode(each.texts) for each in row.sets]
        figures: dict[str, Figure] = {}
        with self._timed("forward perplexity"):
            figures |= self._forward_figures(encoded)
        with self._timed("reverse perplexity"):
            figures["reverse_ppl"] = self._reverse(row, encoded)
        with self._timed("two-sample AUC"):
            figures |= self._two_sample(row, encoded)
        with self._timed("distinct-n"):
            for size in (1, 2):
                figures[f"distinct_{size}"] = distinct(encoded, size)
                figures[f"distinct_{size}_at_100"] = distinct_small(encoded, size, self.resampler)
        with self._timed("self-BLEU"):
            figures["self_bleu"] = self_bleu([each.texts for each in row.sets], self.resampler)
        with self._timed("genre accuracy"):
            figures |= self._genre_accuracy(row)
        with self._timed("desired share"):
            figures |= self._desired(row)
        with self._timed("surface"):
            figures |= self._surface(row, encoded)
        with self._timed("copying"):
            figures |= self._copying(encoded)
        return Measured(
            row=row,
            figures=figures,
            reverse_ratio=figures["reverse_ppl"].value / self._reverse_real(min(map(len, row.sets))),
            num_texts=min(map(len, row.sets)),
            missing=missing(figures),
        )

    def quick_figures(self, row: TextRow) -> dict[str, Figure]:
        """Measure the figures of the curve over temperatures."""
        encoded = [self._table.encode(each.texts) for each in row.sets]
        return {
            **self._forward_figures(encoded),
            "reverse_ppl": self._reverse(row, encoded),
            "two_sample_auc": self._area(row, encoded, self._table, AUC_TEXTS),
            "distinct_2": distinct(encoded, 2),
        }

    def _forward_figures(self, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        scores = [self._forward.score(each) for each in encoded]
        counts = [score.count_N.astype(np.float64) for score in scores]
        words = [np.maximum(count - 1, 0) for count in counts]
        unseen = [score.unknown_N.astype(np.float64) for score in scores]
        return {
            "forward_ppl": self.resampler.ratio([-score.log_prob_N for score in scores], counts, np.exp),
            "unseen_words": self.resampler.ratio(unseen, words),
        }

    def _reverse(self, row: TextRow, encoded: Sequence[Encoded]) -> Figure:
        if row.kind is RowKind.REAL:
            # As many training sentences instead of the tested text, different ones for each seed.
            encoded = [self._some_of_train(len(each), seed) for seed, each in enumerate(row.sets)]
        scores = [TrigramModel(self._vocabulary, each).score(self._tested) for each in encoded]
        return self.resampler.ratio(
            [-score.log_prob_N for score in scores],
            [score.count_N.astype(np.float64) for score in scores],
            np.exp,
            common=True,
        )

    def _reverse_real(self, size: int) -> float:
        """Reverse perplexity of that many training sentences."""
        if size not in self._reverse_of_real:
            model = TrigramModel(self._vocabulary, self._some_of_train(size, 0))
            self._reverse_of_real[size] = model.score(self._tested).perplexity
        return self._reverse_of_real[size]

    def _some_of_train(self, size: int, seed: int) -> Encoded:
        chosen = np.random.default_rng((seed, 2)).permutation(len(self._train.lengths_N))[:size]
        return self._train.take(chosen)

    def _two_sample(self, row: TextRow, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        signs = [self._signs.encode(each.texts) for each in row.sets]
        figures = {
            "two_sample_auc": self._area(row, encoded, self._table, AUC_TEXTS),
            "two_sample_auc_signs": self._area(row, signs, self._signs, AUC_TEXTS),
            "two_sample_auc_at_100": self._area(row, encoded, self._table, SMALL),
        }
        if min(map(len, row.sets)) > AUC_TEXTS:
            figures["two_sample_auc_at_all"] = self._area(row, encoded, self._table, None)
        return figures

    def _area(self, row: TextRow, encoded: Sequence[Encoded], table: WordTable, size: int | None) -> Figure:
        """Mean area over groups of `size` texts of each set, or over whole sets if it is None.

        With more texts the classifier learns more and the area grows, so only equal sizes are comparable.
        """
        groups = []
        for number, (each, texts) in enumerate(zip(row.sets, encoded, strict=True)):
            real = self.reference[number % len(self.reference)]
            sides = _Side(texts, each.keys), _Side(table.encode(real.texts), real.keys)
            if row.kind is RowKind.REAL:
                # Sentences of other songs are distinguishable by subject, so the floor is text of the same songs.
                sides = _shuffled(*sides)
            most = min(map(len, sides))
            step = most if size is None else min(size, most)
            starts = range(0, most - step + 1, step)[:_MAX_GROUPS]
            groups += [[side.part(start, start + step) for side in sides] for start in starts]
        scores = [
            tell_apart(one.texts, other.texts, sample_keys=one.keys, real_keys=other.keys) for one, other in groups
        ]
        return self.resampler.auc(scores)

    def _genre_accuracy(self, row: TextRow) -> dict[str, Figure]:
        found = [self._genres.hits(each.texts, each.genres) for each in row.sets if each.genres is not None]
        hits, counted = [hit for hit, _ in found], [count.astype(np.float64) for _, count in found]
        return {"genre_accuracy": self.resampler.ratio(hits, counted)}

    def _desired(self, row: TextRow) -> dict[str, Figure]:
        figures = {}
        reward = row.model.bundle.topics if row.model is not None else self.reward
        judges = {f"desired_share_{judge.name}": judge for judge in self.judges.all()}
        if reward is not None:
            judges = {"desired_share": LdaJudge(reward, "reward"), **judges}
        for name, judge in judges.items():
            figures[name] = self.resampler.ratio([judge.shares(each.texts) for each in row.sets])
        return figures

    def _surface(self, row: TextRow, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        checks = [check(each.texts) for each in row.sets]
        figures = {name: self.resampler.ratio([each[name] for each in checks]) for name in checks[0]}
        figures["length"] = self.resampler.ratio([each.lengths_N.astype(np.float64) for each in encoded])
        if any(each.tokens for each in row.sets):
            for name, amounts in (
                ("tokens_per_sample", [each.tokens / len(each) for each in row.sets]),
                ("ms_per_sample", [1000 * each.seconds / len(each) for each in row.sets]),
            ):
                figures[name] = _spread(amounts)
        return figures

    def _copying(self, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        every = Encoded(
            flat_L=np.concatenate([each.flat_L for each in encoded]),
            lengths_N=np.concatenate([each.lengths_N for each in encoded]),
        )
        copies = find_copies(self._train, every)
        ends = np.cumsum([len(each.lengths_N) for each in encoded]).tolist()
        parts = [copies.part(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        return {
            "copy_exact": self.resampler.ratio([part.exact.astype(np.float64) for part in parts]),
            "copy_longest": self.resampler.ratio([part.longest.astype(np.float64) for part in parts]),
            "copy_longest_of_all": _spread([float(part.longest.max(initial=0)) for part in parts]),
            **{f"copy_{size}gram": self._copied(parts, size) for size in SIZES},
        }

    def _copied(self, parts: Sequence[Copies], size: int) -> Figure:
        def floats(counts: Sequence[np.ndarray]) -> list[FloatArray]:
            return [each.astype(np.float64) for each in counts]

        return self.resampler.ratio(
            floats([part.copied[size] for part in parts]), floats([part.total[size] for part in parts])
        )

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a two-sample test: texts with the group of each."""

    texts: Encoded
    keys: Sequence[str]

    def __len__(self) -> int:
        return len(self.keys)

    def part(self, start: int, end: int) -> _Side:
        return _Side(self.texts.take(np.arange(start, end)), self.keys[start:end])


def _shuffled(one: _Side, other: _Side) -> tuple[_Side, _Side]:
    """Mix two sides and split them at random."""
    texts = Encoded(
        flat_L=np.concatenate((one.texts.flat_L, other.texts.flat_L)),
        lengths_N=np.concatenate((one.texts.lengths_N, other.texts.lengths_N)),
    )
    keys = [*one.keys, *other.keys]
    order = np.random.default_rng(3).permutation(len(keys))
    halves = order[: len(keys) // 2], order[len(keys) // 2 :]
    first, last = (_Side(texts.take(half), [keys[number] for number in half.tolist()]) for half in halves)
    return first, last


def _spread(values: Sequence[float]) -> Figure:
    """Figure of whole sets, whose interval is the range of the seeds."""
    return Figure(value=float(np.mean(values)), low=min(values), high=max(values), per_seed=tuple(values))
