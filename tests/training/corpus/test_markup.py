from __future__ import annotations

import time

import pytest

from training.corpus.markup import strip_html

SENTENCES = ("The drums sit low.", "The bass opens.", "Her voice is calm.")
BODY = "".join(f"<p>{sentence}</p>" for sentence in SENTENCES)


@pytest.mark.parametrize(
    "page",
    [
        f"<html><head><title>x</title><body>{BODY}",
        f"<head><title>x</title>{BODY}",
        f"<head><head><meta charset=utf-8>{BODY}",
        f"<a><svg><path></a>{BODY}",
        f"<svg>{BODY}",
        f"<button>Share{BODY}",
        f"<button>Share<button>Like</button>{BODY}",
        f"<select><option>a<select><option>b</select>{BODY}",
        f"<select><option>a{BODY}",
        f"<!-- never closed {BODY}",
        f"<textarea>{BODY}",
        f"<title>{BODY}",
        f"<iframe>{BODY}",
        f"<div><span><b>{BODY}",
        f"{BODY}<p>and <rather quiet",
        f"<table><tr>{BODY}",
        f"<p>{BODY}</div></section></p>",
    ],
)
def test_a_tag_that_is_not_closed_hides_nothing(page: str) -> None:
    text = strip_html(page)
    assert [sentence in text for sentence in SENTENCES] == [True, True, True]


@pytest.mark.parametrize(
    "hidden",
    [
        "<script>hidden()</script>",
        "<style>.hidden {}</style>",
        "<title>hidden</title>",
        "<button>hidden</button>",
        "<select><option>hidden</option></select>",
        "<svg><text>hidden</text></svg>",
        "<template><p>hidden</p></template>",
        "<!-- hidden -->",
        "<textarea>hidden</textarea>",
        '<img alt="hidden">',
    ],
)
def test_what_a_browser_does_not_show_as_text_is_removed(hidden: str) -> None:
    text = strip_html(f"<p>Before.</p>{hidden}<p>After.</p>")
    assert text.split() == ["Before.", "After."]


def test_text_that_only_looks_like_html_is_kept() -> None:
    assert strip_html("I <3 this & 4 < 5") == "I <3 this & 4 < 5"
    assert strip_html("loud <rather quiet") == "loud <rather quiet"


def test_a_page_of_tags_that_are_never_closed_takes_no_time() -> None:
    start = time.thread_time()
    assert strip_html("<div>" * 100_000 + "<p>Deep &amp; low.").strip() == "Deep & low."
    assert time.thread_time() - start < 5
