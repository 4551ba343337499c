from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments.definition import ActionKind, ActionRecord
from experiments.evidence import Evidence
from experiments.report.making import make_report
from experiments.report.page import render, write_report
from serving.traffic.experiment import ExperimentDesign
from tests.experiments.report.support import START, evidence, experiment, sample, song

VOID = {"meta", "line", "path", "br"}


class _Balance(HTMLParser):
    """Parser that fails if an element is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - the signature is the parser's
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


PAGES = {
    "empty": Evidence(experiment=experiment(), songs=(), calls=()),
    "one song": Evidence(experiment=experiment(), songs=(song(1, sample("1", True), sample("2", False)),), calls=()),
    "all accepted": Evidence(
        experiment=experiment(),
        songs=tuple(song(number, sample("1", True), sample("2", True)) for number in range(15)),
        calls=(),
    ),
    "version without samples": Evidence(experiment=experiment(), songs=(song(1, sample("1", True)),), calls=()),
    "sticky": evidence({"1": 0.4, "2": 0.6}, songs=60, design=ExperimentDesign.STICKY),
    "sticky without units": evidence({"1": 0.4, "2": 0.6}, songs=0, design=ExperimentDesign.STICKY),
    "three versions and faults": evidence({"1": 0.4, "2": 0.6, "3": 0.5}, songs=120, failures=0.3, half=3),
    "five versions": evidence({str(version): 0.5 for version in range(1, 6)}, songs=12),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_experiment_has_a_sensible_page(name: str) -> None:
    report = make_report(PAGES[name])
    page = render(report)
    balance = _Balance()
    balance.feed(page)
    assert not balance.open
    assert page.index(report.recommendation[:20]) < page.index("<h2>")
    assert "nan" not in re.sub(r"<[^>]*>", "", page).lower().split()
    assert "None" not in page


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = render(make_report(PAGES["sticky"]))
    assert "<script" not in page
    assert "http" not in page
    assert not re.search(r"\b(src|href|url)\b\s*[=(]", page)


def test_actions_are_told_and_a_version_that_was_taken_off_is_marked() -> None:
    action = ActionRecord(
        kind=ActionKind.TAKE_OFF, version="2", reason="Version lcgan/2 was taken off: <it failed>.", at=START
    )
    page = render(make_report(evidence({"1": 0.5, "2": 0.5}, songs=3, actions=(action,))))
    assert "2026-11-30 06:00 UTC</span> Version lcgan/2 was taken off: &lt;it failed&gt;." in page
    assert page.count("<th>2, taken off</th>") == 2
    assert "taken off</th>" not in render(make_report(PAGES["one song"]))


def test_plots_are_shown_once_there_is_a_whole_song() -> None:
    assert 'class="full"' not in render(make_report(PAGES["empty"]))
    page = render(make_report(PAGES["one song"]))
    assert page.count('<svg class="full"') == page.count('<svg class="narrow"') == 2
    assert "decision at 40" in page


def test_foreign_text_is_text() -> None:
    hostile = Evidence(
        experiment=experiment(),
        songs=tuple(
            song(
                number,
                sample("1", True, curator="<b>eve</b>\x00"),
                sample("2", False, reason="<script>alert(1)</script>", flags=("<i>",)),
                genres=("<img src=x>",),
            )
            for number in range(10)
        ),
        calls=(),
        notes=("folder <unknown> is missing",),
    )
    page = render(make_report(hostile))
    assert not re.search(r"<(b>eve|script|i>|img|unknown)", page)
    assert "&lt;b&gt;eve&lt;/b&gt;\N{REPLACEMENT CHARACTER}" in page


def test_the_files_are_written_beside_each_other_and_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "experiments" / "night-shift"
    write_report(make_report(PAGES["empty"]), folder)
    report = make_report(PAGES["sticky"])
    json_path, html_path = write_report(report, folder)
    assert {path.name for path in folder.iterdir()} == {"report.json", "report.html"}
    assert json.loads(json_path.read_text(encoding="utf-8")) == report.to_mapping()
    assert html_path.read_text(encoding="utf-8") == render(report)
