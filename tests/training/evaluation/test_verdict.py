from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pytest

from training.evaluation.goals import Goal
from training.evaluation.intervals import Figure
from training.evaluation.models import LoadedModel
from training.evaluation.real_text import SameSize
from training.evaluation.rows import RowKind, SampleSet, TextRow
from training.evaluation.verdict import COMPARED, Outcome, Verdict, served_rows, verdict, verdicts
from training.evaluation.yardstick import Measured

LEVEL = {
    "made_up_words": 0.005, "name_repeats": 0.02, "unseen_bigrams": 0.27, "slor": 0.85, "distinct_2_of_real": 0.99,
    "opening_shared_of_real": 1.0, "copy_8gram": 0.012, "broken": 0.0, "genre_accuracy": 0.35,
    "desired_share_second_lda": 0.3, "desired_share_classifier": 0.2,
}  # fmt: skip
"""Figures of real text."""
GOALS = tuple(Goal(text=f"goal {number}", shown="", met=number < 2) for number in range(4))


@dataclass(frozen=True)
class Named:
    """As much of a model as a verdict asks for."""

    name: str
    kind: str = "lcgan"
    moves: bool = True
    sha256: str = ""

    @property
    def bundle(self) -> Any:
        @dataclass(frozen=True)
        class Bare:
            discriminator: None = None

        return Bare()


def row(name: str, figures: Mapping[str, float], *, kind: RowKind = RowKind.SERVED, half: float = 0.001) -> Measured:
    model = (
        None if kind.is_real else cast(LoadedModel, Named(name, name.partition("/")[0], name.startswith("lcgan"), name))
    )
    found = {
        each: Figure(value=value, low=value - half, high=value + half, per_seed=(value,))
        for each, value in {**LEVEL, **figures}.items()
    }
    texts = SampleSet(texts=["So warm."], genres=None, keys=["1"])
    return Measured(
        row=TextRow(name=name, kind=kind, sets=[texts], model=model), figures=found, reverse_ratio=1.0, num_texts=1,
        same_size=SameSize(size=1, own={}, real={}),
    )  # fmt: skip


REAL = row("held-out real text", {}, kind=RowKind.REAL)


def judged(new: Mapping[str, float], old: Mapping[str, float], *, more_goals: int = 0, half: float = 0.001) -> Verdict:
    goals = [Goal(text=goal.text, shown="", met=number < 2 + more_goals) for number, goal in enumerate(GOALS)]
    rows = row("lcgan/3", new, half=half), row("lcgan/2", old, half=half)
    return verdict(*rows, goals, GOALS, real=REAL, of_kind=None)


@pytest.mark.parametrize("compared", COMPARED, ids=lambda each: each.name)
def test_each_figure_decides_alone_and_in_its_direction(compared: Any) -> None:
    level = compared.goal if compared.goal is not None else LEVEL[compared.name]
    bad = {compared.name: level - 0.1 if compared.higher else level + 0.1}
    good = {compared.name: level}
    assert judged(good, bad).outcome is Outcome.BEATS
    assert judged(bad, good).outcome is Outcome.WORSE
    assert judged(bad, bad).outcome is Outcome.EQUAL
    # Within each other's intervals nothing is decided.
    assert judged(good, bad, half=0.06).outcome is Outcome.EQUAL
    # Beyond the goal, or real text's level, nothing is gained.
    beyond = {compared.name: level + 0.1 if compared.higher else level - 0.1}
    assert judged(beyond, good).outcome is Outcome.EQUAL


def test_a_verdict_says_in_words_what_decided() -> None:
    found = judged({"made_up_words": 0.004}, {"made_up_words": 0.05}, more_goals=1)
    assert found.words == (
        "lcgan/3 beats lcgan/2: fewer made-up words, 0.40% against 5.00%. It meets 3 of 4 goals, lcgan/2 2."
    )
    worse = judged({"made_up_words": 0.05}, {"made_up_words": 0.004})
    assert worse.words.startswith("lcgan/3 is worse than lcgan/2: more made-up words, 5.00% against 0.40%.")
    equal = judged({}, {})
    assert equal.words.startswith("lcgan/3 is not better than lcgan/2: no figure is outside the other's interval.")
    assert equal.document()["outcome"] == "equal"


@pytest.mark.parametrize(("more_goals", "outcome"), [(1, Outcome.BEATS), (0, Outcome.MIXED), (-1, Outcome.WORSE)])
def test_where_each_is_ahead_in_something_the_goals_decide(more_goals: int, outcome: Outcome) -> None:
    found = judged({"made_up_words": 0.004, "slor": 0.5}, {"made_up_words": 0.05}, more_goals=more_goals)
    assert found.outcome is outcome
    assert "made-up words" in found.words
    assert "less fluent" in found.words


def test_goals_alone_do_not_decide() -> None:
    assert judged({}, {}, more_goals=2).outcome is Outcome.EQUAL


def test_a_model_that_does_not_move_z_is_not_judged_by_the_desired_kind() -> None:
    rows = [row("cvae/2", {"desired_share_classifier": 0.1}), row("cvae/1", {"desired_share_classifier": 0.6})]
    assert verdict(rows[0], rows[1], GOALS, GOALS, real=REAL, of_kind=None).outcome is Outcome.EQUAL


def test_versions_of_one_model_are_compared_in_their_order_by_what_is_served() -> None:
    rows = [
        REAL,
        row("lcgan/10", {"made_up_words": 0.1}, kind=RowKind.MODEL),
        row("lcgan/10", {}),
        row("cvae/1", {}, kind=RowKind.MODEL),
        row("lcgan/9", {"made_up_words": 0.1}),
    ]
    found = verdicts(rows, {each.row.name: GOALS for each in rows}, REAL, None)
    assert [(each.new, each.old, each.outcome) for each in found] == [("lcgan/10", "lcgan/9", Outcome.BEATS)]
    assert [each.row.kind for each in served_rows(rows)] == [RowKind.MODEL, RowKind.SERVED, RowKind.SERVED]
