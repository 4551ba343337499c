"""Verdict on two versions of a model, in words, by rules.

Figures are compared by their intervals: one version is ahead in a figure if the intervals do not overlap. A figure
counts up to its goal, or to the level of real text, and not beyond it, so that bland text gains nothing by being easier
than real text. A version beats another if it is ahead in something and behind in nothing. Where each is ahead in
something, the number of deciding goals met decides. A goal that only one of the two meets is not enough by itself,
since a single text can decide it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import combinations
from typing import Any, Final

import numpy as np

from training.evaluation.goals import BROKEN, DESIRED_SHARE, DISTINCT_2, Goal, deciding
from training.evaluation.intervals import Figure
from training.evaluation.metrics import METRICS
from training.evaluation.models import LoadedModel
from training.evaluation.rows import RowKind
from training.evaluation.yardstick import Measured

REALISM: Final = "realism"
"""Log odds of being real, by the discriminators of both versions."""
_JUDGED: Final = 1000
"""Maximum number of texts that discriminators judge."""
_Z: Final = 1.96


class Outcome(StrEnum):
    """Outcome of a verdict for the newer version."""

    BEATS = "beats"
    EQUAL = "equal"
    """No difference was found."""
    MIXED = "mixed"
    """Each is ahead in something, and both meet as many goals."""
    WORSE = "worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Figure of a verdict."""

    name: str
    """Name of a metric, or `REALISM`."""
    higher: bool
    """Whether higher is better; otherwise lower is."""
    moves_only: bool = False
    """Whether it counts for models that move z alone."""
    of_kind: bool = True
    """Whether its level is real text of the desired kind, for models that move z; otherwise real text of every kind."""
    goal: float | None = None
    """Goal up to which the figure counts, instead of real text's level."""


