"""In headless Chromium: the studio by WCAG 2.2 AA, in both themes, in every state, by mouse, by finger and by voice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.outgoing_posts import OutgoingPostStatus
from tests.bot.helpers.studio_axe import CONTRASTS, RULES, RULES_OF_COLOUR, violations
from tests.bot.helpers.studio_browser import PAGES, Watched, current, needs_chromium, ready, said, statuses
from tests.bot.helpers.studio_world import Client, accept, post

pytestmark = [pytest.mark.slow, needs_chromium]

PHONE = {"width": 390, "height": 844}
CONTROLS = (
    *(".acts .accept:enabled", ".acts .only:enabled", ".acts .reject", ".acts .undo", ".editor > summary"),
    *(".rest button", ".top nav a:not([aria-current])", ".tabs a:not([aria-current])", "[data-help]", ".pages a"),
    ".about > summary",
)
ALL_PAGES = (*PAGES, "/nowhere")


@pytest.fixture
def busy(filled: SqliteStore) -> SqliteStore:
    """Decided candidates with posts of every kind beside the waiting ones."""
    accept(filled, "101.1.1", text="Slow Lamp, edited.")
    accept(filled, "101.1.2", "102.1.1")
    post(filled, "101.1.2", OutgoingPostStatus.SENT, external_id="990")
    post(filled, "102.1.1", OutgoingPostStatus.REFUSED, reason="a duplicate")
    return filled


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_violates_a_rule_of_axe_in_any_state(window: Callable[..., Watched], scheme: str) -> None:
    watched = window(color_scheme=scheme, reduced_motion="reduce")
    rules = RULES if scheme == "light" else RULES_OF_COLOUR
    for path in ALL_PAGES:
        page = watched.open(path)
        ready(page)
        assert violations(page, rules=rules) == [], path
        assert page.evaluate(CONTRASTS) == [], path
    page = watched.open()
    page.keyboard.press("r")
    said(page, "Rejected.")
    page.keyboard.press("e")
    page.keyboard.type(" Softly.")
    expect(page.locator(".is-current [data-preview]")).to_be_visible()
    assert violations(page, rules=rules) == []
    page.keyboard.press("Escape")
    expect(page.locator(".is-current [data-draft]")).to_be_visible()
    page.keyboard.press("?")
    assert violations(page, rules=rules) == []


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_posts_wait_for_violates_no_rule_on_the_page_and_on_the_cards(
    chromium: Browser, open_studio: Callable[..., Client], scheme: Literal["light", "dark"]
) -> None:
    studio = open_studio(post={"to": "file", "dry_run": False})
    context = chromium.new_context(color_scheme=scheme, viewport={"width": 390, "height": 844})
    watched = Watched(context, studio)
    for path in ("/posted", "/posted?status=pending", "/?status=accepted"):
        page = watched.open(path)
        ready(page)
        confirm = page.locator("form[action='/confirm'] button").first
        expect(confirm).to_be_visible()
        expect(page.locator(".waits").first).to_be_visible()
        assert violations(page) == [], path
        assert page.evaluate(CONTRASTS) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    confirm.click()
    ready(page)
    expect(page.locator("form[action='/confirm'] button")).to_have_count(0)
    assert watched.faults == []
    context.close()


@pytest.mark.usefixtures("busy")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_every_control_can_be_read(window: Callable[..., Watched], scheme: str) -> None:
    page = window(color_scheme=scheme, reduced_motion="reduce").open("/?status=all")
    ready(page)
    for selector in CONTROLS:
        control = page.locator(selector).first
        if control.count():
            control.hover()
            assert page.evaluate(CONTRASTS) == [], f"{selector} under the mouse"
            control.focus()
            assert page.evaluate(CONTRASTS) == [], f"{selector} with focus"
    page.context.set_offline(True)
    page.evaluate("document.querySelector('.candidate.is-waiting .acts .reject').click()")
    expect(page.locator("[data-saving]")).to_have_text("1 saving")
    assert page.evaluate(CONTRASTS) == [], "while a verdict is sent"
    page.context.set_offline(False)
    expect(page.locator("[data-saving]")).to_have_text("")
    for state in ("data-failed", "data-sending"):
        page.evaluate(
            "state => document.querySelectorAll('.candidate').forEach(each => each.setAttribute(state, ''))", state
        )
        assert page.evaluate(CONTRASTS) == [], state


def test_buttons_are_named_by_their_sentence_and_announce_their_keys(window: Callable[..., Watched]) -> None:
    page = window().open()
    ready(page)
    sentence = "Slow Lamp, take 2."
    card = page.locator("[data-id='101.1.2']")
    for name, keys in (
        ("Accept", "a"),
        ("Reject", "r"),
        ("Only this one: accept it, and reject the others of the song:", "Shift+A"),
    ):
        button = card.get_by_role("button", name=f"{name} {sentence}", exact=True)
        assert button.get_attribute("aria-keyshortcuts") == keys
    expect(page.get_by_role("button", name="Reject the rest of Slow Lamp", exact=True)).to_have_count(1)
    page.keyboard.press("j")
    expect(page.locator(":focus")).to_have_accessible_name("Slow Lamp, take 2. candidate 2, waiting")


def test_keys_of_a_single_character_can_be_switched_off_for_good(
    window: Callable[..., Watched], filled: SqliteStore
) -> None:
    page = window().open()
    page.keyboard.press("?")
    page.get_by_label("Keys of a single character work").uncheck()
    page.keyboard.press("Escape")
    page.reload()
    ready(page)
    for key in "arxAnu?":
        page.keyboard.press(key)
    assert page.locator("dialog[open]").count() == 0
    assert page.locator("[data-first]").count() == 0
    assert statuses(filled, "101.1.1") == ["waiting"]
    button = page.locator("[data-id='101.1.1'] button.reject").first
    assert button.get_attribute("aria-keyshortcuts") is None
    expect(button.locator("kbd")).to_be_hidden()
    page.locator("[data-help]").click()
    page.get_by_label("Keys of a single character work").check()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    said(page, "Rejected.")


SMALL = """(least) => [...document.querySelectorAll("a, button, summary, select, textarea, input:not([type=hidden])")]
  .filter((each) => each.checkVisibility() && !each.closest(".sr, dialog") && !each.matches(".skip"))
  .map((each) => [each.labels?.[0]?.matches(".switch label, .pick") ? each.labels[0] : each, each])
  .map(([box, each]) => [box.getBoundingClientRect(), each])
  // A link within a sentence is as high as its line (WCAG 2.5.8, inline).
  .filter(([box, each]) => !each.matches("p.aside a, p.read a") && box.height)
  .filter(([box]) => Math.min(box.height, box.width) < least - 0.5)
  .map(([box, each]) => `${each.outerHTML.slice(0, 90)} ${Math.round(box.width)}x${Math.round(box.height)}`)"""


@pytest.mark.usefixtures("busy")
def test_targets_are_large_enough_for_a_finger_on_a_telephone_and_for_a_mouse(window: Callable[..., Watched]) -> None:
    watched = window()
    for path in PAGES:
        page = watched.open(path)
        for size, least in ((PHONE, 44), ({"width": 1280, "height": 900}, 24)):
            page.set_viewport_size(size)  # type: ignore[arg-type]  # a plain dictionary is one
            assert page.evaluate(SMALL, least) == [], (path, least)


def test_the_page_stays_put_under_the_mouse(window: Callable[..., Watched], filled: SqliteStore) -> None:
    page = window(viewport={"width": 1280, "height": 500}).open()
    ready(page)
    for number in range(8):
        button = page.locator(".candidate.is-waiting:not([data-sending]) .acts button.reject").nth(3)
        button.scroll_into_view_if_needed()
        before = page.evaluate("scrollY")
        button.click()
        expect(page.locator(".is-rejected")).to_have_count(number + 1)
        assert page.evaluate("scrollY") == before
    assert sum(row.candidate.status.value == "rejected" for row in filled.rows()) == 8


COVERED = """() => {
  const toast = document.querySelector(".toast").getBoundingClientRect();
  return [...document.querySelectorAll("main button, main a, main summary")].filter((each) => {
    const box = each.getBoundingClientRect();
    return each.checkVisibility() && box.bottom > 0 && box.top < innerHeight && box.bottom > toast.bottom
      && document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2)?.closest(".toast");
  }).map((each) => each.outerHTML.slice(0, 80));
}"""


def test_messages_cover_no_button(window: Callable[..., Watched]) -> None:
    for size in ({"width": 1280, "height": 900}, PHONE):
        page = window(viewport=size).open()
        ready(page)
        for key in "rara":
            page.keyboard.press(key)
            page.wait_for_timeout(100)
            # The header is opaque and above the page: what is under it is scrolled away.
            assert page.evaluate(COVERED) == []
        expect(page.locator(".toast [data-message]")).to_be_in_viewport()


def test_forced_colours_still_show_which_page_and_candidate_are_current(window: Callable[..., Watched]) -> None:
    page = window(forced_colors="active").open()
    ready(page)
    borders = page.locator(".top nav a").evaluate_all(
        "links => links.map(link => getComputedStyle(link).borderBottomColor)"
    )
    assert len(set(borders)) == 2
    assert borders.count(borders[0]) == 1, "only the current page is underlined"
    outline = (
        "cards => cards.filter(card => getComputedStyle(card).outlineStyle !== 'none').map(card => card.dataset.id)"
    )
    assert page.locator(".candidate").evaluate_all(outline) == [current(page)]


def test_nothing_moves_for_those_who_want_no_motion(window: Callable[..., Watched]) -> None:
    page = window(reduced_motion="reduce").open()
    moving = """() => [...document.querySelectorAll("*")].filter((each) => {
      const style = getComputedStyle(each);
      return style.animationName !== "none" || style.transitionDuration.split(", ").some((time) => time !== "0s");
    }).map((each) => each.className)"""
    assert page.evaluate(moving) == []
