from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.registry.versions import RegisteredVersion
from serving.sync.last_good import LastGood, LastGoodFiles

URI = "http://ann:secret@mlflow.example"
TEXTS = st.text(max_size=8)
VERSIONS = st.builds(
    RegisteredVersion,
    model=st.just("lcgan"),
    version=st.integers(1, 99).map(str),
    aliases=st.lists(TEXTS, max_size=3).map(tuple),
    run_id=TEXTS,
    archive_path=TEXTS,
    archive_sha256=TEXTS,
    sync_error=TEXTS,
    created=TEXTS,
    facts=st.dictionaries(TEXTS, TEXTS, max_size=2),
    traffic=st.dictionaries(TEXTS, TEXTS, max_size=2),
)
VERSION = RegisteredVersion(
    model="lcgan", version="2", aliases=("champion",), run_id="", archive_path="", archive_sha256="", sync_error=""
)
STATE = LastGood(model="lcgan", champion="2", previous=None, versions=(VERSION,), tagged=(VERSION,))


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(versions=st.lists(VERSIONS, min_size=1, max_size=3), tagged=st.lists(VERSIONS, max_size=2))
def test_what_is_kept_is_what_comes_back(
    tmp_path: Path, versions: list[RegisteredVersion], tagged: list[RegisteredVersion]
) -> None:
    files = LastGoodFiles(tmp_path, registry=URI)
    state = LastGood(
        model="lcgan",
        champion=versions[0].version,
        previous=versions[-1].version,
        versions=tuple(versions),
        tagged=tuple(tagged),
    )
    assert files.write(state)
    assert LastGoodFiles(tmp_path, registry=URI).read("lcgan") == state
    assert [path.name for path in tmp_path.iterdir()] == ["lcgan.json"]


def test_the_file_names_the_archives_and_holds_no_password(tmp_path: Path) -> None:
    LastGoodFiles(tmp_path, registry=URI).write(STATE)
    text = (tmp_path / "lcgan.json").read_text()
    assert json.loads(text)["versions"][0]["archive"] == "lcgan_2.mar"
    assert "secret" not in text


def test_the_state_of_another_registry_is_not_used(tmp_path: Path) -> None:
    LastGoodFiles(tmp_path, registry=URI).write(STATE)
    assert LastGoodFiles(tmp_path, registry="sqlite:///other.db").read("lcgan") is None
    # A new password is not another registry.
    assert LastGoodFiles(tmp_path, registry="http://ann:new@mlflow.example").read("lcgan") == STATE


@pytest.mark.parametrize(
    "change",
    [
        {"champion": "7"},
        {"model": "cvae"},
        {"versions": None},
        {"versions": [{"model": "lcgan", "version": "2"}]},
        {"tagged": [{"model": 3}]},
        {"tagged": 3},
    ],
)
def test_a_file_that_makes_no_sense_is_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: dict[str, object]
) -> None:
    files = LastGoodFiles(tmp_path, registry=URI)
    files.write(STATE)
    path = tmp_path / "lcgan.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert files.read("lcgan") is None
    (line,) = caplog.messages
    assert str(path) in line


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"[]"])
def test_a_damaged_file_is_a_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    (tmp_path / "lcgan.json").write_bytes(content)
    assert LastGoodFiles(tmp_path, registry=URI).read("lcgan") is None
    assert len(caplog.messages) == 1


def test_a_version_that_is_a_path_never_comes_back(tmp_path: Path) -> None:
    files = LastGoodFiles(tmp_path, registry=URI)
    stray = replace(VERSION, version="../2")
    files.write(replace(STATE, champion="../2", versions=(stray,), tagged=()))
    assert files.read("lcgan") is None


def test_a_folder_that_cannot_be_written_is_told_once_and_the_state_before_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    files = LastGoodFiles(tmp_path / "file" / "folder", registry=URI)
    assert not files.write(STATE)
    assert not files.write(replace(STATE, previous="1"))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "serving goes on" in record.message


def test_a_full_disk_leaves_the_state_before_as_it_was(tmp_path: Path) -> None:
    files = LastGoodFiles(tmp_path, registry=URI)
    files.write(STATE)
    (tmp_path / f".lcgan.json.{os.getpid()}").symlink_to("/dev/full")
    assert not files.write(replace(STATE, previous="1"))
    assert files.read("lcgan") == STATE
    assert [path.name for path in tmp_path.iterdir()] == ["lcgan.json"]


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    files = LastGoodFiles(None, registry=URI)
    assert not files.write(STATE)
    assert files.read("lcgan") is None
    assert list(tmp_path.iterdir()) == []
