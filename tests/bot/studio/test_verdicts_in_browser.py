"""In headless Chromium: no verdict is lost or given to another song, and no wording is thrown away."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, Verdict
from bot.settings import load
from bot.studio.security import TOKEN_FILE
from bot.studio.server import local_parts, running
from tests.bot.helpers.studio_browser import Watched, current, needs_chromium, ready, said, statuses
from tests.bot.helpers.studio_world import Client, accept

pytestmark = [pytest.mark.slow, needs_chromium]

FIRST, SECOND, THIRD, NEXT_SONG = "101.1.1", "101.1.2", "101.1.3", "102.1.1"
SECOND_PAGE = "more-8.1.1"
"""First candidate of the second page."""
PAGE = 20
"""Candidates of the first page."""
PATIENCE_S = 30.0


def press_at_once(page: Page, keys: str) -> None:
    """Press keys without leaving the page time for anything between them."""
    page.evaluate(
        "keys => [...keys].forEach(key => document.activeElement.dispatchEvent("
        "new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })))",
        keys,
    )


def rejected(store: SqliteStore) -> int:
    return sum(row.candidate.status.value == "rejected" for row in store.rows())


def wait_for_rejected(store: SqliteStore, count: int) -> None:
    until = time.monotonic() + PATIENCE_S
    while rejected(store) < count and time.monotonic() < until:
        time.sleep(0.02)
    assert rejected(store) == count


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Another writer that holds the database for some time."""
    connection = sqlite3.connect(database, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, lambda: connection.execute("COMMIT"))
    timer.start()
    try:
        yield
    finally:
        timer.join()
        connection.close()


def turn(page: Page) -> None:
    page.keyboard.press("n")
    expect(page.locator(f"[data-id='{SECOND_PAGE}']")).to_be_visible()


def go_to_posts(page: Page) -> None:
    page.keyboard.press("g")
    page.keyboard.press("p")
    expect(page.locator("h1")).to_have_text("Posted")


def follow_a_link(page: Page) -> None:
    page.get_by_role("link", name="Models").click()
    expect(page.locator("h1")).to_have_text("Verdicts by model version")


def reload(page: Page) -> None:
    page.reload()


def close(page: Page) -> None:
    other = page.context.new_page()
    with page.expect_event("close"):
        page.close(run_before_unload=True)
    other.close()


@pytest.mark.parametrize("leave", [turn, go_to_posts, follow_a_link, reload, close])
def test_verdicts_under_way_are_recorded_however_the_page_is_left(
    window: Callable[..., Watched], filled: SqliteStore, leave: Callable[[Page], None]
) -> None:
    page = window().open()
    page.on("dialog", lambda dialog: dialog.accept())
    press_at_once(page, "r" * PAGE)
    leave(page)
    wait_for_rejected(filled, PAGE)


def test_a_page_with_unsent_verdicts_asks_before_it_is_closed_and_others_do_not(
    window: Callable[..., Watched], filled: SqliteStore, database: Path
) -> None:
    page = window().open()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.keyboard.press("j")  # browsers ask only where somebody has typed
    with locked(database, 1):
        press_at_once(page, "rr")
        expect(page.locator("[data-saving]")).to_have_text("2 saving")
        page.close(run_before_unload=True)
        page.wait_for_timeout(200)
    assert asked == ["beforeunload"]
    wait_for_rejected(filled, 2)
    expect(page.locator("[data-saving]")).to_have_text("")
    page.reload()
    assert len(asked) == 1


def test_verdicts_wait_for_another_writer_and_turning_the_page_waits_for_them(
    window: Callable[..., Watched], filled: SqliteStore, database: Path
) -> None:
    page = window().open()
    with locked(database, 2):
        for _ in range(5):
            page.keyboard.press("r")
            page.wait_for_timeout(50)
        page.keyboard.press("n")
        # Keys that come before the page has turned are for the next one, and not for what is still shown.
        page.keyboard.press("a")
        expect(page.locator(f"[data-id='{SECOND_PAGE}']")).to_be_visible()
    assert rejected(filled) == 5
    assert all(row.candidate.status.value != "accepted" for row in filled.rows())


