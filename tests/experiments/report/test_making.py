from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from experiments.definition import ActionKind, ActionRecord
from experiments.evidence import Call, Evidence, UnitCounts
from experiments.report.making import NO_REASON, make_report
from experiments.statistics.comparison import Verdict
from serving.traffic.experiment import ExperimentDesign
from tests.experiments.report.support import START, evidence, experiment, sample, song


def test_the_document_has_what_others_read_of_it() -> None:
    document = make_report(evidence({"1": 0.4, "2": 0.6}, songs=20)).to_mapping()
    assert document == json.loads(json.dumps(document, allow_nan=False))
    assert (document["name"], document["model"], document["design"]) == ("night-shift", "lcgan", "interleaved")
    assert document["state"] == "running"
    assert document["recommendation"].endswith(".")
    assert document["updated_at"].endswith("Z")
    assert [(arm["version"], arm["role"]) for arm in document["arms"]] == [("1", "control"), ("2", "treatment")]
    for arm in document["arms"]:
        assert arm["songs"] == 20
        assert arm["samples"] == 40
        assert arm["acceptance"]["low"] <= arm["acceptance"]["value"] <= arm["acceptance"]["high"]


def test_a_better_version_is_recommended() -> None:
    report = make_report(evidence({"1": 0.2, "2": 0.8}, songs=80))
    assert report.treatments[0].comparison.decision is Verdict.BETTER
    assert report.recommendation.startswith("Promote version 2: its samples are accepted more often")


def test_a_worse_version_is_not_and_the_words_have_no_negative_numbers() -> None:
    report = make_report(evidence({"1": 0.58, "2": 0.42}, songs=300))
    assert report.treatments[0].comparison.decision is Verdict.WORSE
    assert report.recommendation.startswith("Keep version 1: samples of version 2 are accepted less often, by ")
    assert "-" not in report.recommendation.partition("by ")[2]


def test_harm_goes_before_everything_else() -> None:
    report = make_report(evidence({"1": 0.2, "2": 0.8}, songs=150, failures=0.3))
    assert report.recommendation.startswith("Take version 2 off: its share of failed requests is ")


def test_a_wrong_ratio_goes_before_a_winner() -> None:
    found = evidence({"1": 0.2, "2": 0.8}, songs=200, design=ExperimentDesign.STICKY)
    units = UnitCounts(observed={"1": 150, "2": 50}, shares={"1": 0.5, "2": 0.5})
    report = make_report(replace(found, units=units))
    assert report.recommendation.startswith("Trust no figure before the assignment is repaired: of 200 units")
    mismatched = UnitCounts(observed={"1": 100, "2": 100}, shares={"1": 0.5, "2": 0.5}, mismatches=3)
    assert "3 units were answered by another version" in make_report(replace(found, units=mismatched)).recommendation


def test_an_undecided_experiment_goes_on() -> None:
    report = make_report(evidence({"1": 0.5, "2": 0.5}, songs=12))
    assert report.recommendation.startswith("Go on: after 12 songs, ")


def test_an_empty_experiment_goes_on() -> None:
    report = make_report(Evidence(experiment=experiment(), songs=(), calls=()))
    assert report.recommendation == "Go on: no song is judged whole yet."
    assert report.agreement == "Nobody has given a verdict yet."
    assert report.arms[0].acceptance is None
    assert report.arms[0].p95_ms is None


def test_a_version_without_samples_is_named() -> None:
    songs = (song(1, sample("1", True), sample("1", False)),)
    report = make_report(Evidence(experiment=experiment(), songs=songs, calls=()))
    assert report.recommendation == "Go on: no whole song has samples of version 2."
    assert report.songs.incomplete == 1


def calls(*requests: str) -> tuple[Call, ...]:
    """A request a minute, with a row of each of these versions."""
    return tuple(
        Call(
            time=START + timedelta(minutes=number),
            version=version,
            unit=str(number),
            failed=False,
            total_ms=9.0,
            request=(str(number), 7),
        )
        for number, versions in enumerate(requests)
        for version in versions
    )


def test_a_version_that_is_not_live_is_told_first_and_no_failure() -> None:
    found = evidence({"1": 0.2, "2": 0.8}, songs=80)
    report = make_report(replace(found, calls=calls(*["12"] * 100, *["1"] * 40)))
    assert report.recommendation.startswith("Bring version 2 back: the latest requests have no samples of it")
    assert "40 of 140 requests have neither an answer nor a failure of version 2" in report.notes[0]
    assert (report.arms[1].failures, report.treatments[0].breaches) == (0, ())
    assert report.to_mapping()["absences"] == [{"version": "2", "missed": 40, "requests": 140, "is_now": True}]
    without_control = make_report(replace(found, calls=calls(*["2"] * 5)))
    assert without_control.recommendation.startswith("Bring version 1 back")


