"""File of verdicts: a line for each judged sample, as `training.verdicts` reads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import ExperimentError
from experiments.verdict_file import Written, write_verdicts
from handlers.contract import SAMPLING_FIELDS, SamplingParams
from tests.experiments.lab import Lab, exposure
from training.verdicts.rows import read_verdicts

pytestmark = pytest.mark.slow  # the store's file is synced to the disk at each commit


def written(lab: Lab, out: Path, **values: Any) -> tuple[Written, list[dict[str, Any]]]:
    with lab.store() as store:
        found = write_verdicts(out, store, lab.exposures if lab.exposures_folder.is_dir() else (), **values)
    return found, [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_judged_samples_have_a_line_with_the_settings_of_their_exposure(lab: Lab, tmp_path: Path) -> None:
    lab.expose(
        exposure("e1", "1"),
        exposure("e2", "2", topic="sound", best_of=4, sampling=SamplingParams(temperature=0.5), ranked_by="both"),
    )
    ids = lab.add_song([("1", False), ("2", None)], exposure_ids={"1": "e1", "2": "e2"})
    lab.judge({ids[1]: True}, edited_text="A «slower» lamp.")
    found, rows = written(lab, tmp_path / "verdicts.jsonl")
    assert found == Written(accepted=1, edited=1, rejected=1, without_exposure=0)
    assert found.total == len(rows) == 2
    accepted = rows[1]
    assert {name: accepted[name] for name in SAMPLING_FIELDS if name != "temperature"} == {
        name: json.loads(json.dumps(getattr(SamplingParams(), name)))
        for name in SAMPLING_FIELDS
        if name != "temperature"
    }
    assert {name: value for name, value in accepted.items() if name not in SAMPLING_FIELDS} == {
        "model": "lcgan",
        "version": "2",
        "archive_sha256": "2" * 64,
        "seed": 2,
        "genres": ["dream pop"],
        "topic": "sound",
        "best_of": 4,
        "rank_by": "",
        "ranked_by": "both",
        "artist": "Ona Vell",
        "title": "Slow Lamp 1",
        "text": "A lamp of 1, number 2.",
        "accepted": True,
        "edited_text": "A «slower» lamp.",
        "curator": "ann",
        "decided_at": "2026-01-05T06:00:00+00:00",
        "experiment": "winter",
        "flags": [],
    }
    assert accepted["temperature"] == 0.5
    assert (rows[0]["accepted"], rows[0]["topic"]) == (False, None)


def test_a_song_of_an_experiment_is_not_written_before_its_last_verdict(lab: Lab, tmp_path: Path) -> None:
    ids = lab.add_song([("1", False), ("2", True), ("2", None)])
    lab.add_song([("1", True), ("1", None)], experiment="")
    _, rows = written(lab, tmp_path / "verdicts.jsonl")
    assert [row["title"] for row in rows] == ["Slow Lamp 2"]
    lab.judge({ids[2]: True})
    _, rows = written(lab, tmp_path / "verdicts.jsonl")
    assert [(row["title"], row["version"]) for row in rows[:3]] == [("Slow Lamp 1", each) for each in "122"]


def test_a_sample_without_an_exposure_has_the_settings_that_the_bot_asks_with(lab: Lab, tmp_path: Path) -> None:
    lab.add_song([("1", True)], experiment="")
    found, rows = written(lab, tmp_path / "verdicts.jsonl")
    assert found.without_exposure == 1
    assert (rows[0]["temperature"], rows[0]["experiment"]) == (SamplingParams().temperature, "")


def test_a_training_reads_the_file(lab: Lab, tmp_path: Path) -> None:
    for number in range(10):
        lab.add_song([("1", number % 2 == 0), ("2", True)])
    _, rows = written(lab, tmp_path / "verdicts.jsonl")
    read = read_verdicts(tmp_path / "verdicts.jsonl")
    assert (len(read.rows), read.accepted) == (len(rows), 15)


def test_only_samples_of_the_model_are_written_and_none_is_an_empty_file(lab: Lab, tmp_path: Path) -> None:
    lab.add_song([("1", True)])
    assert written(lab, tmp_path / "a.jsonl", model="cvae") == (
        Written(accepted=0, edited=0, rejected=0, without_exposure=0),
        [],
    )
    assert written(lab, tmp_path / "a.jsonl", model="lcgan")[0].total == 1


def test_a_file_that_cannot_be_written_is_told_and_leaves_nothing(lab: Lab, tmp_path: Path) -> None:
    lab.add_song([("1", True)])
    with pytest.raises(ExperimentError, match="cannot be written: No such file"):
        written(lab, tmp_path / "missing" / "a.jsonl")
    assert list(tmp_path.glob("**/*.partial")) == []
