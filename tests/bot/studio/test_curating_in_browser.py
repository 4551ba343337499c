"""Search, selection, reasons and corrections in headless Chromium, by keyboard and mouse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.studio_browser import Watched, current, needs_chromium, ready, said, statuses

pytestmark = [pytest.mark.slow, needs_chromium]

NAMES = ("101.1.1", "101.1.2", "101.1.3", "102.1.1")


def test_a_selection_is_decided_in_one_step_and_undone_in_one(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    page.keyboard.press("v")
    for _ in NAMES[1:]:
        page.keyboard.press("Shift+ArrowDown")
    expect(page.locator("[data-selected]")).to_have_text("4 selected")
    page.keyboard.press("a")
    said(page, "Accepted 4.")
    assert statuses(filled, *NAMES) == ["accepted"] * 4
    expect(page.locator("#selection")).to_be_hidden()
    page.keyboard.press("u")
    said(page, "Undone: 4 candidates wait again.")
    assert statuses(filled, *NAMES) == ["waiting"] * 4
    # By mouse: a click with shift selects up to there, and the button rejects.
    page.locator("[data-id='101.1.1'] [data-pick]").click()
    page.locator("[data-id='101.1.3'] [data-pick]").click(modifiers=["Shift"])
    expect(page.locator("[data-selected]")).to_have_text("3 selected")
    page.locator("#selection button.reject").click()
    said(page, "Rejected 3.")
    assert statuses(filled, *NAMES) == ["rejected", "rejected", "rejected", "waiting"]
    # What is no longer selected is not meant.
    page.locator("[data-id='102.1.1'] [data-pick]").click()
    page.keyboard.press("Escape")
    expect(page.locator("#selection")).to_be_hidden()


def test_a_key_rejects_with_a_reason(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    page.keyboard.press("2")
    said(page, "Rejected.")
    assert current(page) == NAMES[1]
    (row,) = [row for row in filled.rows() if row.candidate.id == NAMES[0]]
    assert row.verdict
    assert row.verdict.reason == "makes no sense"


def test_search_and_correction_by_keyboard_alone(window: Callable[..., Watched], filled: SqliteStore) -> None:
    watched = window()
    page = watched.open()
    page.keyboard.press("/")
    page.keyboard.type("tin sea")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=tin+sea*")
    ready(page)
    expect(page.locator(".candidate")).to_have_count(3)
    page.keyboard.press("m")
    page.keyboard.type("Mica Dunn")  # the artist was selected
    page.keyboard.press("Enter")
    page.wait_for_url("**corrected=*")
    ready(page)
    expect(page.locator(".candidate")).to_have_count(5)
    expect(page.locator("h2 .artist")).to_have_text("Mica Dunn")
    page.get_by_role("button", name="Undo the correction").click()
    expect(page.locator("h2 .artist")).to_have_text("Ona Vell")
    assert statuses(filled, "102.1.1") == ["waiting"]
    assert watched.faults == watched.foreign == []


def test_two_curators_see_each_other(window: Callable[..., Watched]) -> None:
    mila, ana = window().open(), window().open()
    mila.locator(".curator summary").click()
    mila.get_by_label("Your name").fill("Mila")
    mila.get_by_role("button", name="Use this name").click()
    expect(mila.locator(".curator summary")).to_have_text("Curator: Mila")
    ready(mila)
    mila.keyboard.press("J")
    mila.wait_for_timeout(1_500)
    ana.keyboard.press("j")
    expect(ana.locator("[data-song='2.1'] [data-lookers]")).to_have_text("Mila looks at this song")
