from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handlers.contract import EXAMPLE_SAMPLING, SAMPLING_FIELDS, RankBy, SamplingParams, field_values
from serving.traffic.exposures import (
    Exposure,
    Recorder,
    Role,
    ShadowOutcome,
    exposure_values,
    parse_exposure,
)
from serving.traffic.policy import AssignedBy
from serving.traffic.reading import ExposureFiles
from serving.traffic.segments import ExposureSettings, Segments, segment_paths
from serving.wire import response_to_message
from tests.costs import relative_cost
from tests.serving.traffic.exposing import answer, info, record, recorder, request

AT = datetime(2026, 11, 29, 19, 58, 3, 123456, tzinfo=UTC)
EVERYTHING: dict[str, Any] = {
    "artist": 'The "Half\\lights"',
    "title": 'Tin "time":"2020" Sea',
    "topic": "sound",
    "num_samples": 2,
    "best_of": 4,
    "seed": 2**63 - 1,
    "unit": "user:77",
    "request_id": "r-é-1",
    **field_values(EXAMPLE_SAMPLING),
}


def fixed(folder: Path) -> Recorder:
    segments = Segments(ExposureSettings(folder=folder), host="one", now=lambda: AT)
    return Recorder(segments, host="one", now=lambda: AT)


def read(folder: Path) -> list[Exposure]:
    files = ExposureFiles(folders=[folder])
    rows = list(files)
    assert (files.doubles, files.torn, files.unreadable) == (0, 0, 0)
    return rows


def test_a_row_says_who_got_which_version_when_and_under_which_settings(tmp_path: Path) -> None:
    key = record(fixed(tmp_path), **EVERYTHING)
    (row,) = read(tmp_path)
    assert row == Exposure(
        id=key,
        time=AT,
        host="one",
        role=Role.ANSWER,
        outcome=None,
        mirrors=None,
        model="lcgan",
        version="2",
        archive_sha256="2" * 64,
        policy_revision="abc",
        assigned_by=AssignedBy.UNIT,
        request_id="r-é-1",
        unit="user:77",
        genres=("dream pop", "zydeco"),
        genres_used=("dream pop",),
        genres_unknown=("zydeco",),
        artist=EVERYTHING["artist"],
        title=EVERYTHING["title"],
        topic="sound",
        num_samples=2,
        best_of=4,
        seed=2**63 - 1,
        sampling=EXAMPLE_SAMPLING,
        sample_seeds=(7, 8),
        queue_ms=1.5,
        decode_ms=3.25,
        ranked_by="acceptability",
    )


def test_settings_that_a_client_left_out_are_written_as_they_applied(tmp_path: Path) -> None:
    record(fixed(tmp_path))
    (row,) = read(tmp_path)
    assert row.sampling == SamplingParams()
    (path,) = segment_paths(tmp_path)
    written = json.loads(path.read_bytes())
    assert {name: written[name] for name in SAMPLING_FIELDS} == {**field_values(SamplingParams()), "bad_words": []}


def test_the_protocols_message_is_as_good_an_answer_as_the_contracts_response(tmp_path: Path) -> None:
    to = fixed(tmp_path)
    for each in (answer(), response_to_message(answer())):
        to.record(request(), each, info=info(), by=AssignedBy.PIN)
    first, second = (field_values(row) for row in read(tmp_path))
    assert first.pop("id") != second.pop("id")
    assert first == second


def test_a_shadows_row_names_the_exposure_that_it_copies_and_nothing_assigned_it(tmp_path: Path) -> None:
    to = recorder(tmp_path)
    key = record(to)
    to.record_shadow(request(seed=7), answer(), info=info("3"), mirrors=key)
    to.record_shadow(request(seed=7), None, info=info("3"), mirrors=key)
    _, answered, failed = read(tmp_path)
    for row, outcome in ((answered, ShadowOutcome.ANSWERED), (failed, ShadowOutcome.FAILED)):
        assert (row.role, row.outcome, row.mirrors, row.assigned_by) == (Role.SHADOW, outcome, key, None)
        assert (row.version, row.seed) == ("3", 7)
    assert answered.sample_seeds == (7, 8)
    assert failed.sample_seeds == ()


def test_a_failure_has_its_status_its_time_and_its_experiment(tmp_path: Path) -> None:
    key = recorder(tmp_path).record_failure(
        request(seed=7),
        code="DEADLINE_EXCEEDED",
        elapsed_s=1.25,
        info=info(),
        by=AssignedBy.INTERLEAVED,
        revision="abc",
        experiment="shorter",
    )
    (row,) = read(tmp_path)
    assert (row.id, row.role, row.code, row.queue_ms) == (key, Role.FAILURE, "DEADLINE_EXCEEDED", 1250)
    assert (row.experiment, row.assigned_by, row.outcome) == ("shorter", AssignedBy.INTERLEAVED, None)
    assert row.sample_seeds == ()


