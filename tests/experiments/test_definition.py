"""A definition checks itself: names, versions and bounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from experiments.definition import ActionKind, ActionRecord, Experiment
from experiments.errors import ExperimentError
from serving.traffic.experiment import ExperimentDesign

START = datetime(2026, 11, 30, 6, tzinfo=UTC)
EXPERIMENT = Experiment(
    name="winter", model="lcgan", control="1", treatments=("2", "3"), design=ExperimentDesign.INTERLEAVED, started=START
)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Winter", "a b", "x" * 41, "a\n", "ünter", "."])
def test_a_name_is_letters_digits_and_hyphens_so_that_it_is_safe_as_a_folder(name: str) -> None:
    with pytest.raises(ExperimentError, match="is not a name of an experiment"):
        replace(EXPERIMENT, name=name)


@pytest.mark.parametrize("name", ["a", "0", "x" * 40, "winter-2026"])
def test_a_short_plain_name_is_one(name: str) -> None:
    assert replace(EXPERIMENT, name=name).name == name


@pytest.mark.parametrize(
    ("treatments", "said"),
    [
        ((), "needs a treatment"),
        (("1",), "must differ, got 1, 1"),
        (("2", "2"), "must differ"),
        (("2", "3", "4", "5", "6", "7"), "has 6 treatments: compare at most 5"),
    ],
)
def test_versions_are_distinct_and_few(treatments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ExperimentError, match=said):
        replace(EXPERIMENT, treatments=treatments)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_alpha_is_a_probability(alpha: float) -> None:
    with pytest.raises(ExperimentError, match="alpha must be"):
        replace(EXPERIMENT, alpha=alpha)


def test_a_version_that_was_taken_off_is_an_arm_no_more() -> None:
    record = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    after = replace(EXPERIMENT, actions=(record,))
    assert (after.taken_off, after.arms, after.versions) == ({"2": "it fails"}, ("1", "3"), ("1", "2", "3"))
