from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.cleaning import (
    ARTIST,
    LINK,
    TITLE,
    mark_links,
    paragraphs,
    plain_quotes,
    repair,
    show_placeholders,
    strip_markdown,
    tidy,
    unwrap,
)
from training.corpus.markup import strip_html


def test_mojibake_is_repaired_and_quotes_are_straight() -> None:
    assert plain_quotes(repair("sheâ€™s â€œbackâ€\x9d at the cafÃ©")) == 'she\'s "back" at the café'


def test_private_characters_of_a_text_never_become_placeholders() -> None:
    assert show_placeholders(paragraphs(f"A{ARTIST} drum and\ue123 a horn.")[0]) == "A drum and a horn."


@pytest.mark.parametrize("spelling", ["<artist>", "< Artist >", "&lt;artist&gt;"])
def test_placeholders_survive_the_stripping_of_tags(spelling: str) -> None:
    (text,) = paragraphs(f"<b>{spelling}</b> plays <i><song_title></i>.")
    assert text == f"{ARTIST} plays {TITLE}."


def test_html_becomes_what_a_browser_shows() -> None:
    page = "<div><p>Loud &amp; fast.</p><script>var x = '<p>no</p>';</script>Two<br/>three <!-- no -->four.</div>"
    assert [line for line in strip_html(page).split("\n") if line] == ["Loud & fast.", "Two", "three four."]


def test_angle_brackets_that_are_not_tags_stay() -> None:
    assert strip_html("I <3 this & 4 < 5") == "I <3 this & 4 < 5"


def test_entities_escaped_twice_are_undone() -> None:
    assert paragraphs("Drums &amp;amp; horns.") == ["Drums & horns."]


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("a **bold** and _soft_ word", "a bold and soft word"),
        ("***both*** and __this__", "both and this"),
        ("**_nested_**", "nested"),
        ("snake_case and 2*3*4", "snake_case and 2*3*4"),
        ('[text](https://a.example/x_(y) "t") on', "text on"),
        ("![image](a.png) after", "  after"),
        ("[text][1] on", "text on"),
        ("an escaped \\* star and \\_", "an escaped * star and _"),
        ("a stray ** here", "a stray  here"),
    ],
)
def test_markdown_is_removed_and_what_it_marks_stays(marked: str, plain: str) -> None:
    assert strip_markdown(marked) == plain


def test_headings_items_quotes_and_rules_become_paragraphs() -> None:
    text = "# Head\nfirst line\n\n* one\n* two\n\n> quoted\n\n---\n\n1. three"
    assert paragraphs(text) == ["Head", "first line", "one", "two", "quoted", "three"]


@pytest.mark.parametrize(
    "address",
    [
        "https://a.example/x?y=1&z=2#top",
        "www.orva.example/tour",
        "pic.twitter.com/abc",
        "press@orva.example",
        "orva.com",
        "driftglass.co.uk/shop",
        "smarturl.it/orva",
        "HTTP://A.EXAMPLE",
    ],
)
def test_addresses_are_marked_and_the_stop_behind_them_stays(address: str) -> None:
    assert mark_links(f"See {address}.") == f"See {LINK}."


@pytest.mark.parametrize(
    "text", ["It is over.And on.", "a 4.5 rating", "and/or", "D.J. and U.S.", "vs. them", "wait...what"]
)
def test_dots_and_slashes_in_text_are_not_addresses(text: str) -> None:
    assert mark_links(text) == text


def test_a_link_at_the_end_leaves_the_sentence_before_it() -> None:
    assert paragraphs("It is out now. https://a.example/b") == ["It is out now."]


def test_hard_wrapped_lines_are_joined_and_short_lines_are_not() -> None:
    wrapped = "This line was wrapped by a machine at some column here\nand goes on.\nShort.\nAlso short."
    assert unwrap(wrapped) == [
        "This line was wrapped by a machine at some column here and goes on.",
        "Short.",
        "Also short.",
    ]


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("It is--really--loud", "It is – really – loud"),
        ("It is — loud", "It is – loud"),
        ("well-known 1990-95", "well-known 1990-95"),
        ("so . . . loud…", "so... loud..."),
        ("what?!?!", "what?"),
        ("fire 🔥 works ❤️", "fire works"),
        ("word , word", "word, word"),
        ("forget.The end,and on", "forget. The end, and on"),
        ("you 've said", "you've said"),
        ("''double''", '"double"'),
        ("10,000 copies", "10,000 copies"),
    ],
)
def test_dashes_dots_spaces_and_emoji_take_one_form(raw: str, clean: str) -> None:
    assert tidy(raw) == clean


@given(st.text())
def test_cleaning_takes_any_text_and_leaves_single_lines(text: str) -> None:
    for paragraph in paragraphs(text):
        assert paragraph == paragraph.strip()
        assert paragraph
        assert "  " not in paragraph
        assert "\n" not in paragraph


@given(st.lists(st.sampled_from(["The drums roll.", 'She sings "no".', "It's 4-4 time, mostly."]), min_size=1))
def test_clean_text_is_left_alone(sentences: list[str]) -> None:
    text = " ".join(sentences)
    assert paragraphs(text) == [text]
