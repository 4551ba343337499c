"""The page of the experiments, and their whole reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from bot.adapters.sqlite.store import SqliteStore
from bot.studio.security import CONTENT_SECURITY_POLICY, REPORT_POLICY
from experiments.report.making import make_report
from experiments.report.page import write_report as write_report_files
from tests.bot.helpers.reports import HTML, arm, write_report
from tests.bot.helpers.studio_axe import CONTRASTS, violations
from tests.bot.helpers.studio_browser import Watched, needs_chromium, ready
from tests.bot.helpers.studio_world import HOSTILE, Client
from tests.experiments.report.support import evidence

LINK = 'href="/experiments"'


@pytest.fixture
def workspace(store: SqliteStore) -> Path:
    return store._path.parent


@pytest.fixture
def studio(workspace: Path, open_studio: Callable[..., Client]) -> Client:  # noqa: ARG001 -- made first
    return open_studio()


def test_without_a_report_no_page_leads_there_and_the_page_says_how_to_begin(studio: Client) -> None:
    for path in ("/", "/posted", "/models", "/try"):
        page = studio.get(path).text
        assert LINK not in page
        assert "<dd>experiments</dd>" not in page
    answer = studio.get("/experiments")
    assert answer.status == 200
    assert "deephypebot experiment start" in answer.text


def test_a_report_shows_sentence_arms_state_and_the_way_to_the_whole(studio: Client, workspace: Path) -> None:
    write_report(workspace)
    for path in ("/", "/posted", "/models", "/try", "/nowhere"):
        assert LINK in studio.get(path).text, path
    page = studio.get("/experiments").text
    for text in ("autumn", "running", "Go on with autumn: 12 more songs decide it.", "treatment", "1,200", "480"):
        assert text in page
    assert "62.5 %" in page
    assert "50–75" in page
    assert 'aria-label="62 percent, between 50 and 75"' in page
    assert 'href="/experiments/autumn"' in page


def test_reports_come_the_newest_first(studio: Client, workspace: Path) -> None:
    for day, name in ((1, "first"), (3, "third"), (2, "second")):
        write_report(workspace, name, updated_at=f"2026-11-0{day}T06:00:00Z")
    page = studio.get("/experiments").text
    assert page.index(">third ") < page.index(">second ") < page.index(">first ")


def test_a_whole_report_has_a_policy_that_lets_it_run_and_load_nothing(studio: Client, workspace: Path) -> None:
    write_report(workspace)
    answer = studio.get("/experiments/autumn")
    assert (answer.status, answer.text) == (200, HTML)
    assert answer.headers["content-security-policy"] == REPORT_POLICY
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src" not in REPORT_POLICY
    assert "sandbox" in REPORT_POLICY.split("; ")
    # Every other page keeps the studio's own.
    assert studio.get("/experiments").headers["content-security-policy"] == CONTENT_SECURITY_POLICY


@pytest.mark.parametrize("name", ["winter", "..%2F..%2Fbot.db", "%2e%2e", "Autumn", "a%00b"])
def test_a_report_that_is_not_there_is_named_on_the_studios_own_page(
    studio: Client, workspace: Path, name: str
) -> None:
    write_report(workspace)
    answer = studio.get(f"/experiments/{name}")
    assert answer.status == 404
    if name == "winter":
        assert "deephypebot experiment report winter" in answer.text
        assert "Go on with autumn" in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY


def test_a_report_without_its_page_has_no_link(studio: Client, workspace: Path) -> None:
    write_report(workspace, html=None)
    assert 'href="/experiments/autumn"' not in studio.get("/experiments").text


def test_a_report_that_cannot_be_read_is_a_notice_beside_the_others(studio: Client, workspace: Path) -> None:
    write_report(workspace)
    write_report(workspace, "broken", text='{"model": 1')
    answer = studio.get("/experiments")
    assert answer.status == 200
    assert "The report of broken cannot be read: it is not valid JSON." in answer.text
    assert "Go on with autumn" in answer.text


def test_texts_of_a_report_never_become_markup(studio: Client, workspace: Path) -> None:
    hostile = arm(HOSTILE, HOSTILE)
    write_report(
        workspace, model=HOSTILE, design=HOSTILE, state=HOSTILE, recommendation=HOSTILE, arms=[hostile, arm("7")]
    )
    page = studio.get("/experiments").text
    assert "<script>document" not in page
    assert "<img src=x" not in page


def test_an_arm_without_a_verdict_says_so(studio: Client, workspace: Path) -> None:
    write_report(workspace, arms=[arm("3", acceptance={"value": None, "low": None, "high": None})])
    assert "no verdict yet" in studio.get("/experiments").text


@pytest.fixture
def windows(chromium: Browser, studio: Client) -> Iterator[Callable[..., Watched]]:
    opened: list[Watched] = []

    def make(**options: object) -> Watched:
        context = chromium.new_context(**options)  # type: ignore[arg-type] # a test names the right ones
        opened.append(Watched(context, studio))
        return opened[-1]

    yield make
    for watched in opened:
        assert watched.foreign == []
        watched.page.context.close()


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_violates_no_rule_of_axe_and_fits(
    windows: Callable[..., Watched], workspace: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    write_report(workspace)
    write_report(workspace, "long-" + "x" * 35, state="stopped", recommendation="Unbreakable" * 30)
    write_report(workspace, "broken", text="{")
    page = windows(color_scheme=scheme, viewport={"width": width, "height": 844}).open("/experiments")
    ready(page)
    assert violations(page) == []
    assert page.evaluate(CONTRASTS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_a_real_report_is_shown_in_the_sandbox_as_outside_of_it(
    windows: Callable[..., Watched], workspace: Path, scheme: Literal["light", "dark"], width: int
) -> None:
    made = make_report(evidence({"1": 0.4, "2": 0.6}, songs=60))
    _, path = write_report_files(made, workspace / "experiments" / "night-shift")
    watched = windows(color_scheme=scheme, viewport={"width": width, "height": 844})
    page = watched.open("/experiments/night-shift")
    expect(page.get_by_text(made.recommendation).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert watched.faults == []
    shown = page.screenshot()
    outside = page.context.new_page()
    outside.set_content(path.read_text(encoding="utf-8"))
    assert shown == outside.screenshot()


@pytest.mark.slow
@needs_chromium
def test_two_keys_lead_there_and_the_report_has_its_style_and_runs_no_script(
    windows: Callable[..., Watched], workspace: Path
) -> None:
    write_report(workspace)
    page = windows().open("/")
    ready(page)
    page.keyboard.press("g")
    page.keyboard.press("e")
    expect(page.locator("h1")).to_have_text("Experiments")
    page.get_by_role("link", name="The whole report of autumn").press("Enter")
    expect(page.locator("h1")).to_have_text("The whole report")
    assert page.title() == "autumn"
    colours = [
        page.locator(part).evaluate("it => getComputedStyle(it).color + getComputedStyle(it).fill")
        for part in ("h1", "circle")
    ]
    assert colours[0].startswith("rgb(1, 2, 3)")
    assert colours[1].endswith("rgb(4, 5, 6)")