def test_a_studio_that_does_not_answer_is_reported_and_what_was_not_saved_waits_again(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    watched = window()
    watched.page.clock.install()
    page = watched.open()
    page.context.set_offline(True)
    press_at_once(page, "ar")
    expect(page.locator(".toast [data-message]")).to_contain_text("does not answer: trying again")
    for _ in range(8):
        page.clock.run_for(5_000)
        page.wait_for_timeout(50)
    expect(page.locator("[data-unsaved]")).to_have_text("2 not saved")
    expect(page.locator(f"[data-id='{FIRST}'] .unsaved")).to_contain_text("does not answer")
    assert statuses(filled, FIRST, SECOND) == ["waiting", "waiting"]
    page.context.set_offline(False)
    page.locator("[data-unsaved]").click()
    assert current(page) == FIRST
    page.clock.run_for(10_000)
    page.keyboard.press("a")
    said(page, "Accepted.")
    expect(page.locator("[data-unsaved]")).to_have_text("1 not saved")
    assert statuses(filled, FIRST) == ["accepted"]


def test_the_rest_is_that_of_the_song_of_the_last_verdict_until_the_selection_is_moved(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    for key in "jja":
        page.keyboard.press(key)
    assert current(page) == NEXT_SONG
    page.keyboard.press("x")
    said(page, "Rejected 2.")
    assert statuses(filled, FIRST, SECOND, THIRD, NEXT_SONG) == ["rejected", "rejected", "accepted", "waiting"]
    page.keyboard.press("x")
    expect(page.locator(".toast [data-message]")).to_contain_text("No other candidate of “Slow Lamp” waits")
    assert statuses(filled, NEXT_SONG) == ["waiting"]
    page.keyboard.press("j")
    page.keyboard.press("x")
    said(page, "Rejected 3.")
    assert statuses(filled, NEXT_SONG) == ["rejected"]


@pytest.mark.parametrize("by_key", [True, False])
def test_accepting_one_and_rejecting_the_rest_is_one_step_with_one_undo(
    window: Callable[..., Watched], filled: SqliteStore, by_key: bool
) -> None:
    page = window().open()
    page.keyboard.press("j")
    if by_key:
        page.keyboard.press("A")
    else:
        page.locator(f"[data-id='{SECOND}'] button.only").click()
    said(page, "Accepted, 2 rejected.")
    assert statuses(filled, FIRST, SECOND, THIRD, NEXT_SONG) == ["rejected", "accepted", "rejected", "waiting"]
    assert current(page) == NEXT_SONG
    page.keyboard.press("u")
    said(page, "Undone: 3 candidates wait again.")
    assert statuses(filled, FIRST, SECOND, THIRD) == ["waiting"] * 3
    assert current(page) == SECOND


def test_undo_reaches_back_over_turned_pages_and_reloads(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    page.keyboard.press("a")
    page.keyboard.press("r")
    turn(page)
    ready(page)
    page.keyboard.press("u")
    said(page, "Undone: the candidate waits again, on another page.")
    assert statuses(filled, FIRST, SECOND) == ["accepted", "waiting"]
    page.reload()
    ready(page)
    page.keyboard.press("u")
    said(page, "Undone: the candidate waits again, on another page.")
    assert statuses(filled, FIRST) == ["waiting"]
    page.keyboard.press("u")
    expect(page.locator(".toast [data-message]")).to_contain_text("Nothing to undo")


def test_a_verdict_is_undone_before_it_was_sent(
    window: Callable[..., Watched], filled: SqliteStore, database: Path
) -> None:
    page = window().open()
    with locked(database, 1):
        press_at_once(page, "rrruu")
    expect(page.locator("[data-saving]")).to_have_text("")
    wait_for_rejected(filled, 1)
    assert current(page) == SECOND


def test_a_wording_survives_escape_and_reload_and_is_not_passed_over(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    page.keyboard.press("e")
    page.keyboard.type(" Softly.")
    page.keyboard.press("Escape")
    card = page.locator(f"[data-id='{FIRST}']")
    expect(card.locator("[data-draft]")).to_contain_text("Slow Lamp, take 1. Softly.")
    page.reload()
    ready(page)
    expect(card.locator("[data-draft]")).to_contain_text("Softly.")
    page.keyboard.press("a")  # opens the draft: the sample is not accepted in its place
    expect(card.locator("textarea")).to_be_focused()
    assert statuses(filled, FIRST) == ["waiting"]
    page.keyboard.press("Control+Enter")
    said(page, "Accepted.")
    assert next(row.text for row in filled.rows() if row.candidate.id == FIRST) == "Slow Lamp, take 1. Softly."
    expect(card.locator("[data-draft]")).to_be_hidden()


def test_undo_of_an_edited_text_brings_the_wording_back(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    page.keyboard.press("e")
    page.keyboard.type(" Softly.")
    page.keyboard.press("Control+Enter")
    said(page, "Accepted.")
    page.keyboard.press("u")
    said(page, "Undone: the candidate waits again.")
    page.keyboard.press("e")
    assert page.locator(".is-current textarea").input_value() == "Slow Lamp, take 1. Softly."
    assert statuses(filled, FIRST) == ["waiting"]


def test_a_conflict_keeps_the_wording_beside_what_is_now(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    page.keyboard.press("e")
    page.keyboard.type(" Softly.")
    filled.decide([Verdict(candidate_id=FIRST, decision=Decision.REJECT, who="jo")])
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toast.is-fault")).to_contain_text(f"somebody else has decided on {FIRST}")
    card = page.locator(f"[data-id='{FIRST}']")
    expect(card.locator(".verdict")).to_contain_text("Rejected by jo")
    expect(card.locator("[data-draft]")).to_contain_text("Softly.")
    assert statuses(filled, FIRST) == ["rejected"]


def test_verdicts_of_another_curator_arrive_on_the_open_page_beside_an_open_editor(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    watched = window()
    watched.page.clock.install()
    page = watched.open()
    page.keyboard.press("e")
    page.keyboard.type(" Softly.")
    accept(filled, FIRST, SECOND)
    page.clock.run_for(21_000)
    expect(page.locator(f"[data-id='{SECOND}'] .verdict")).to_contain_text("Accepted by jo")
    expect(page.locator(f"[data-id='{FIRST}'] .verdict")).to_be_visible()
    expect(page.locator(f"[data-id='{FIRST}'] textarea")).to_be_focused()
    assert page.locator(f"[data-id='{FIRST}'] textarea").input_value() == "Slow Lamp, take 1. Softly."
    expect(page.locator("#waiting")).to_have_text("26")


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("is_token_lost", [False, True])
def test_an_open_page_goes_on_with_a_studio_that_was_started_anew(
    chromium: Browser, filled: SqliteStore, database: Path, is_token_lost: bool
) -> None:
    settings = load(workspace=database.parent, target="127.0.0.1:1")
    with ExitStack() as stack:
        parts = stack.enter_context(local_parts(settings, who="ana"))
        with running(parts, port=0) as address:
            watched = Watched(stack.enter_context(chromium.new_context()), Client(address))
            page = watched.open()
            page.keyboard.press("e")
            page.keyboard.type(" Softly.")
        if is_token_lost:
            (database.parent / TOKEN_FILE).unlink()
        parts = stack.enter_context(local_parts(settings, who="ana"))
        stack.enter_context(running(parts, port=int(address.rstrip("/").rpartition(":")[2])))
        page.keyboard.press("Control+Enter")
        said(page, "Accepted.")
        page.close()
    assert next(row.text for row in filled.rows() if row.candidate.id == FIRST) == "Slow Lamp, take 1. Softly."
