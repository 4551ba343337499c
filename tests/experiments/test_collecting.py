"""Evidence: which songs, samples and requests belong to an experiment, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.domain.candidates import Decision, Flag, Verdict
from experiments.collecting import collect, known_policies
from experiments.definition import ActionKind, ActionRecord, Experiment
from experiments.evidence import Evidence
from serving.traffic.experiment import ExperimentDesign
from serving.traffic.exposures import Exposure, Role
from serving.traffic.policy import AssignedBy, TrafficPolicy
from tests.experiments.lab import EXPERIMENT, START, Lab, exposure, failure

pytestmark = pytest.mark.slow  # the store's file is synced to the disk at each commit

STICKY = replace(EXPERIMENT, design=ExperimentDesign.STICKY)
LATER = START + timedelta(hours=1)


def collected(lab: Lab, experiment: Experiment = EXPERIMENT, exposures: Iterable[Exposure] | None = ()) -> Evidence:
    with lab.store() as store:
        return collect(experiment, store, exposures)


def dealt(units: int, policy: TrafficPolicy, *, by: AssignedBy = AssignedBy.UNIT) -> list[Exposure]:
    """Answers to units that a policy dealt out."""
    return [
        exposure(
            f"{number:032x}",
            given.version,
            time=LATER,
            unit=str(number),
            assigned_by=by,
            policy_revision=policy.revision,
        )
        for number in range(units)
        if (given := policy.assign(str(number), lambda: 0.0)) is not None
    ]


def test_songs_come_by_the_time_of_their_last_verdict_and_half_judged_ones_at_the_end(lab: Lab) -> None:
    first = lab.add_song([("1", True), ("2", None)])
    half = lab.add_song([("2", False), ("1", None)])
    lab.pass_time(minutes=1)
    lab.add_song([("1", False), ("2", True)])
    lab.pass_time(minutes=1)
    lab.judge({first[1]: False})
    songs = collected(lab).songs
    assert [song.place for song in songs] == ["3.1", "1.1", "2.1"]
    assert [song.is_whole for song in songs] == [True, True, False]
    assert [song.acceptance("2") for song in songs] == [1.0, 0.0, 0.0]
    assert songs[1].completed_at == START + timedelta(minutes=2)
    assert (songs[2].samples[0].candidate_id, songs[2].unit, songs[2].genres) == (half[0], "2", ("dream pop",))


def test_a_sample_has_the_verdict_that_holds_with_its_curator_edit_and_reason(lab: Lab) -> None:
    ids = lab.add_song([("1", None), ("2", None)], flags={1: (Flag.COPY,)}, exposure_ids={"2": "e2"})
    lab.judge({ids[0]: True}, edited_text="A slower lamp.", who="bo")
    lab.judge({ids[1]: True})
    lab.judge({ids[1]: False}, reason="makes no sense")
    ours, theirs = collected(lab).songs[0].samples
    assert (ours.accepted, ours.curator, ours.edited_text, ours.text) == (
        True,
        "bo",
        "A slower lamp.",
        "A lamp of 1, number 1.",
    )
    assert (theirs.accepted, theirs.reason, theirs.flags, theirs.exposure_id, theirs.seed) == (
        False,
        "makes no sense",
        ("copy",),
        "e2",
        2,
    )


def test_a_verdict_that_was_undone_is_none(lab: Lab) -> None:
    ids = lab.add_song([("1", True), ("2", True)])
    with lab.store() as store:
        store.decide([Verdict(candidate_id=ids[0], decision=Decision.UNDO, who="ann")])
    (song,) = collected(lab).songs
    assert not song.is_whole
    assert (song.samples[0].accepted, song.samples[0].curator, song.samples[0].decided_at) == (None, "", None)


def test_songs_of_other_experiments_and_of_none_do_not_count(lab: Lab) -> None:
    lab.add_song([("1", True), ("2", True)], experiment="autumn")
    lab.add_song([("1", True)], experiment="")
    assert collected(lab).songs == ()


def test_withdrawn_samples_are_left_out_and_told(lab: Lab) -> None:
    ids = lab.add_song([("1", True), ("2", True)])
    with lab.store() as store:
        store._connection.execute("UPDATE candidate SET withdrawn = 'no song' WHERE id = ?", (ids[0],))
    evidence = collected(lab)
    assert [sample.candidate_id for sample in evidence.songs[0].samples] == [ids[1]]
    assert evidence.notes == ("1 sample is left out: a curator said that the post names another song, or none.",)


def test_requests_are_the_experiments_own_by_time_failures_included(lab: Lab) -> None:
    rows = [
        failure("b", "2", time=LATER),
        exposure("a", "1", time=START, queue_ms=2.0, decode_ms=10.0),
        exposure("shadow", "2", role=Role.SHADOW),
        exposure("pin", "2", experiment="", assigned_by=AssignedBy.PIN),
        exposure("other", "2", experiment="autumn"),
        exposure("before", "2", time=START - timedelta(seconds=1)),
        exposure("elsewhere", "2", model="cvae"),
        exposure("third", "3"),
    ]
    calls = collected(lab, exposures=rows).calls
    assert [(call.exposure_id, call.version, call.failed, call.total_ms) for call in calls] == [
        ("a", "1", False, 12.0),
        ("b", "2", True, 0.0),
    ]


def test_requests_after_the_end_do_not_count_and_verdicts_on_earlier_songs_do(lab: Lab) -> None:
    ids = lab.add_song([("1", True), ("2", None)])
    ended = replace(EXPERIMENT, stopped=START + timedelta(minutes=1))
    lab.pass_time(days=1)
    lab.judge({ids[1]: True})
    evidence = collected(lab, ended, [exposure("late", "1", time=LATER)])
    assert evidence.calls == ()
    assert evidence.songs[0].is_whole


@pytest.mark.parametrize("experiment", [EXPERIMENT, STICKY], ids=lambda each: str(each.design))
def test_songs_that_were_written_after_the_end_do_not_count(lab: Lab, experiment: Experiment) -> None:
    lab.add_song([("1", True), ("2", True)])
    lab.pass_time(minutes=2)
    lab.add_song([("1", True), ("2", True)])
    ended = replace(experiment, stopped=START + timedelta(minutes=1))
    assert [song.place for song in collected(lab, ended).songs] == ["1.1"]


def test_without_exposures_the_songs_count_and_a_note_says_what_is_unknown(lab: Lab) -> None:
    lab.add_song([("1", True), ("2", True)])
    evidence = collected(lab, exposures=None)
    assert len(evidence.songs) == 1
    assert evidence.notes == ("There are no exposures: failures and times of answers are not known.",)


def test_nothing_at_all_is_evidence_of_nothing(lab: Lab) -> None:
    evidence = collected(lab)
    assert (evidence.songs, evidence.calls, evidence.units, evidence.notes) == ((), (), None, ())


def test_sticky_songs_do_not_count_where_somebody_chose_their_version(lab: Lab) -> None:
    lab.add_song([("1", True)])
    lab.add_song([("3", True)])
    lab.add_song([("2", True)], experiment="", exposure_ids={"2": "pinned"})
    # As the studio adds what a curator tried.
    lab.add_song([("2", True)], experiment="", name="studio:1f")
    evidence = collected(lab, STICKY, [exposure("pinned", "2", experiment="", assigned_by=AssignedBy.PIN)])
    assert [song.place for song in evidence.songs] == ["1.1"]
    assert evidence.calls == ()


def test_answers_in_the_place_of_a_version_that_is_not_live_do_not_count_and_are_told(lab: Lab) -> None:
    row = exposure("a", "1", experiment="", assigned_by=AssignedBy.FALLBACK)
    evidence = collected(lab, STICKY, [row, replace(row, id="b")])
    assert evidence.calls == ()
    (note,) = evidence.notes
    assert note.startswith("2 requests were answered by another version than that of the unit, which was not live")
    assert collected(lab, exposures=[row]).notes == ()


def test_sticky_units_are_counted_by_their_first_answer(lab: Lab) -> None:
    (policy,) = known_policies(STICKY).values()
    rows = dealt(400, policy)
    evidence = collected(lab, STICKY, [*rows, *(replace(row, id=f"again-{row.id}") for row in rows)])
    assert evidence.units is not None
    assert sum(evidence.units.observed.values()) == 400
    assert abs(evidence.units.observed["1"] - 200) < 40
    assert (evidence.units.shares, evidence.units.mismatches) == ({"1": 0.5, "2": 0.5}, 0)
    assert len(evidence.calls) == 800


def test_a_unit_with_a_version_that_its_hash_does_not_give_is_a_mismatch(lab: Lab) -> None:
    (policy,) = known_policies(STICKY).values()
    rows = dealt(100, policy)
    swapped = [replace(row, version="2" if row.version == "1" else "1") for row in rows[:7]]
    evidence = collected(lab, STICKY, [*swapped, *rows[7:]])
    assert evidence.units is not None
    assert evidence.units.mismatches == 7


def test_units_of_another_policy_are_counted_and_a_note_says_that_they_cannot_be_recomputed(lab: Lab) -> None:
    (policy,) = known_policies(STICKY).values()
    evidence = collected(lab, STICKY, [replace(row, policy_revision="other") for row in dealt(3, policy)])
    assert evidence.units is not None
    assert (sum(evidence.units.observed.values()), evidence.units.mismatches) == (3, 0)
    assert evidence.notes[0].startswith("3 units were dealt out under other shares")


def test_units_without_a_hash_and_those_after_an_arm_left_are_not_counted(lab: Lab) -> None:
    (policy,) = known_policies(STICKY).values()
    taken = ActionRecord(kind=ActionKind.TAKE_OFF, version="2", reason="", at=START)
    at_random = dealt(5, policy, by=AssignedBy.RANDOM)
    for experiment, rows in ((STICKY, at_random), (replace(STICKY, actions=(taken,)), dealt(5, policy))):
        evidence = collected(lab, experiment, rows)
        assert evidence.units is not None
        assert (sum(evidence.units.observed.values()), len(evidence.calls)) == (0, 5)


def test_the_policies_of_three_arms_are_known_whichever_of_them_are_left() -> None:
    policies = known_policies(replace(STICKY, treatments=("2", "3"))).values()
    shares = {tuple((arm.version, round(arm.share, 3)) for arm in policy.arms) for policy in policies}
    assert shares == {
        (("1", 0.333), ("2", 0.333), ("3", 0.333)),
        (("1", 0.667), ("2", 0.333)),
        (("1", 0.667), ("3", 0.333)),
    }
    assert known_policies(EXPERIMENT) == {}