def test_the_answer_of_an_arm_names_its_experiment_and_other_rows_are_as_ever(tmp_path: Path) -> None:
    to = fixed(tmp_path)
    to.record(request(), answer(), info=info(), by=AssignedBy.INTERLEAVED, experiment="shorter")
    record(to)
    arm, other = read(tmp_path)
    assert (arm.experiment, arm.code, other.experiment, other.code) == ("shorter", "", "", "")
    (path,) = segment_paths(tmp_path)
    written = json.loads(path.read_bytes().splitlines()[1])
    assert written.keys().isdisjoint({"experiment", "code"}), "a row of an earlier release is read the same"


def test_a_row_tells_the_rule_that_applied_beside_the_one_that_was_asked_for(tmp_path: Path) -> None:
    to, learned = fixed(tmp_path), dataclasses.replace(info(), ranks_by_value=True, rank_by=RankBy.BOTH)
    for version, values in ((info(), {}), (learned, {}), (learned, {"rank_by": "value"})):
        to.record(request(**values), answer(), info=version, by=AssignedBy.ALONE)
    to.record_shadow(request(), answer(), info=learned, mirrors="a")
    to.record_failure(request(), code="INTERNAL", elapsed_s=1, info=learned, by=AssignedBy.ALONE)
    told = [(row.rank_by, row.ranked_by) for row in read(tmp_path)]
    assert told == [("", "acceptability"), ("", "both"), ("value", "value"), ("", "both"), ("", "")]


def test_a_row_of_an_earlier_release_does_not_tell_the_rule_that_applied(tmp_path: Path) -> None:
    record(fixed(tmp_path))
    (path,) = segment_paths(tmp_path)
    earlier = path.read_bytes().replace(b',"ranked_by":"acceptability"', b"")
    assert parse_exposure(earlier) == dataclasses.replace(parse_exposure(path.read_bytes()), ranked_by="")


def test_keys_of_two_processes_differ_though_host_and_moment_are_equal(tmp_path: Path) -> None:
    keys = [record(fixed(tmp_path)) for _ in range(2)]
    keys += [record(to) for to in [fixed(tmp_path)] for _ in range(2)]
    assert len(set(keys)) == 4
    assert sorted(row.id for row in read(tmp_path)) == sorted(keys)


def test_without_a_folder_nothing_is_written_and_answers_have_keys_all_the_same() -> None:
    to = Recorder(None)
    assert record(to) != record(to)
    assert (to.written, to.lost) == (0, 0)


def test_half_a_surrogate_pair_of_a_worker_becomes_a_question_mark(tmp_path: Path) -> None:
    odd = dataclasses.replace(answer(), genres_unknown=("\ud800",))
    fixed(tmp_path).record(request(), odd, info=info(), by=AssignedBy.ALONE)
    (row,) = read(tmp_path)
    assert row.genres_unknown == ("?",)


def test_a_row_of_a_later_version_is_read_without_the_fields_that_are_new(tmp_path: Path) -> None:
    record(fixed(tmp_path))
    (path,) = segment_paths(tmp_path)
    line = path.read_bytes().replace(b'{"format":1,', b'{"format":2,"mood":"calm",')
    assert parse_exposure(line) == parse_exposure(path.read_bytes())


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"null", b'{"id":', b"\0" * 40, b"\xff", b"[" * 100_000])
def test_whatever_is_not_a_row_is_a_value_error_that_shows_its_beginning(line: bytes) -> None:
    with pytest.raises(ValueError, match="not an exposure"):
        parse_exposure(line)


def test_the_guide_tells_the_meaning_of_every_field() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "guides" / "traffic.md").read_text(encoding="utf-8")
    table = guide.partition("| field | meaning |\n")[2].partition("\n\n")[0]
    told = {name for line in table.splitlines() for name in line.split("|")[1].strip().split(", ")}
    assert {each.name for each in dataclasses.fields(Exposure)} - {"sampling"} - told == set()


def test_values_are_flat_so_that_each_sampling_parameter_is_a_column(tmp_path: Path) -> None:
    record(fixed(tmp_path), temperature=0.5)
    (row,) = read(tmp_path)
    values = exposure_values(row)
    assert values["temperature"] == 0.5
    assert values.keys() == {*SAMPLING_FIELDS, *field_values(row)} - {"sampling"}


def test_a_row_costs_at_most_one_and_a_half_times_a_small_json_document(tmp_path: Path) -> None:
    to, asked, answered = recorder(tmp_path), request(**EVERYTHING), answer(seeds=(2**60,) * 5)
    cost = relative_cost(lambda: to.record(asked, answered, info=info(), by=AssignedBy.UNIT))
    assert cost <= 1.5, cost  # 0.94 when it was written, 20 us on an AMD EPYC
