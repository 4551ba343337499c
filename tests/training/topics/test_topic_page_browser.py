"""The topics' page in headless Chromium: by pointer, by keyboard, from an address, in a narrow window."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.training.topics.toy_topics import toy_model, written

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="NO CHROMIUM HERE: the topics' page was not opened; apt-get install chromium, and test again",
    ),
]
PATIENCE_MS = 60_000
NUM_WORDS = 60
HOSTILE = "</script><script>document.title='hacked'</script>"
WORDS = (HOSTILE, *("word" + chr(97 + number // 26) + chr(97 + number % 26) for number in range(1, NUM_WORDS)))
SHARES_KW = np.random.default_rng(2).dirichlet(np.full(NUM_WORDS, 0.3), size=4) * 0.99 + 0.01 / NUM_WORDS
TEXTS = [" ".join(WORDS[number : number + 5]) + " <img src=x onerror=alert(1)>" for number in range(1, 50)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root, as which CI runs.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*sandbox, "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("topics")
    model, shares_KW = toy_model(4, words=WORDS, shares_KW=SHARES_KW)
    written(folder, model, shares_KW, TEXTS)
    return (folder / "topics.html").as_uri()


@pytest.fixture
def opened(chromium: Browser, address: str) -> Iterator[Callable[..., Page]]:
    """Windows on the page; at the end none has complained or asked for anything else."""
    faults: list[str] = []
    contexts: list[BrowserContext] = []

    def make(hash_: str = "", **options: object) -> Page:
        contexts.append(chromium.new_context(**options))  # type: ignore[arg-type]  # a test names the right ones
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.append(message.text))
        page.on("request", lambda request: None if request.url.startswith(address) else faults.append(request.url))
        page.goto(address + hash_)
        return page

    yield make
    for context in contexts:
        context.close()
    assert faults == []


def terms(page: Page) -> list[str]:
    return page.locator("#terms .word").all_text_contents()


def areas(page: Page) -> dict[str, float]:
    """Areas of the circles as parts of their sum, by topic."""
    read = "groups => groups.map(group => [group.dataset.topic, Number(group.firstChild.getAttribute('r'))])"
    squares = {topic: radius**2 for topic, radius in page.locator("#map .topic").evaluate_all(read)}
    return {topic: square / sum(squares.values()) for topic, square in squares.items()}


def selected(page: Page) -> list[str]:
    return page.locator("#map .topic[aria-selected=true] text").all_text_contents()


def shares(page: Page) -> np.ndarray:
    found: list[float] = page.evaluate(
        "JSON.parse(document.getElementById('data').textContent).topics.map(t => t.share)"
    )
    return np.array(found)


def expected(topic: int, weight: float, shares_K: np.ndarray) -> list[str]:
    """The thirty most relevant terms by the paper's formula."""
    overall = [sum(float(shares_K[t] * SHARES_KW[t, w]) for t in range(4)) for w in range(NUM_WORDS)]

    def score(word: int) -> float:
        share = float(SHARES_KW[topic, word])
        return weight * math.log(share) + (1 - weight) * math.log(share / overall[word])

    return [WORDS[word] for word in sorted(range(NUM_WORDS), key=score, reverse=True)[:30]]


def test_a_click_selects_a_topic_and_the_slider_ranks_its_terms(opened: Callable[..., Page]) -> None:
    page = opened()
    expect(page.locator("#terms-title")).to_have_text("Most salient terms")
    assert len(terms(page)) == 30
    page.locator("#map .topic[data-topic='3']").click()
    page.mouse.move(0, 0)
    assert selected(page) == ["3"]
    assert terms(page) == expected(2, 0.6, shares(page))
    for weight in ("0", "0.25", "1"):
        page.locator("#lambda").fill(weight)
        assert terms(page) == expected(2, float(weight), shares(page))
    assert page.locator("#examples li").count() == 5
    assert page.locator("#examples li").first.is_visible()


def test_the_pointer_on_a_topic_shows_its_terms_and_leaves_the_selection(opened: Callable[..., Page]) -> None:
    page = opened("#topic=1")
    page.locator("#map .topic[data-topic='4']").hover()
    expect(page.locator("#terms-title")).to_contain_text("Topic 4")
    page.mouse.move(0, 0)
    expect(page.locator("#terms-title")).to_contain_text("Topic 1")
    assert selected(page) == ["1"]


