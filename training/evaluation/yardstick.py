"""Measures of a row: models that are fitted once on a corpus and applied to every row.

The splits of the corpus have three roles. The train split is for fitting the language model, the genre classifier and
the judges, and for finding copies. The test split is the row of real text, and the text of reverse perplexity. The
valid split is the real text of every row's two-sample test, for which both splits are mixed at random and the halves
compared for a row of real text; it is also the text of the language model of fluency.

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
from training.evaluation.fluency import FluencyMeasure
from training.evaluation.genre_classifier import GenreClassifier
from training.evaluation.intervals import Figure, Resampler
from training.evaluation.judges import Judges, LdaJudge
from training.evaluation.language_model import TrigramModel, WordVocabulary
from training.evaluation.made_up import KnownWords
from training.evaluation.metrics import missing
from training.evaluation.openings import FREQUENT, Frequent, most_frequent
from training.evaluation.plan import DecodePlan
from training.evaluation.real_text import RealText, SameSize, all_real_text, concentrated, desired_real_text
from training.evaluation.rows import RowKind, TextRow, real_sets
from training.evaluation.surface import check
from training.evaluation.text_figures import TextMeasure
from training.evaluation.two_sample import Side, scores_of_groups, shuffled
from training.evaluation.words import Encoded, FloatArray, WordTable, words_and_signs

AUC_TEXTS: Final = 1000
"""Texts of each kind for a two-sample classifier."""
_MAX_GROUPS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Row with its figures."""

    row: TextRow
    figures: Mapping[str, Figure]
    reverse_ratio: float
    """Ratio of reverse perplexity to that of as many training sentences."""
    num_texts: int
    """Texts per seed."""
    same_size: SameSize
    """Comparison with as many real sentences: of the desired kind for a model that moves z, of every kind otherwise."""
    frequent: Mapping[str, Frequent] = field(default_factory=dict)
    """Most frequent opening and sentence of the first seed."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Reasons of the figures that could not be computed, by name."""


