"""Ready file: when it is written, and what of other services is left alone."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from serving.ready_file import ReadyFile


def test_a_document_is_written_in_one_step_again_when_it_changes_and_removed(tmp_path: Path) -> None:
    path = tmp_path / "run" / "ready.json"
    ready = ReadyFile(path)
    ready.write({"metrics": "a"})
    assert json.loads(path.read_text()) == {"metrics": "a"}
    first = path.stat().st_ino
    ready.write({"metrics": "a"})
    assert path.stat().st_ino == first
    ready.write({"metrics": "b"})
    assert json.loads(path.read_text()) == {"metrics": "b"}
    assert list(path.parent.iterdir()) == [path]
    ready.remove()
    assert not path.exists()


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ready = ReadyFile(None)
    ready.remove_stale()
    ready.write({"pid": 1})
    ready.remove()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_takes_no_file_is_an_error_in_the_log_once_and_no_more(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    ready = ReadyFile(tmp_path / "file" / "ready.json")
    with caplog.at_level(logging.INFO):
        ready.write({"pid": 1})
        ready.write({"pid": 1})
    (record,) = caplog.records
    assert "ready.json cannot be written" in record.getMessage()
    ready.remove()


def pid_of_a_process_that_ended() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    return ended.pid


@pytest.mark.parametrize(
    ("text", "is_removed"),
    [
        (json.dumps({"pid": pid_of_a_process_that_ended()}), True),
        (json.dumps({"pid": os.getpid()}), True),
        (json.dumps({"pid": os.getppid()}), False),
        ("{", True),
        ("[]", True),
        (json.dumps({"pid": "7"}), True),
    ],
    ids=["ended", "own number, as in a container", "another that runs", "no JSON", "no object", "no number"],
)
def test_the_file_of_a_service_that_was_killed_is_removed_and_that_of_another_is_not(
    tmp_path: Path, text: str, is_removed: bool
) -> None:
    path = tmp_path / "ready.json"
    path.write_text(text)
    ReadyFile(path).remove_stale()
    assert path.exists() is not is_removed