COMPARED: Final = (
    Compared(name="made_up_words", higher=False, of_kind=False),
    Compared(name="name_repeats", higher=False, of_kind=False),
    Compared(name="unseen_bigrams", higher=False),
    Compared(name="slor", higher=True),
    Compared(name="distinct_2_of_real", higher=True, goal=DISTINCT_2),
    Compared(name="opening_shared_of_real", higher=False, goal=1.0),
    Compared(name="copy_8gram", higher=False),
    Compared(name="broken", higher=False, goal=BROKEN),
    Compared(name="genre_accuracy", higher=True),
    Compared(name="desired_share_second_lda", higher=True, moves_only=True, goal=DESIRED_SHARE),
    Compared(name="desired_share_classifier", higher=True, moves_only=True, goal=DESIRED_SHARE),
)
"""Figures of a verdict in the order of its words."""
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    "made_up_words": ("fewer made-up words", "more made-up words"),
    "name_repeats": ("fewer repeated names", "more repeated names"),
    "unseen_bigrams": ("fewer unseen word pairs", "more unseen word pairs"),
    "slor": ("more fluent (SLOR)", "less fluent (SLOR)"),
    "distinct_2_of_real": ("more diverse (distinct-2 over real text's)", "less diverse (distinct-2 over real text's)"),
    "opening_shared_of_real": ("fewer shared openings over real text's", "more shared openings over real text's"),
    "copy_8gram": ("fewer copied 8-grams", "more copied 8-grams"),
    "broken": ("fewer open quotes and cut sentences", "more open quotes and cut sentences"),
    "genre_accuracy": ("closer to the genres", "further from the genres"),
    "desired_share_second_lda": ("more of the desired kind by the second LDA", "less of it by the second LDA"),
    "desired_share_classifier": ("more of the desired kind by the classifier", "less of it by the classifier"),
    REALISM: ("more like real text by the discriminators of both", "less like real text by the discriminators of both"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Comparison of a newer version with an older one."""

    new: str
    old: str
    outcome: Outcome
    ahead: tuple[str, ...]
    """Points in which the newer version is ahead, in words."""
    behind: tuple[str, ...]
    """Points in which the newer version is behind, in words."""
    goals: tuple[int, int, int]
    """Deciding goals of both: those that the newer version meets, that the older one meets, and all."""

    def document(self) -> dict[str, Any]:
        """Return the document of report.json."""
        return {
            "new": self.new,
            "old": self.old,
            "outcome": self.outcome,
            "words": self.words,
            "ahead": list(self.ahead),
            "behind": list(self.behind),
            "goals": list(self.goals),
        }

    @property
    def words(self) -> str:
        """The verdict as a sentence."""
        new, old, of = self.goals
        counts = f"It meets {new} of {of} goals, {self.old} {old}."
        ahead, behind = "; ".join(self.ahead), "; ".join(self.behind)
        if self.outcome is Outcome.BEATS:
            but = f" It is behind in this: {behind}." if behind else ""
            return f"{self.new} beats {self.old}: {ahead}.{but} {counts}"
        if self.outcome is Outcome.WORSE:
            but = f" It is ahead in this: {ahead}." if ahead else ""
            return f"{self.new} is worse than {self.old}: {behind}.{but} {counts}"
        if self.outcome is Outcome.MIXED:
            return f"{self.new} is not better than {self.old}: {ahead}; but {behind}. {counts}"
        return f"{self.new} is not better than {self.old}: no figure is outside the other's interval. {counts}"


def verdicts(
    rows: Sequence[Measured], goals: Mapping[str, Sequence[Goal]], real: Measured, of_kind: Measured | None
) -> list[Verdict]:
    """Compare each pair of versions of one model, by what their workers serve.

    Args:
        rows: rows of the report.
        goals: goals by the row's name.
        real: the row of held-out real text.
        of_kind: the row of held-out real text of the desired kind.
    """
    return [
        verdict(new, old, goals[new.row.name], goals[old.row.name], real=real, of_kind=of_kind)
        for old, new in combinations(served_rows(rows), 2)
        if new.row.model is not None and old.row.model is not None and new.row.model.kind == old.row.model.kind
    ]


def served_rows(rows: Sequence[Measured]) -> list[Measured]:
    """Return one row of each model, of what its worker serves, in the order of their versions."""
    chosen: dict[str, Measured] = {}
    for each in rows:
        model = each.row.model
        if model is not None and (model.sha256 not in chosen or each.row.kind is RowKind.SERVED):
            chosen[model.sha256] = each
    # Names end in the version: lcgan/10 follows lcgan/9. Others keep the order in which they were given.
    return sorted(chosen.values(), key=lambda each: _version(each.row.model))


def verdict(
    new: Measured,
    old: Measured,
    goals_of_new: Sequence[Goal],
    goals_of_old: Sequence[Goal],
    *,
    real: Measured,
    of_kind: Measured | None,
) -> Verdict:
    """Compare a newer version with an older one."""
    points = [*_figures(new, old, real, of_kind), *_realism(new, old)]
    ahead, behind = ([words for is_ahead, words in points if is_ahead is side] for side in (True, False))
    # A first lcgan is compared with its cvae, which has other goals too.
    both = {goal.text for goal in deciding(goals_of_new)} & {goal.text for goal in deciding(goals_of_old)}
    met, met_before = (sum(goal.met for goal in found if goal.text in both) for found in (goals_of_new, goals_of_old))
    return Verdict(
        new=_name(new),
        old=_name(old),
        outcome=_outcome(ahead, behind, met - met_before),
        ahead=tuple(ahead),
        behind=tuple(behind),
        goals=(met, met_before, len(both)),
    )


def _outcome(ahead: Sequence[str], behind: Sequence[str], more_goals: int) -> Outcome:
    if ahead and behind:
        return Outcome.BEATS if more_goals > 0 else Outcome.WORSE if more_goals < 0 else Outcome.MIXED
    if ahead:
        return Outcome.BEATS
    return Outcome.WORSE if behind else Outcome.EQUAL


def _figures(new: Measured, old: Measured, real: Measured, of_kind: Measured | None) -> Iterator[tuple[bool, str]]:
    """Compare the figures; yields whether the newer version is ahead, and in what, for each that differs."""
    moves = new.row.model is not None and new.row.model.moves
    for each in COMPARED:
        if each.moves_only and not moves:
            continue
        level = ((of_kind if each.of_kind and moves else None) or real).figures.get(each.name)
        own, other = (_counted(row.figures.get(each.name), level, each) for row in (new, old))
        if own is not None and other is not None and (own.low > other.high or own.high < other.low):
            is_ahead = (own.low > other.high) == each.higher
            yield (
                is_ahead,
                f"{_WORDS[each.name][not is_ahead]}, {_shown(each.name, new)} against {_shown(each.name, old)}",
            )


def _counted(figure: Figure | None, real: Figure | None, compared: Compared) -> Figure | None:
    """Cut a figure off at its goal or at real text's level; None if it could not be computed."""
    if figure is None or not math.isfinite(figure.value):
        return None
    level = compared.goal if compared.goal is not None else math.nan if real is None else real.value
    if not math.isfinite(level):
        return figure
    cut = min if compared.higher else max
    return replace(figure, **{name: cut(getattr(figure, name), level) for name in ("value", "low", "high")})


def _realism(new: Measured, old: Measured) -> Iterator[tuple[bool, str]]:
    """Compare the log odds of being real, mean over the discriminators of both models; nothing without both.

    Each discriminator was trained against its own model, and its worker chooses by it. The mean of both favours none.
    """
    bundles = [row.row.model.bundle for row in (new, old) if row.row.model is not None]
    odds = [
        [
            np.array(bundle.discriminator.logits([bundle.vocabulary.encode(text) for text in _judged(row)]))
            for row in (new, old)
        ]
        for bundle in bundles
        if bundle.discriminator is not None
    ]
    if len(odds) < 2 or any(len(each) < 2 for pair in odds for each in pair):
        return
    difference = float(np.mean([own.mean() - other.mean() for own, other in odds]))
    # Both judge the same texts, so their errors do not average out.
    variance = float(np.mean([own.var(ddof=1) / len(own) + other.var(ddof=1) / len(other) for own, other in odds]))
    if abs(difference) > _Z * math.sqrt(variance):
        yield difference > 0, f"{_WORDS[REALISM][difference < 0]}, by {abs(difference):.2f} nats"


def _judged(row: Measured) -> list[str]:
    return [text for text in row.row.sets[0].texts[:_JUDGED] if text]


def _shown(name: str, row: Measured) -> str:
    metric = next(metric for metric in METRICS if metric.name == name)
    return metric.shown(row.figures[name].value)


def _name(row: Measured) -> str:
    return row.row.name if row.row.model is None else row.row.model.name


def _version(model: LoadedModel | None) -> int:
    version = "" if model is None else model.name.rpartition("/")[2]
    return int(version) if version.isdigit() else 0
