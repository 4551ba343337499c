"""Templates: fields in braces, what becomes of empty ones, and which template a post has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.post_text import FIELDS, Draft, Template, Templates, as_written
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost

VALUES = {"artist": "Ona Vell", "title": "Moss", "text": "A lamp.", "genres": "", "link": "", "source": "https://e.x/1"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", "{text} once"),
        ("{artist}", "{text} once"),
        ("{text} {text}", "{text} once"),
        ("{text} {nothing}", "unknown field {nothing}"),
        ("{text} {Artist}", "unknown field {Artist}"),
        ("{text} {}", "unknown field {}"),
        ("{text} {0}", "unknown field {0}"),
        ("{text} {artist.name}", "unknown field {artist.name}"),
        ("{text} {artist[0]}", r"unknown field {artist[0]}"),
        ("{text:>20}", "a name in braces alone"),
        ("{text!r}", "a name in braces alone"),
        ("{text", "braces of a template"),
        ("text}", "braces of a template"),
        ("{text} }", "braces of a template"),
        ("{text} {{artist}", "braces of a template"),
        ("{{text}}", "{text} once"),
    ],
)
def test_a_template_that_means_nothing_is_refused_with_the_reason(source: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 -- the message is compared below, without the signs of a pattern
        Template(source)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "rendered"),
    [
        ("{artist} – {title}: {text}", "Ona Vell – Moss: A lamp."),
        ("{text}\n{link}", "A lamp."),
        ("{link} {text}", "A lamp."),
        ("{genres}\n{text}\n{source}", "A lamp.\nhttps://e.x/1"),
        ("{text} {genres} {link} {source}", "A lamp. https://e.x/1"),
        ("{text} ({genres})", "A lamp. ()"),
        ("{{{artist}}} {text}", "{Ona Vell} A lamp."),
        ("  {text}  ", "A lamp."),
    ],
)
def test_an_empty_field_takes_one_space_or_line_away(source: str, rendered: str) -> None:
    assert Template(source).render(VALUES) == rendered


@pytest.mark.parametrize("text", ["{artist}", "{", "}", "{{", "%s", "\\1", "{0.__class__}"])
def test_braces_in_a_text_are_a_text(text: str) -> None:
    assert Template("{title}: {text}").render({**VALUES, "text": text}) == f"Moss: {text}"


@given(st.fixed_dictionaries({name: st.text(max_size=20) for name in FIELDS}))
def test_whatever_the_fields_hold_each_is_in_the_post(fields: dict[str, str]) -> None:
    rendered = Template(" ".join(f"{{{name}}}" for name in FIELDS)).render(fields)
    assert all(value.strip() in rendered for value in fields.values())


def draft(text: str, *, artist: str = "Ona Vell", title: str = "Moss") -> Draft:
    song = Song(artists=(artist,), title=title, confidence=1.0)
    report = SongReport(source_post_id="7", number=1, song=song, artist=artist, genres=("a", "b"))
    return Draft(text=text, report=report, source_post=SourcePost(id="7", text=""))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ona vell's MOSS is a lamp", True),
        ("Moss is a lamp", False),
        ("Ona Vell is a lamp", False),
        ("a lamp", False),
    ],
)
def test_a_text_that_names_its_song_has_a_template_of_its_own(text: str, *, names: bool) -> None:
    templates = Templates(named=Template("named: {text}"))
    expected = f"named: {text}" if names else f"Ona Vell – Moss: {text}"
    assert templates.render(draft(text), is_reply=False) == expected
    assert templates.render(draft(text), is_reply=True) == text


def test_short_names_are_in_many_words_and_are_not_looked_for() -> None:
    assert not draft("go to the lamp", artist="Go", title="To").names_song


@pytest.mark.parametrize(
    ("typed", "stored"),
    [(" a\tlamp.\r\n", "a lamp."), ("two\r\nlines\rmore", "two\nlines\nmore"), ("\t", ""), ("a\u2028b", "a\u2028b")],
)
def test_a_text_is_stored_as_it_will_be_posted(typed: str, stored: str) -> None:
    assert as_written(typed) == stored