def test_the_pointer_on_a_term_shows_its_topics_on_the_map(opened: Callable[..., Page]) -> None:
    page = opened("#topic=2")
    shares_K = shares(page)
    for topic, area in areas(page).items():
        assert area == pytest.approx(shares_K[int(topic) - 1], abs=0.01)
    button = page.locator("#terms button").first
    word = WORDS.index(button.locator(".word").text_content() or "")
    button.hover()
    given_K = shares_K * SHARES_KW[:, word] / (shares_K @ SHARES_KW[:, word])
    for topic, area in areas(page).items():
        assert area == pytest.approx(given_K[int(topic) - 1], abs=0.01)
    expect(page.locator("#map-note")).to_contain_text(f"{100 * given_K.max():.1f}% in topic {given_K.argmax() + 1}")


def test_the_page_is_explored_by_keyboard_alone(opened: Callable[..., Page]) -> None:
    page = opened()
    for key, topics in (("ArrowRight", ["1"]), ("ArrowRight", ["2"]), ("ArrowLeft", ["1"]), ("ArrowLeft", ["4"])):
        page.keyboard.press(key)
        assert selected(page) == topics
    page.locator("#terms button").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("#terms button[aria-pressed=true]").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Escape")
    assert page.locator("#terms button[aria-pressed=true]").count() == 0
    assert selected(page) == ["4"]
    page.keyboard.press("Escape")
    assert selected(page) == []
    page.locator("#map .topic[tabindex='0']").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    assert selected(page) == ["2"]
    assert page.evaluate("document.activeElement.dataset.topic") == "2"
    page.locator("#lambda").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#lambda-shown")).to_have_text("0.61")
    assert selected(page) == ["2"]


def test_the_address_holds_the_state(opened: Callable[..., Page]) -> None:
    page = opened("#topic=2&lambda=0.35&term=wordah")
    assert selected(page) == ["2"]
    expect(page.locator("#lambda-shown")).to_have_text("0.35")
    expect(page.locator("#map-note")).to_contain_text("“wordah”")
    assert page.locator("#choice").input_value() == "1"
    page.locator("#clear").click()
    assert page.evaluate("location.hash") == "#lambda=0.35"
    page.locator("#choice").select_option("2")
    assert page.evaluate("location.hash") == "#topic=3&lambda=0.35"
    page.reload()
    assert selected(page) == ["3"]
    page.evaluate("location.hash = '#topic=99&lambda=7&term=none'")
    expect(page.locator("#terms-title")).to_have_text("Most salient terms")
    expect(page.locator("#lambda-shown")).to_have_text("0.60")


def test_a_sandboxed_frame_as_of_mlflow_explores_too(opened: Callable[..., Page], address: str) -> None:
    page = opened()
    page.set_content("<iframe id=frame sandbox='allow-scripts' width=1000 height=800></iframe>")
    source = Path(address.removeprefix("file://")).read_text(encoding="utf-8")
    page.evaluate("source => { document.getElementById('frame').srcdoc = source; }", source)
    frame = page.frame_locator("#frame")
    frame.locator("#next").click()
    expect(frame.locator("#terms-title")).to_contain_text("Topic 1")


def test_hostile_words_run_nothing(opened: Callable[..., Page]) -> None:
    topic = int(SHARES_KW[:, 0].argmax())
    page = opened(f"#topic={topic + 1}&lambda=0.00&term={HOSTILE}")
    assert HOSTILE in (page.locator("#map-note").text_content() or "")
    assert HOSTILE in terms(page)
    assert page.title() == "Topics"
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_sideways_scrolling_and_text_has_contrast(
    opened: Callable[..., Page], scheme: str
) -> None:
    page = opened("#topic=2", viewport={"width": 400, "height": 800}, color_scheme=scheme, reduced_motion="reduce")
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    assert page.locator("#terms button").first.evaluate("e => e.getBoundingClientRect().width") > 300
    assert page.locator("#map circle").first.evaluate("e => getComputedStyle(e).transitionDuration") == "0s"
    read = "names => names.map(name => getComputedStyle(document.body)[name].match(/[0-9]+/g).map(Number))"
    ink, paper = page.evaluate(read, ["color", "backgroundColor"])
    lighter, darker = sorted((luminance(ink), luminance(paper)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) > 7


def luminance(colour: list[int]) -> float:
    """Relative luminance of sRGB, by WCAG 2.2."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_without_a_script_the_table_remains(opened: Callable[..., Page]) -> None:
    page = opened(java_script_enabled=False)
    expect(page.locator("noscript p")).to_be_visible()
    assert page.locator("#explorer").is_hidden()
    assert page.locator("tbody tr").count() == 4
