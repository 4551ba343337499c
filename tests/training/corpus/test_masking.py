from __future__ import annotations

import pytest

from training.corpus.cleaning import show_placeholders
from training.corpus.masking import mask


def masked(text: str, artist: str | None, title: str | None) -> str:
    return show_placeholders("\n".join(mask(text.split("\n"), artist=artist, title=title)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('Bram Tolk sings "Glass Weather".', '<artist> sings "<title>".'),
        ("bram tolk's GLASS WEATHER", "<artist>'s <title>"),
        ("Bram Tolkien is somebody else.", "Bram Tolkien is somebody else."),
        ('"Glass Weather," he says.', '"<title>," he says.'),
    ],
)
def test_names_of_several_words_are_found_in_any_case(text: str, expected: str) -> None:
    assert masked(text, "Bram Tolk", "Glass Weather") == expected


def test_guests_editions_and_the_article_are_not_part_of_a_name() -> None:
    text = "Orvels Quint and the Orvels Quint play Tidal Garden."
    expected = "<artist> and <artist> play <title>."
    assert masked(text, "The Orvels Quint feat. Bram Tolk", "Tidal Garden (Deluxe Edition) [ft. Ada]") == expected


def test_the_first_of_two_partners_is_the_artist_too() -> None:
    assert masked("Marrow & Tolk play; Marrow sings.", "Marrow & Tolk", None) == "<artist> play; <artist> sings."


def test_a_title_of_one_common_word_is_a_title_only_in_quotes_or_with_a_capital_within_a_sentence() -> None:
    text = 'Home is here. At home, on Home, in "home".'
    assert masked(text, None, "Home") == 'Home is here. At home, on <title>, in "<title>".'


def test_a_self_titled_record_is_the_title_in_quotes_and_the_artist_elsewhere() -> None:
    assert masked('Orva made "Orva".', "Orva", "Orva") == '<artist> made "<title>".'


def test_a_surname_is_the_artist_where_the_post_uses_it_so() -> None:
    text = (
        "Bram Frostholm is back. Frostholm sings, and Frostholm's band plays. Ada Frostholm is not. But Frostholm is."
    )
    expected = "<artist> is back. <artist> sings, and <artist>'s band plays. Ada Frostholm is not. But <artist> is."
    assert masked(text, "Bram Frostholm", None) == expected


def test_a_last_word_that_is_also_a_plain_word_is_left_alone() -> None:
    text = "Nothing here is new. It sounds like nothing, though Nothing is close."
    assert masked(text, "Wild Nothing", None) == text


def test_a_post_without_a_song_is_left_alone() -> None:
    assert masked("Anything goes (here).", None, None) == "Anything goes (here)."


@pytest.mark.parametrize("name", ["(", "a+b*", "[x]", "?", "...", "$", "\\", "x" * 5000])
def test_names_full_of_marks_are_taken_literally(name: str) -> None:
    assert masked("The drums roll.", name, name) == "The drums roll."


def test_paragraphs_keep_their_number() -> None:
    assert len(mask(["One.", "Two Orva.", "Three."], artist="Orva", title="Two")) == 3
    assert mask([], artist="Orva", title=None) == []