def test_a_version_that_is_live_again_is_only_noted() -> None:
    found = evidence({"1": 0.2, "2": 0.8}, songs=80)
    for requests in (["12", "1", "1", "12"], ["1"] * 4):
        report = make_report(replace(found, calls=calls(*requests)))
        assert report.recommendation.startswith("Promote version 2")
        assert report.notes[0].startswith(f"{requests.count('1')} of 4 requests")
    assert make_report(found).absences == ()


def test_a_version_that_was_taken_off_misses_nothing_and_later_songs_are_complete_without_it() -> None:
    taken = ActionRecord(kind=ActionKind.TAKE_OFF, version="3", reason="it fails", at=START + timedelta(minutes=3))
    both, rest = (sample("1", True), sample("2", True), sample("3", True)), (sample("1", True), sample("2", True))
    songs = (song(1, *both), song(2, *rest), song(3, *rest), song(4, *rest), song(5, sample("1", True)))
    found = Evidence(
        experiment=experiment(treatments=("2", "3"), actions=(taken,)),
        songs=songs,
        calls=calls("123", "123", "12", *["12"] * 9),
    )
    report = make_report(found)
    assert report.songs.incomplete == 2, "song 2 lacks version 3, and song 5 lacks version 2"
    (absence,) = report.absences
    assert (absence.version, absence.missed, absence.requests, absence.is_now) == ("3", 1, 3, False)


def test_a_stopped_experiment_says_how_it_ended() -> None:
    found = evidence(
        {"1": 0.5, "2": 0.5}, songs=5, stopped=START + timedelta(days=1), outcome="Version 2 was promoted."
    )
    report = make_report(found)
    assert (report.state, report.recommendation) == ("stopped", "Version 2 was promoted.")
    silent = evidence({"1": 0.5, "2": 0.5}, songs=5, stopped=START + timedelta(days=1))
    assert make_report(silent).recommendation.startswith("Nothing was decided: ")


def test_half_judged_songs_are_counted_apart() -> None:
    report = make_report(evidence({"1": 0.5, "2": 0.5}, songs=6, half=2))
    assert (report.songs.whole, report.songs.half, report.songs.waiting) == (6, 2, 0)
    assert report.arms[0].songs == 6


def test_no_count_by_version_moves_before_a_song_is_whole() -> None:
    flagged = sample("1", False, flags=("copy",), reason="makes no sense")
    half = song(1, flagged, sample("2", None))
    found = make_report(Evidence(experiment=experiment(), songs=(half,), calls=()))
    nothing = make_report(
        Evidence(experiment=experiment(), songs=(song(1, sample("1", None), sample("2", None)),), calls=())
    )
    assert (found.songs.half, nothing.songs.waiting) == (1, 1)
    assert found.arms == nothing.arms
    assert found.curators == nothing.curators


def test_reasons_edits_and_flags_are_counted_by_version() -> None:
    songs = (
        song(
            1,
            sample("1", False, reason="makes no sense", flags=("copy", "copy")),
            sample("1", False),
            sample("2", True, edited_text="A lamp, lit."),
            sample("2", True, flags=("link",)),
        ),
    )
    control, treatment = make_report(Evidence(experiment=experiment(), songs=songs, calls=())).arms
    assert control.reasons == {"makes no sense": 1, NO_REASON: 1}
    assert control.flags == {"copy": 1}
    assert (treatment.edits, treatment.flags) == (1, {"link": 1})


def test_genres_need_ten_songs() -> None:
    report = make_report(evidence({"1": 0.4, "2": 0.6}, songs=29))
    assert [(row.name, row.songs) for row in report.genres] == [("techno", 19), ("dream pop", 10), ("shoegaze", 10)]
    assert report.genres[0].differences["2"].songs == 19


def test_curators_are_compared_by_what_they_accept() -> None:
    report = make_report(evidence({"1": 0.3, "2": 0.7}, songs=60))
    assert {row.name for row in report.curators} == {"ada", "grace"}
    assert sum(sum(row.samples.values()) for row in report.curators) == 240
    assert "2 of 2 accept a greater share of version 2 than of version 1" in report.agreement
    assert "Each sample is judged once" in report.agreement


def test_the_best_of_several_better_versions_is_recommended() -> None:
    report = make_report(evidence({"1": 0.1, "2": 0.6, "3": 0.9}, songs=80))
    assert report.recommendation.startswith("Promote version 3")


def test_a_long_experiment_has_few_points() -> None:
    report = make_report(evidence({"1": 0.5, "2": 0.5}, songs=900))
    assert len(report.arms[0].curve) <= 200
    assert report.arms[0].curve[-1].songs == 900
    assert report.arms[0].curve[0].songs == 1


@pytest.mark.parametrize("accepted", [True, False])
def test_the_same_verdict_on_all_decides_nothing(accepted: bool) -> None:
    songs = tuple(song(number, sample("1", accepted), sample("2", accepted)) for number in range(40))
    report = make_report(Evidence(experiment=experiment(), songs=songs, calls=()))
    assert report.treatments[0].comparison.decision is Verdict.UNDECIDED
    assert report.recommendation.startswith("Go on: after 40 songs")
