"""Decision whether a new version becomes the champion, by a quick form of the report's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from handlers.model.bundle import BundleError
from training.corpus import Corpus
from training.errors import TrainingError
from training.evaluation.goals import Goal, deciding, goals
from training.evaluation.intervals import Resampler
from training.evaluation.judges import fit_judges
from training.evaluation.models import LoadedModel
from training.evaluation.plan import DecodePlan
from training.evaluation.rows import RowKind, SampleSet, TextRow, desired_sets, real_sets
from training.evaluation.samples import decode_rows
from training.evaluation.verdict import Outcome, Verdict, verdict
from training.evaluation.yardstick import Measured, Yardstick
from training.progress import Progress

_SAMPLES: Final = 300
"""Samples of each version. They tell versions apart that differ as much as a reader notices."""
_REAL_SENTENCES: Final = 2000
_REPLICATES: Final = 300
_BASIC: Final = 6
"""Number of goals that a first version is measured by: those of words, names and faults, which come first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Decision about a version, with its reason in words."""

    promote: bool
    reason: str


@dataclass(slots=True, kw_only=True)
class Promoter:
    """Comparison of new versions with champions; what is fitted to the corpus is fitted once, when it is needed."""

    corpus: Corpus
    cache: Path | None
    """Folder that keeps judges and samples."""
    watch: Callable[[str], Progress]
    """Makes the progress callback of a named piece of work."""
    plan: DecodePlan = field(default_factory=lambda: DecodePlan(num_samples=_SAMPLES, seeds=1))
    _bench: _Bench | None = None
    _measured: dict[tuple[str, RowKind], Measured] = field(default_factory=dict)

    def decide(self, new: LoadedModel, champion: LoadedModel | None, prior: LoadedModel | None) -> Decision:
        """Decide whether a new version becomes the champion.

        A version that is worse than the champion does not; nor does one that cannot be compared with it. A first
        version does unless it is worse than its prior or misses every basic goal.

        Args:
            new: the new version.
            champion: the champion; None without one.
            prior: the cvae whose z the new version moves; None for a cvae.
        """
        if champion is not None and champion.sha256 == new.sha256:
            return Decision(promote=False, reason=f"{new.name} is the same model as the champion, {champion.name}")
        try:
            return self._first(new, prior) if champion is None else self._against(new, champion, prior)
        # A corpus too small to measure anything with, or a champion of another kind, must not fail a training.
        except (TrainingError, BundleError) as cause:
            return Decision(promote=champion is None, reason=f"{new.name} was not compared: {cause}")

    def _against(self, new: LoadedModel, champion: LoadedModel, prior: LoadedModel | None) -> Decision:
        found = self._verdict(new, champion, prior)
        return Decision(promote=found.outcome is not Outcome.WORSE, reason=found.words)

    def _first(self, new: LoadedModel, prior: LoadedModel | None) -> Decision:
        row = self._row(new, RowKind.SERVED)
        basic = deciding(self._goals(row, prior))[:_BASIC]
        met = [goal.text for goal in basic if goal.met]
        if not met:
            missed = "; ".join(goal.text for goal in basic)
            return Decision(promote=False, reason=f"{new.name}, the first version, meets no basic goal: {missed}")
        if prior is not None:
            found = self._verdict(new, prior, prior)
            if found.outcome is Outcome.WORSE:
                return Decision(promote=False, reason=f"the first version; {found.words}")
        return Decision(
            promote=True, reason=f"{new.name} is the first version and meets {len(met)} of {len(basic)} basic goals"
        )

    def _verdict(self, new: LoadedModel, old: LoadedModel, prior: LoadedModel | None) -> Verdict:
        rows = [self._row(model, RowKind.SERVED) for model in (new, old)]
        bench = self._fitted(new.kind)
        checked = [self._goals(row, prior) for row in rows]
        return verdict(rows[0], rows[1], *checked, real=bench.real, of_kind=bench.of_kind)

    def _goals(self, row: Measured, prior: LoadedModel | None) -> list[Goal]:
        bench = self._fitted("")
        of_prior = None if prior is None else self._row(prior, RowKind.MODEL)
        return goals(row, bench.real, of_prior, bench.of_kind)

    def _row(self, model: LoadedModel, kind: RowKind) -> Measured:
        """Measure what a model's worker serves, or for `RowKind.MODEL` its first candidates; each row once."""
        key = model.sha256, kind
        if key not in self._measured:
            bench = self._fitted(model.kind)
            plan = replace(self.plan, best_of=1) if kind is RowKind.MODEL else self.plan
            progress = self.watch(f"compare {model.kind}")
            *_, row = decode_rows(model, bench.asked, plan, cache=self.cache, progress=progress)
            self._measured[key] = bench.yardstick.measure(row)
        return self._measured[key]

    def _fitted(self, kind: str) -> _Bench:
        if self._bench is None:
            self._bench = _Bench.fit(self.corpus, self.plan, self.cache, self.watch(f"compare {kind}"))
        return self._bench


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """Yardstick and real text that every version is measured with."""

    yardstick: Yardstick
    asked: list[SampleSet]
    real: Measured
    of_kind: Measured | None

    @classmethod
    def fit(cls, corpus: Corpus, plan: DecodePlan, cache: Path | None, progress: Progress) -> _Bench:
        asked = real_sets(corpus, "test", plan)
        judges = fit_judges(corpus, workspace=cache, progress=progress)
        yardstick = Yardstick(
            corpus=corpus,
            judges=judges,
            reward=None,
            plan=plan,
            resampler=Resampler(replicates=_REPLICATES),
            quick=True,
        )
        many = replace(plan, num_samples=_REAL_SENTENCES)
        real = TextRow(name="held-out real text", kind=RowKind.REAL, sets=real_sets(corpus, "test", many))
        desired = desired_sets(corpus, "test", many, judges)
        of_kind = TextRow(name="held-out real text, desired kind", kind=RowKind.REAL_KIND, sets=desired)
        return cls(
            yardstick=yardstick,
            asked=asked,
            real=yardstick.measure(real),
            of_kind=yardstick.measure(of_kind) if desired else None,
        )