@dataclass(slots=True, kw_only=True)
class Yardstick:
    """Measures of rows, fitted on a corpus."""

    corpus: Corpus
    judges: Judges
    reward: TopicModel | None
    """LDA of the reward for rows without a model; rows of a model are measured by its own LDA."""
    plan: DecodePlan
    resampler: Resampler = field(default_factory=Resampler)
    quick: bool = False
    """Whether only the figures that goals and verdicts need are measured."""
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Time spent on each metric."""
    text_measure: TextMeasure = field(init=False)
    real: RealText = field(init=False)
    """Real text of every kind."""
    _table: WordTable = field(default_factory=WordTable)
    _signs: WordTable = field(default_factory=lambda: WordTable(split=words_and_signs))
    _forward: TrigramModel = field(init=False)
    _desired: RealText | None = field(init=False)
    _genres: GenreClassifier = field(init=False)

    def __post_init__(self) -> None:
        train, valid = self.corpus.part("train"), self.corpus.part("valid")
        # A split that is too small is an error before anything is fitted.
        reference = real_sets(self.corpus, "valid", self.plan)
        with self._timed("fit: language models"):
            encoded = self._table.encode(train.texts)
            vocabulary = WordVocabulary.of(encoded)
            self._forward = TrigramModel(vocabulary, encoded)
            fluency = FluencyMeasure(vocabulary=vocabulary, valid=self._table.encode(valid.texts), train=encoded)
        with self._timed("fit: known words"):
            known = KnownWords.of(train.texts)
        self.text_measure = TextMeasure(known=known, fluency=fluency, judges=self.judges, train=encoded)
        with self._timed("fit: real text of the desired kind"):
            self.real = all_real_text(self.corpus, reference, self._table, vocabulary)
            self._desired = desired_real_text(self.corpus, self.plan, self.judges, self._table, vocabulary)
        with self._timed("fit: genre classifier"):
            self._genres = GenreClassifier.fit(train)

    def per_text(self, texts: Sequence[str]) -> dict[str, FloatArray]:
        """Return every figure of single texts by name, [N]."""
        encoded = self._table.encode(texts)
        score = self._forward.score(encoded)
        found = self.text_measure.per_text(texts, encoded)
        return {**found, "forward_ppl": np.exp(-score.log_prob_N / np.maximum(score.count_N, 1))}

    def measure(self, row: TextRow) -> Measured:
        """Measure all figures of a row; none of its sets may be empty."""
        texts = [each.texts for each in row.sets]
        encoded = [self._table.encode(each) for each in texts]
        figures: dict[str, Figure] = {}
        with self._timed("forward perplexity"):
            figures |= self._forward_figures(encoded)
        with self._timed("reverse perplexity"):
            figures |= self._reverse_figures(row, encoded)
        with self._timed("two-sample AUC"):
            figures |= self._two_sample(row, encoded)
        with self._timed("distinct-n and openings"):
            diversity, same_size = self._diversity(row, encoded)
            figures |= diversity
        if not self.quick:
            with self._timed("self-BLEU"):
                figures["self_bleu"] = self_bleu(texts, self.resampler)
        with self._timed("made-up words, names, fluency"):
            figures |= self.text_measure.row_figures(texts, encoded, self.resampler)
        with self._timed("genre accuracy"):
            figures |= self._genre_accuracy(row)
        with self._timed("desired share"):
            figures |= self._desired_shares(row)
        with self._timed("surface"):
            figures |= self._surface(row, encoded)
        with self._timed("copying"):
            figures |= self._copying(encoded)
        size = min(map(len, row.sets))
        return Measured(
            row=row,
            figures=figures,
            reverse_ratio=figures["reverse_ppl"].value / self.real.reverse_perplexity(size),
            num_texts=size,
            same_size=same_size,
            frequent={name: most_frequent(texts[0], key) for name, key in FREQUENT.items()},
            missing=missing(figures),
        )

    def quick_figures(self, row: TextRow) -> dict[str, Figure]:
        """Measure the figures of the curve over temperatures."""
        encoded = [self._table.encode(each.texts) for each in row.sets]
        return {
            **self._forward_figures(encoded),
            "reverse_ppl": self._reverse(row, encoded, self.real),
            "two_sample_auc": self._area(row, encoded, self._table, AUC_TEXTS, self.real),
            "distinct_2": distinct(encoded, 2),
        }

    def _of_kind(self, row: TextRow) -> RealText | None:
        """Real text of the desired kind, for the rows that are compared with it."""
        moves = row.model is not None and row.model.moves
        return self._desired if moves or row.kind is RowKind.REAL_KIND else None

    def _forward_figures(self, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        scores = [self._forward.score(each) for each in encoded]
        counts = [score.count_N.astype(np.float64) for score in scores]
        words = [np.maximum(count - 1, 0) for count in counts]
        unseen = [score.unknown_N.astype(np.float64) for score in scores]
        return {
            "forward_ppl": self.resampler.ratio([-score.log_prob_N for score in scores], counts, np.exp),
            "unseen_words": self.resampler.ratio(unseen, words),
        }

    def _reverse_figures(self, row: TextRow, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        kind = self._of_kind(row)
        figures = {"reverse_ppl": self._reverse(row, encoded, self.real)}
        if kind is not None and not self.quick:
            figures["reverse_ppl_kind"] = self._reverse(row, encoded, kind)
        return figures

    def _reverse(self, row: TextRow, encoded: Sequence[Encoded], real: RealText) -> Figure:
        if row.kind.is_real:
            # As many training sentences instead of the tested text, different ones for each seed.
            pool = (self._desired if row.kind is RowKind.REAL_KIND else None) or self.real
            encoded = [pool.draw(len(each), seed) for seed, each in enumerate(row.sets)]
        scores = [TrigramModel(real.vocabulary, each).score(real.tested) for each in encoded]
        return self.resampler.ratio(
            [-score.log_prob_N for score in scores],
            [score.count_N.astype(np.float64) for score in scores],
            np.exp,
            common=True,
        )

    def _two_sample(self, row: TextRow, encoded: Sequence[Encoded]) -> dict[str, Figure]:
        figures = {"two_sample_auc": self._area(row, encoded, self._table, AUC_TEXTS, self.real)}
        if self.quick:
            return figures
        signs = [self._signs.encode(each.texts) for each in row.sets]
        figures["two_sample_auc_signs"] = self._area(row, signs, self._signs, AUC_TEXTS, self.real)
        figures["two_sample_auc_at_100"] = self._area(row, encoded, self._table, SMALL, self.real)
        if min(map(len, row.sets)) > AUC_TEXTS:
            figures["two_sample_auc_at_all"] = self._area(row, encoded, self._table, None, self.real)
        kind = self._of_kind(row)
        if kind is not None:
            figures["two_sample_auc_kind"] = self._area(row, encoded, self._table, AUC_TEXTS, kind)
        return figures

    def _area(
        self, row: TextRow, encoded: Sequence[Encoded], table: WordTable, size: int | None, real: RealText
    ) -> Figure:
        """Mean area over groups of `size` texts of each set, or over whole sets if it is None."""
        pairs = []
        for number, (each, texts) in enumerate(zip(row.sets, encoded, strict=True)):
            other = real.reference[number % len(real.reference)]
            sides = Side(texts, each.keys), Side(table.encode(other.texts), other.keys)
            # Sentences of other songs are distinguishable by subject, so the floor is text of the same songs.
            same_kind = real is (self._desired if row.kind is RowKind.REAL_KIND else self.real)
            pairs.append(shuffled(*sides) if row.kind.is_real and same_kind else sides)
        return self.resampler.auc(scores_of_groups(pairs, size, _MAX_GROUPS))

    def _diversity(self, row: TextRow, encoded: Sequence[Encoded]) -> tuple[dict[str, Figure], SameSize]:
        figures = concentrated([each.texts for each in row.sets], encoded)
        real = self._of_kind(row) or self.real
        size = min(len(real.pool), *map(len, row.sets))
        own: Mapping[str, Figure] = dict(figures)
        if size < max(map(len, row.sets)):
            first = np.arange(size)
            own = concentrated([each.texts[:size] for each in row.sets], [each.take(first) for each in encoded])
        same_size = SameSize(size=size, own=own, real=real.concentrated(size))
        if not self.quick:
            figures["distinct_1"] = distinct(encoded, 1)
            for gram in (1, 2):
                figures[f"distinct_{gram}_at_100"] = distinct_small(encoded, gram, self.resampler)
        for name in ("distinct_2", "opening_shared"):
            figures[f"{name}_of_real"] = same_size.ratio(name)
        return figures, same_size

    def _genre_accuracy(self, row: TextRow) -> dict[str, Figure]:
        found = [self._genres.hits(each.texts, each.genres) for each in row.sets if each.genres is not None]
        hits, counted = [hit for hit, _ in found], [count.astype(np.float64) for _, count in found]
        return {"genre_accuracy": self.resampler.ratio(hits, counted)}

    def _desired_shares(self, row: TextRow) -> dict[str, Figure]:
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
        copies = find_copies(self.text_measure.train, every)
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


def _spread(values: Sequence[float]) -> Figure:
    """Figure of whole sets, whose interval is the range of the seeds."""
    return Figure(value=float(np.mean(values)), low=min(values), high=max(values), per_seed=tuple(values))
