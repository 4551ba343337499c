"""Decision whether a new version becomes the champion, by a quick form of the report's verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from handlers.model.bundle import BundleError
from training.corpus import Corpus
from training.errors import TrainingError
from training.evaluation.goals import Goal, deciding, goals, steering_goals
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


PRIOR_SHARE: Final = "prior.desired_share"
MOVED_SHARE: Final = "moved.desired_share"
"""Figures of an LC-GAN's training: shares of the desired kind before and after it moves z."""
_LANGUAGE: Final = ("forward_ppl", "made_up_words", "unseen_bigrams")
"""Figures of the language that a version writes."""
REAL: Final = "real."
"""Prefix of the same figures of held-out real text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Decision about a version, with its reason in words."""

    promote: bool
    reason: str
    worse: bool = False
    """Whether the version is worse than its predecessor or its prior."""
    compared: bool = True
    """Whether the version was compared with anything; otherwise the decision rests on its training alone."""


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

    def decide(
        self,
        new: LoadedModel,
        champion: LoadedModel | None,
        prior: LoadedModel | None,
        trained: Mapping[str, float] | None = None,
    ) -> Decision:
        """Decide whether a new version becomes the champion.

        A version that is worse than the champion or than its prior does not; nor does one that cannot be compared with
        the champion. A first version does unless it misses every basic goal.

        Args:
            new: the new version.
            champion: the champion; None without one.
            prior: the cvae whose z the new version moves; None for a cvae.
            trained: figures of the new version's training.
        """
        if champion is not None and champion.sha256 == new.sha256:
            return Decision(promote=False, reason=f"{new.name} is the same model as the champion, {champion.name}")
        # Known without any comparison, and thus also for a corpus that is too small for one.
        if (fault := _steering_fault(new, trained or {})) is not None:
            return Decision(promote=False, reason=fault, worse=True)
        try:
            return self._first(new, prior) if champion is None else self._against(new, champion, prior)
        # A corpus too small to measure anything with, or a champion of another kind, must not fail a training.
        except (TrainingError, BundleError) as cause:
            reason = f"{new.name} was not compared: {cause}"
            return Decision(promote=champion is None, reason=reason, compared=False)

    def language(self, new: LoadedModel) -> dict[str, float]:
        """Return the figures of the language that a version's worker writes, and of real text; none without text."""
        try:
            row, real = self._row(new, RowKind.SERVED), self._fitted(new.kind).real
        except (TrainingError, BundleError):
            return {}
        return {
            f"{prefix}{name}": measured.figures[name].value
            for prefix, measured in (("", row), (REAL, real))
            for name in _LANGUAGE
        }

    def _against(self, new: LoadedModel, champion: LoadedModel, prior: LoadedModel | None) -> Decision:
        found = self._verdict(new, champion, prior)
        if found.outcome is Outcome.WORSE:
            return Decision(promote=False, reason=found.words, worse=True)
        return self._below_prior(new, prior) or Decision(promote=True, reason=found.words)

    def _first(self, new: LoadedModel, prior: LoadedModel | None) -> Decision:
        row = self._row(new, RowKind.SERVED)
        basic = deciding(self._goals(row, prior))[:_BASIC]
        met = [goal.text for goal in basic if goal.met]
        if not met:
            missed = "; ".join(goal.text for goal in basic)
            reason = f"{new.name}, the first version, meets no basic goal: {missed}"
            return Decision(promote=False, reason=reason, worse=True)
        return self._below_prior(new, prior) or Decision(
            promote=True, reason=f"{new.name} is the first version and meets {len(met)} of {len(basic)} basic goals"
        )

    def _below_prior(self, new: LoadedModel, prior: LoadedModel | None) -> Decision | None:
        """Hold back a version that is worse than the cvae whose z it moves; None for any other."""
        found = None if prior is None else self._verdict(new, prior, prior)
        if found is None or found.outcome is not Outcome.WORSE:
            return None
        reason = f"{new.name} is worse than the prior that it moves; {found.words}"
        return Decision(promote=False, reason=reason, worse=True)

    def _verdict(self, new: LoadedModel, old: LoadedModel, prior: LoadedModel | None) -> Verdict:
        rows = [self._row(model, RowKind.SERVED) for model in (new, old)]
        bench = self._fitted(new.kind)
        checked = [self._goals(row, prior) for row in rows]
        if new.moves and not old.moves:
            # The purpose of an lcgan counts for both, although a cvae is not made for it.
            checked[1] += steering_goals(rows[1], None)
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


def _steering_fault(new: LoadedModel, trained: Mapping[str, float]) -> str | None:
    """Say that an LC-GAN does not raise the share of the desired kind; None if it does, or for another model."""
    before, after = trained.get(PRIOR_SHARE), trained.get(MOVED_SHARE)
    if before is None or after is None or after > before:
        return None
    return (
        f"{new.name} is worse than the prior that it moves: its share of the desired kind is {after:.3f}, "
        f"that of the prior {before:.3f}"
    )


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
