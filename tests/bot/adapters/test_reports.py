"""Reports of experiments that another program writes into the workspace."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.files.reports import MAX_HEAD, FileReports
from bot.ports import ExperimentReport, ReportedArm, UnreadableReport
from experiments.report.making import make_report
from experiments.report.page import write_report as write_report_files
from tests.bot.helpers.reports import HTML, arm, head, write_report
from tests.experiments.report.support import evidence


def test_a_workspace_without_experiments_has_no_reports(tmp_path: Path) -> None:
    for workspace in (tmp_path, tmp_path / "nowhere"):
        reports = FileReports(workspace)
        assert (reports.is_empty(), list(reports.all()), reports.page("autumn")) == (True, [], None)
    (tmp_path / "experiments").write_text("a file, not a folder")
    assert FileReports(tmp_path).is_empty()


def test_a_report_is_read_with_its_arms(tmp_path: Path) -> None:
    write_report(tmp_path)
    (report,) = FileReports(tmp_path).all()
    assert isinstance(report, ExperimentReport)
    assert (report.name, report.model, report.design, report.state) == ("autumn", "lcgan", "interleaved", "running")
    assert report.updated_at == datetime(2026, 11, 30, 6, tzinfo=UTC)
    assert report.arms[1] == ReportedArm(
        version="7", role="treatment", songs=40, samples=1200, accepted=480, share=0.625, low=0.5, high=0.75
    )
    assert (report.has_page, FileReports(tmp_path).page("autumn")) == (True, HTML.encode())


def test_the_newest_report_comes_first_and_what_cannot_be_read_last(tmp_path: Path) -> None:
    for day, name in ((2, "b"), (3, "c"), (1, "a")):
        write_report(tmp_path, name, updated_at=f"2026-11-0{day}T06:00:00Z")
    write_report(tmp_path, "broken", text="{")
    reports = FileReports(tmp_path)
    assert [report.name for report in reports.all()] == ["c", "b", "a", "broken"]
    assert not reports.is_empty()


def test_a_time_without_a_zone_is_one_of_utc(tmp_path: Path) -> None:
    write_report(tmp_path, updated_at="2026-11-30T06:00:00")
    (report,) = FileReports(tmp_path).all()
    assert isinstance(report, ExperimentReport)
    assert report.updated_at == datetime(2026, 11, 30, 6, tzinfo=UTC)


def test_an_arm_without_verdicts_has_no_share(tmp_path: Path) -> None:
    none: dict[str, Any] = {"value": None, "low": None, "high": None}
    write_report(tmp_path, arms=[arm("3", acceptance=None), arm("7", acceptance=none, note="more fields")])
    (report,) = FileReports(tmp_path).all()
    assert isinstance(report, ExperimentReport)
    assert [(each.share, each.low, each.high) for each in report.arms] == [(None, None, None)] * 2


def test_an_interval_beyond_what_a_share_can_be_ends_there(tmp_path: Path) -> None:
    write_report(tmp_path, arms=[arm("3", acceptance={"value": 0, "low": -0.25, "high": 1.5})])
    (report,) = FileReports(tmp_path).all()
    assert isinstance(report, ExperimentReport)
    assert [(each.share, each.low, each.high) for each in report.arms] == [(0.0, 0.0, 1.0)]


@pytest.mark.parametrize("songs", [0, 1, 60])
def test_reports_as_they_are_written_are_read(tmp_path: Path, songs: int) -> None:
    made = make_report(evidence({"1": 0.4, "2": 0.6}, songs=songs, half=2))
    write_report_files(made, tmp_path / "experiments" / "night-shift")
    reports = FileReports(tmp_path)
    (report,) = reports.all()
    assert isinstance(report, ExperimentReport)
    assert (report.name, report.recommendation, report.state) == ("night-shift", made.recommendation, "running")
    assert [each.role for each in report.arms] == ["control", "treatment"]
    for arm_read, arm_made in zip(report.arms, made.arms, strict=True):
        assert (arm_read.songs, arm_read.samples, arm_read.accepted) == (
            arm_made.songs,
            arm_made.samples,
            arm_made.accepted,
        )
        assert arm_read.share == (arm_made.acceptance.value if arm_made.acceptance is not None else None)
    assert b"<html" in (reports.page("night-shift") or b"")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "it is not valid JSON"),
        ("[" * 100_000, "it is not valid JSON"),
        ('"\udcff"', "it is not valid JSON"),
        ("[]", "it is not a JSON object"),
        ("{}", "model is not a text"),
        (json.dumps(head(state=3)), "state is not a text"),
        (json.dumps(head(updated_at="yesterday")), "Invalid isoformat string: 'yesterday'"),
        (json.dumps(head(arms={})), "arms is not a list"),
        (json.dumps(head(arms=[3])), "an arm is not an object"),
        (json.dumps(head(arms=[arm("3", songs=-1)])), "songs is not a count"),
        (json.dumps(head(arms=[arm("3", accepted=True)])), "accepted is not a count"),
        (
            json.dumps(head(arms=[arm("3", acceptance={"value": float("nan")})])),
            "acceptance.value is not a number from 0 to 1",
        ),
        (json.dumps(head(arms=[arm("3", acceptance={"value": 40})])), "acceptance.value is not a number from 0 to 1"),
        (" " * (MAX_HEAD + 1), "it has more than 4 MiB"),
    ],
)
def test_a_head_that_is_not_one_is_told_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    folder = write_report(tmp_path)
    (folder / "report.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert list(FileReports(tmp_path).all()) == [UnreadableReport(name="autumn", reason=reason)]


def test_a_head_that_cannot_be_opened_is_left_out_or_told(tmp_path: Path) -> None:
    folder = write_report(tmp_path)
    (folder / "report.json").unlink()
    (folder / "report.json").mkdir()
    assert list(FileReports(tmp_path).all()) == []


@pytest.mark.parametrize("name", ["..", ".", "../autumn", "a/b", "Autumn", "", "x" * 41, "autumn\n", "aut\x00umn"])
def test_a_name_that_is_not_one_leads_nowhere(tmp_path: Path, name: str) -> None:
    write_report(tmp_path)
    (tmp_path / "experiments" / "report.html").write_text("outside")
    (tmp_path / "report.html").write_text("outside")
    assert FileReports(tmp_path).page(name) is None


def test_folders_with_other_names_are_not_reports(tmp_path: Path) -> None:
    write_report(tmp_path, ".partial")
    write_report(tmp_path, "Not A Name")
    assert FileReports(tmp_path).is_empty()
