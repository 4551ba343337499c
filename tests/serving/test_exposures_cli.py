"""Commands `deephypebot exposures`, called as a terminal calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from serving.exposures_cli import app_exposures
from serving.traffic.policy import AssignedBy
from serving.traffic.segments import segment_paths
from tests.serving.traffic.exposing import record, recorder


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    to = recorder(tmp_path / "exposures")
    record(to, request_id="first", unit="user:1")
    record(to, request_id="second", version="3", by=AssignedBy.RANDOM)
    record(to, request_id="third", unit="user:1")
    return tmp_path


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app_exposures, [str(each) for each in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def ids(*arguments: str | Path) -> list[str]:
    return [json.loads(line)["request_id"] for line in run("list", "--json", *arguments).splitlines()]


def test_the_list_finds_exposures_by_version_unit_and_request(workspace: Path) -> None:
    here = ("--workspace", workspace)
    assert ids(*here) == ["first", "second", "third"]
    assert ids(*here, "--last", "2") == ["second", "third"]
    assert ids(*here, "--version", "lcgan/2") == ["first", "third"]
    assert ids(*here, "--version", "lcgan") == ["first", "second", "third"]
    assert ids(*here, "--version", "cvae") == []
    assert ids(*here, "--unit", "user:1", "--last", "1") == ["third"]
    assert ids(*here, "--request-id", "second") == ["second"]
    assert ids(workspace / "exposures") == ["first", "second", "third"]
    shown = run("list", *here, "--request-id", "second")
    assert "lcgan/3" in shown
    assert "random" in shown
    assert "no exposure matches" in run("list", *here, "--unit", "nobody")


def test_an_alias_cannot_be_looked_up_and_the_error_says_what_can(workspace: Path) -> None:
    done = CliRunner().invoke(app_exposures, ["list", "--workspace", str(workspace), "--version", "lcgan@champion"])
    assert done.exit_code == 2
    assert "lcgan/2" in done.output


def test_the_summary_counts_by_version_and_reason_and_says_what_was_left_out(workspace: Path) -> None:
    (path,) = segment_paths(workspace / "exposures")
    with path.open("ab") as file:
        file.write(b'{"id":')
    counts = json.loads(run("summary", "--workspace", workspace, "--json"))
    assert [(each["version"], each["answers"], each["assigned_by"]["unit"]) for each in counts] == [
        ("2", 2, 2),
        ("3", 1, 0),
    ]
    shown = run("summary", "--workspace", workspace)
    assert "by unit" in shown
    assert "by pin" not in shown
    assert "1 last rows of files are not whole" in shown


def test_an_export_merges_the_folders_of_several_hosts(workspace: Path, tmp_path: Path) -> None:
    record(recorder(tmp_path / "other", host="two"), request_id="fourth")
    out = tmp_path / "all.parquet"
    assert "4 exposures" in run("export", "--out", out, workspace / "exposures", tmp_path / "other")
    assert pq.read_table(out)["request_id"].to_pylist() == ["first", "second", "third", "fourth"]
