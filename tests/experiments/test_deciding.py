"""Decisions that follow from a report: harm before success, and nothing for what is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments.deciding import Action, decide, winner
from experiments.definition import ActionKind, ActionRecord, Experiment
from experiments.evidence import Call, Evidence, JudgedSample, JudgedSong
from experiments.report.making import make_report
from experiments.report.values import RatioCheck, Report, Treatment
from experiments.statistics.comparison import Verdict, compare
from experiments.statistics.limits import Breach, Limit
from tests.experiments.lab import EXPERIMENT, START

AUTO = replace(EXPERIMENT, auto=True, treatments=("2", "3"))
NEUTRAL = compare([], alpha=0.05)
BREACH = Breach(limit=Limit.FAILURES, excess=0.21, allowed=0.05, observations=80, log_e=5.0)


def found(version: str, verdict: Verdict = Verdict.UNDECIDED, *, mean: float = 0.0, harm: bool = False) -> Treatment:
    comparison = replace(NEUTRAL, decision=verdict, mean=mean, low=mean - 0.05, high=mean + 0.05, songs=90)
    return Treatment(version=version, comparison=comparison, breaches=(BREACH,) if harm else (), evidence=())


def report(experiment: Experiment, *treatments: Treatment) -> Report:
    return replace(make_report(Evidence(experiment=experiment, songs=(), calls=())), treatments=treatments)


def reported(experiment: Experiment, *, songs: tuple[JudgedSong, ...] = (), calls: tuple[Call, ...] = ()) -> Report:
    return make_report(Evidence(experiment=experiment, songs=songs, calls=calls))


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
    empty = reported(replace(EXPERIMENT, auto=True))
    assert decide(empty) == ()
    assert winner(empty) is None


def test_a_winner_is_promoted_only_if_the_experiment_says_so() -> None:
    songs = tuple(song(number, better=True) for number in range(60))
    assert decide(reported(EXPERIMENT, songs=songs)) == ()
    assert winner(reported(EXPERIMENT, songs=songs)) is not None
    (action,) = decide(reported(replace(EXPERIMENT, auto=True), songs=songs))
    assert (action.kind, action.version) == (ActionKind.PROMOTE, "2")
    assert action.reason.startswith(
        "lcgan/2 was promoted: its samples are accepted more often than those of lcgan/1, by 100.0 points ("
    )
    assert action.reason.endswith("60 songs)")


def test_of_two_winners_the_one_with_the_greater_difference_is_promoted() -> None:
    both = report(AUTO, found("2", Verdict.BETTER, mean=0.1), found("3", Verdict.BETTER, mean=0.2))
    assert kinds(decide(both)) == [(ActionKind.PROMOTE, "3")]


def test_nothing_is_promoted_while_the_assignment_is_suspect() -> None:
    wrong = RatioCheck(observed={"1": 9, "2": 1}, shares={"1": 0.5, "2": 0.5}, log_e=9.0, is_suspect=True, mismatches=0)
    better = replace(report(AUTO, found("2", Verdict.BETTER, mean=0.1), found("3", harm=True)), ratio=wrong)
    assert kinds(decide(better)) == [(ActionKind.TAKE_OFF, "3")]
    assert kinds(decide(replace(better, ratio=replace(wrong, is_suspect=False))))[1:] == [(ActionKind.PROMOTE, "2")]


def test_a_version_beyond_a_limit_is_taken_off_even_if_it_is_better() -> None:
    actions = decide(report(AUTO, found("2", Verdict.BETTER, mean=0.3, harm=True), found("3")))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2")]
    assert actions[0].reason == (
        "lcgan/2 was taken off: its share of failed requests is 21.0 points higher than the control's (seen in 80 "
        "requests, 5.0 points are allowed)"
    )


def test_the_other_treatment_may_win_at_the_same_moment() -> None:
    actions = decide(report(AUTO, found("2", harm=True), found("3", Verdict.BETTER, mean=0.1)))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.PROMOTE, "3")]


def test_without_treatments_left_the_experiment_stops_with_the_control() -> None:
    actions = decide(report(replace(AUTO, auto=False), found("2", harm=True), found("3", harm=True)))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.TAKE_OFF, "3"), (ActionKind.STOP, "")]
    assert actions[2].reason.startswith("lcgan/1 stays, no treatment is left; lcgan/2 was taken off: its share of")


def test_a_version_that_was_taken_off_is_left_alone_and_the_stop_that_a_kill_left_out_follows() -> None:
    taken = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    after = report(replace(EXPERIMENT, auto=True, actions=(taken,)), found("2", Verdict.BETTER, mean=0.3, harm=True))
    assert winner(after) is None
    (action,) = decide(after)
    assert (action.kind, action.reason) == (ActionKind.STOP, "lcgan/1 stays, no treatment is left; it fails")


def test_an_experiment_whose_treatments_are_all_worse_stops_by_itself_if_it_says_so() -> None:
    worse = (found("2", Verdict.WORSE, mean=-0.2), found("3", Verdict.WORSE, mean=-0.1))
    assert decide(report(replace(AUTO, auto=False), *worse)) == ()
    (action,) = decide(report(AUTO, *worse))
    assert (action.kind, action.version) == (ActionKind.STOP, "")
    assert action.reason.startswith("lcgan/1 stays: samples of the others are accepted less often, those of lcgan/2 by")
    assert decide(report(AUTO, worse[0], found("3"))) == ()


@pytest.mark.parametrize("harm", [True, False])
def test_nothing_follows_for_an_experiment_that_has_ended(harm: bool) -> None:
    over = replace(EXPERIMENT, auto=True, stopped=START)
    assert decide(report(over, found("2", Verdict.BETTER, mean=0.3, harm=harm))) == ()


def test_failures_in_the_calls_take_a_version_off_and_end_the_experiment() -> None:
    calls = tuple(
        Call(time=START, version=version, unit=str(number), failed=version == "2" and number % 3 == 0, total_ms=10.0)
        for number in range(300)
        for version in ("1", "2")
    )
    actions = decide(reported(EXPERIMENT, calls=calls))
    assert kinds(actions) == [(ActionKind.TAKE_OFF, "2"), (ActionKind.STOP, "")]
    assert "failed requests" in actions[0].reason


def test_a_report_recommends_nothing_of_a_version_that_is_off() -> None:
    taken = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="it fails", at=START)
    calls = tuple(
        Call(time=START, version=version, unit=None, failed=version == "2", total_ms=10.0)
        for _ in range(100)
        for version in ("1", "2")
    )
    assert reported(EXPERIMENT, calls=calls).recommendation.startswith("Take version 2 off")
    after = reported(replace(EXPERIMENT, actions=(taken,)), calls=calls)
    assert after.recommendation == "Go on: every treatment was taken off."
    assert after.to_mapping()["actions"] == [
        {"kind": "take off", "version": "2", "reason": "it fails", "at": "2026-01-05T06:00:00Z"}
    ]
