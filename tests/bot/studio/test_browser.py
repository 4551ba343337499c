"""The studio in headless Chromium: by keyboard, in a narrow window, without a script, with hostile text."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from tests.bot.helpers.studio_browser import PAGES, Watched, current, needs_chromium, ready, said, statuses
from tests.bot.helpers.studio_world import accept, add_song, post

pytestmark = [pytest.mark.slow, needs_chromium]


def test_a_queue_is_decided_by_keyboard_alone_and_undone_step_by_step(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    names = ("101.1.1", "101.1.2", "101.1.3", "102.1.1")
    assert current(page) == names[0]
    page.keyboard.press("a")
    said(page, "Accepted.")
    assert current(page) == names[1]
    page.keyboard.press("r")
    said(page, "Rejected.")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert current(page) == names[2]
    page.keyboard.press("x")
    expect(page.locator(".song").first.locator(".is-waiting")).to_have_count(0)
    assert statuses(filled, *names) == ["accepted", "rejected", "rejected", "waiting"]
    expect(page.locator("#waiting")).to_have_text("25")
    assert current(page) == names[3]
    for step in (["accepted", "rejected", "waiting"], ["accepted", "waiting", "waiting"], ["waiting"] * 3):
        page.keyboard.press("u")
        expect(page.locator(".song").first.locator(".is-waiting")).to_have_count(step.count("waiting"))
        assert statuses(filled, *names[:3]) == step
    page.keyboard.press("u")
    expect(page.locator(".toast [data-message]")).to_contain_text("Nothing to undo")
    expect(page.locator("#waiting")).to_have_text("28")


def test_quick_hands_lose_no_verdict(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    for key in "arararar":
        page.keyboard.press(key)
        page.wait_for_timeout(20)
    expect(page.locator(".candidate.is-accepted, .candidate.is-rejected")).to_have_count(8)
    decided = [row for row in filled.rows() if row.candidate.status is not CandidateStatus.WAITING]
    assert len(decided) == 8
    assert all(row.verdict and row.verdict.who == "ana" for row in decided)


def test_a_key_that_is_held_down_decides_once(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    for _ in range(5):
        page.keyboard.down("a")
    page.keyboard.up("a")
    said(page, "Accepted.")
    assert sum(row.candidate.status is CandidateStatus.ACCEPTED for row in filled.rows()) == 1


def test_an_edit_is_typed_counted_accepted_and_shown_as_a_change(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    page.keyboard.press("e")
    text = page.locator(".is-current textarea")
    expect(text).to_be_focused()
    # The post as it will be sent: with the words of the template, by the rule of the network.
    expect(page.locator(".is-current [data-length]")).to_have_text("40 of 280")
    page.keyboard.type(" jar \N{FIRE}")  # letters that are keys elsewhere
    expect(page.locator(".is-current [data-length]")).to_have_text("47 of 280")
    expect(page.locator(".is-current [data-preview]")).to_have_text(
        "Ona Vell – Slow Lamp: Slow Lamp, take 1. jar \N{FIRE}"
    )
    page.keyboard.press("Control+Enter")
    said(page, "Accepted.")
    (row,) = (row for row in filled.rows() if row.candidate.id == "101.1.1")
    assert row.text == "Slow Lamp, take 1. jar \N{FIRE}"
    expect(page.locator("[data-id='101.1.1'] ins")).to_have_text("jar \N{FIRE}")
    assert current(page) == "101.1.2"


def test_an_edit_that_is_discarded_changes_nothing(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window().open()
    page.keyboard.press("e")
    page.keyboard.type("gone")
    page.locator(".is-current [data-discard]").click()
    expect(page.locator(".is-current textarea")).to_be_hidden()
    assert page.locator(".is-current textarea").input_value() == "Slow Lamp, take 1."
    page.keyboard.press("j")
    assert current(page) == "101.1.2"
    assert statuses(filled, "101.1.1") == ["waiting"]


def test_what_somebody_else_decided_is_shown_and_not_overwritten(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    filled.decide([Verdict(candidate_id="101.1.1", decision=Decision.REJECT, who="jo")])
    page.keyboard.press("a")
    expect(page.locator(".toast.is-fault")).to_contain_text("somebody else has decided on 101.1.1")
    expect(page.locator("[data-id='101.1.1'] .verdict")).to_contain_text("Rejected by jo")
    assert statuses(filled, "101.1.1") == ["rejected"]


def test_a_text_that_may_not_be_posted_is_not_accepted_as_it_is(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    blocked = page.locator(".candidate", has=page.locator(".flag", has_text="hidden character"))
    expect(blocked.locator("button.accept").first).to_be_disabled()
    blocked.click(position={"x": 5, "y": 5})
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("take it out first")
    assert all(row.candidate.status is CandidateStatus.WAITING for row in filled.rows())


def test_pages_are_turned_by_keyboard_without_losing_a_song(window: Callable[..., Watched]) -> None:
    page = window().open()
    seen = page.locator(".candidate").evaluate_all("cards => cards.map(card => card.dataset.id)")
    page.keyboard.press("n")
    expect(page.locator("[data-first]")).to_be_visible()
    ready(page)
    seen += page.locator(".candidate").evaluate_all("cards => cards.map(card => card.dataset.id)")
    assert len(seen) == len(set(seen)) == 28
    page.keyboard.press("p")
    expect(page.locator(".page-number")).to_have_text("page 1 of 2")


def test_the_help_names_every_key_and_closes(window: Callable[..., Watched]) -> None:
    page = window().open()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    keys = set(page.locator("#help dt kbd").all_inner_texts())
    assert keys >= set("jkJKnpoarxeugqtms?")
    page.keyboard.press("a")  # a key of the page behind it
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator(".is-accepted")).to_have_count(0)


def test_the_pages_are_reached_by_two_keys(window: Callable[..., Watched]) -> None:
    page = window().open()
    for key, heading in (("p", "Posted"), ("m", "Verdicts by model version"), ("t", "Try it"), ("q", "Queue: waiting")):
        page.locator("h1").first.click(force=True)
        page.keyboard.press("Escape")
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("g")
        page.keyboard.press(key)
        expect(page.locator("h1")).to_have_text(heading)
        ready(page)


def test_hostile_text_is_read_and_never_run(window: Callable[..., Watched], filled: SqliteStore) -> None:
    names = [row.candidate.id for row in filled.rows() if "script" in row.candidate.sample.text]
    accept(filled, *names)
    post(filled, names[0], OutgoingPostStatus.REFUSED, reason="<img src=x onerror=\"document.title='owned'\">")
    watched = window()
    for path in ("/?status=all", "/posted", "/try?query=<script>document.title='owned'</script>&go=1"):
        page = watched.open(path)
        page.wait_for_timeout(100)
        assert "owned" not in page.title()
        assert page.locator("main img, main script, main iframe").count() == 0


def test_every_page_fits_a_telephone_and_a_desk(window: Callable[..., Watched], filled: SqliteStore) -> None:
    accept(filled, *[row.candidate.id for row in filled.rows()][:12])
    post(filled, "101.1.1", OutgoingPostStatus.REFUSED, reason="Unbreakable" * 40)
    watched = window()
    for path in PAGES:
        page = watched.open(path)
        for width, height in ((1280, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (width, path)


def test_colours_follow_the_system(window: Callable[..., Watched]) -> None:
    papers = {
        window(color_scheme=scheme).open("/?status=all").evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(papers) == 2


def test_every_field_and_button_has_a_name(window: Callable[..., Watched]) -> None:
    watched = window()
    for path in PAGES:
        page = watched.open(path)
        assert page.evaluate(UNNAMED) == []


UNNAMED = """() => [...document.querySelectorAll("a, button, input:not([type=hidden]), select, textarea")]
  .filter((each) => !(each.labels?.length || each.ariaLabel || each.textContent.trim()))
  .map((each) => each.outerHTML)"""


def test_without_a_script_forms_do_the_same(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window(java_script_enabled=False).open()
    page.locator("[data-id='101.1.2'] .acts button.reject").click()
    assert statuses(filled, "101.1.1", "101.1.2") == ["waiting", "rejected"]
    page.locator("[data-id='101.1.1'] .editor > summary").click()
    page.locator("[data-id='101.1.1'] textarea").fill("By hand.")
    page.locator("[data-id='101.1.1'] .editor button.accept").click()
    (row,) = (row for row in filled.rows() if row.candidate.id == "101.1.1")
    assert row.text == "By hand."
    page.get_by_role("link", name="Rejected").click()
    page.locator("[data-id='101.1.2'] .acts button.undo").click()
    assert statuses(filled, "101.1.2") == ["waiting"]


def test_trying_shows_samples_and_another_seed_brings_others(window: Callable[..., Watched]) -> None:
    page = window().open("/try")
    page.get_by_label("A song, in your own words").fill("Ona Vell - Slow Lamp")
    page.get_by_role("spinbutton", name="Samples").fill("3")
    page.get_by_role("slider", name="Temperature").fill("0.5")
    expect(page.locator("output[for=temperature]")).to_have_text("0.5")
    page.get_by_role("button", name="Generate").click()
    texts = page.locator(".results .text")
    expect(texts).to_have_count(3)
    before = texts.all_inner_texts()
    ready(page)
    assert "Slow Lamp by Ona Vell" in before[0]
    page.keyboard.press("s")
    page.wait_for_function("before => document.querySelector('.results .text').innerText !== before", arg=before[0])
    expect(page.get_by_role("slider", name="Temperature")).to_have_value("0.5")


def test_new_candidates_are_counted_while_the_page_is_open(window: Callable[..., Watched], filled: SqliteStore) -> None:
    watched = window()
    watched.page.clock.install()
    page = watched.open()
    expect(page.locator("#waiting")).to_have_text("28")
    add_song(filled, SourcePost(id="late", text="x"), ["a", "b"])
    page.clock.run_for(21_000)
    expect(page.locator("#waiting")).to_have_text("30")
