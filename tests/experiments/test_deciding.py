"""Decisions that follow from findings: harm before success, and nothing for what is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.deciding import Action, Findings, decide, find, winner
from experiments.definition import ActionKind, ActionRecord
from experiments.evidence import Call, Evidence, JudgedSample, JudgedSong
from experiments.statistics.comparison import Verdict, compare
from experiments.statistics.limits import Breach, Limit
from tests.experiments.lab import EXPERIMENT, START

AUTO = replace(EXPERIMENT, auto=True, treatments=("2", "3"))
NEUTRAL = compare([], alpha=0.05)
BREACH = Breach(limit=Limit.FAILURES, excess=0.21, allowed=0.05, observations=80, log_e=5.0)


def findings(version: str, verdict: Verdict = Verdict.UNDECIDED, *, mean: float = 0.0, harm: bool = False) -> Findings:
    comparison = replace(NEUTRAL, decision=verdict, mean=mean, low=mean - 0.05, high=mean + 0.05, songs=90)
    return Findings(version=version, comparison=comparison, breaches=(BREACH,) if harm else ())


def kinds(actions: tuple[Action, ...]) -> list[tuple[ActionKind, str]]:
    return [(action.kind, action.version) for action in actions]


def song(number: int, *, better: bool) -> JudgedSong:
    samples = tuple(
        JudgedSample(
            candidate_id=f"{number}.1.{place}",
            version=version,
            archive_sha256="",
            exposure_id="",
            seed=place,
            text="",
            flags=(),
            accepted=(version == "2") is better,
            decided_at=START,
        )
        for place, version in enumerate(("1", "2"), start=1)
    )
    return JudgedSong(
        place=f"{number}.1", unit=str(number), created_at=START, genres=(), artist="", title="", samples=samples
    )


def test_nothing_follows_from_no_evidence() -> None:
    found = find(Evidence(experiment=EXPERIMENT, songs=(), calls=()))
    assert [each.version for each in found] == ["2"]
    assert decide(EXPERIMENT, found) == ()
    assert winner(EXPERIMENT, found) is None


def test_a_winner_is_promoted_only_if_the_experiment_says_so() -> None:
    songs = tuple(song(number, better=True) for number in range(60))
    found = find(Evidence(experiment=EXPERIMENT, songs=songs, calls=()))
    assert decide(EXPERIMENT, found) == ()
    best = winner(EXPERIMENT, found)
    assert best is not None
    (action,) = decide(replace(EXPERIMENT, auto=True), found)
    assert (action.kind, action.version) == (ActionKind.PROMOTE, "2")
    assert action.reason.startswith("lcgan/2 is better than lcgan/1: +100.0 points of acceptance (")
    assert action.reason.endswith("over 60 songs")


def test_of_two_winners_the_one_with_the_greater_difference_is_promoted() -> None:
    found = (findings("2", Verdict.BETTER, mean=0.1), findings("3", Verdict.BETTER, mean=0.2))
    assert kinds(decide(AUTO, found)) == [(ActionKind.PROMOTE, "3")]


def test_a_version_beyond_a_limit_is_taken_off_even_if_it_is_better() -> None:
    actions = decide(AUTO, (findings("2", Verdict.BETTER, mean=0.3, harm=True), findings("3")))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2")]
    assert actions[0].reason == (
        "lcgan/2 failed 21% more of its requests than the control (5% is allowed), after 80 pairs of requests"
    )


def test_the_other_treatment_may_win_at_the_same_moment() -> None:
    actions = decide(AUTO, (findings("2", harm=True), findings("3", Verdict.BETTER, mean=0.1)))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.PROMOTE, "3")]


def test_without_treatments_left_the_experiment_stops_with_the_control() -> None:
    actions = decide(replace(AUTO, auto=False), (findings("2", harm=True), findings("3", harm=True)))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.TAKE_OFF, "3"), (ActionKind.STOP, "")]
    assert actions[2].reason.startswith("no treatment is left, lcgan/1 stays: lcgan/2 failed 21% more")


def test_a_version_that_was_taken_off_is_left_alone_and_the_stop_that_a_kill_left_out_follows() -> None:
    taken = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    found = (findings("2", Verdict.BETTER, mean=0.3, harm=True),)
    (action,) = decide(replace(EXPERIMENT, auto=True, actions=(taken,)), found)
    assert (action.kind, action.reason) == (ActionKind.STOP, "no treatment is left, lcgan/1 stays: it fails")


def test_an_experiment_whose_treatments_are_all_worse_stops_by_itself_if_it_says_so() -> None:
    found = (findings("2", Verdict.WORSE, mean=-0.2), findings("3", Verdict.WORSE, mean=-0.1))
    assert decide(replace(AUTO, auto=False), found) == ()
    (action,) = decide(AUTO, found)
    assert (action.kind, action.reason) == (
        ActionKind.STOP,
        "lcgan/2 and lcgan/3 are worse than lcgan/1, which stays",
    )
    assert decide(AUTO, (found[0], findings("3"))) == ()


@pytest.mark.parametrize("harm", [True, False])
def test_nothing_follows_for_an_experiment_that_has_ended(harm: bool) -> None:
    found = (findings("2", Verdict.BETTER, mean=0.3, harm=harm),)
    assert decide(replace(EXPERIMENT, auto=True, stopped=START), found) == ()


@pytest.mark.parametrize("limit", list(Limit))
def test_every_kind_of_harm_has_a_sentence_with_its_figures(limit: Limit) -> None:
    breach = replace(BREACH, limit=limit)
    found = (replace(findings("2"), breaches=(breach,)),)
    told = decide(EXPERIMENT, found)[0].reason
    assert told.startswith("lcgan/2 ")
    assert "21%" in told
    assert "5% is allowed" in told
    assert "after 80 " in told


def test_failures_in_the_calls_become_a_breach() -> None:
    calls = tuple(
        Call(time=START, version=version, unit=str(number), failed=version == "2" and number % 3 == 0, total_ms=10.0)
        for number in range(300)
        for version in ("1", "2")
    )
    (found,) = find(Evidence(experiment=EXPERIMENT, songs=(), calls=calls))
    assert [breach.limit for breach in found.breaches] == [Limit.FAILURES]
    assert kinds(decide(EXPERIMENT, (found,))) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.STOP, "")]
