from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.corpus.cleaning import ARTIST, AUTHOR, LINK, SITE, TITLE
from training.corpus.sentences import REASONS, SentenceLimits, reject, split


@pytest.mark.parametrize(
    "parts",
    [
        ["The drums roll.", "The horns sing!", "Who knows?"],
        ["It is by Mr. Tolk and Dr. Orva vs. St. Vell.", "It is out."],
        ["It is out feat. Bram Tolk on drums.", "It is good."],
        ["He played No. 5 at 8 p.m. in the U.S. with J. R. Tolk.", "Then he left."],
        ["You have to trust me.", "It is out in May.", "So is this."],
        [f'We love "{TITLE}."', f"{ARTIST} is back."],
        ['She said "wow!" before leaving.', "Then she left."],
        ["(It is odd.)", "And it goes on."],
        ["They called it 'Tide'.", "'Tide' it was."],
        ["It waits... and waits.", "It ends."],
        ["It took 2.5 years.", "2018 was better."],
        [f"{ARTIST} wrote it.", f"{TITLE} is the first."],
    ],
)
def test_sentences_are_split_where_they_end(parts: list[str]) -> None:
    expected = [part.strip("()") if part.startswith("(") else part for part in parts]
    assert list(split(" ".join(parts))) == expected


def test_a_quotation_of_several_sentences_stays_whole() -> None:
    text = 'He says: "It is late. I am tired. I leave."'
    assert list(split(f"{text} Then he left.")) == [text, "Then he left."]


def test_a_quote_that_never_closes_is_taken_off_the_start() -> None:
    assert list(split('"It is late, and I am tired.')) == ["It is late, and I am tired."]


def test_spaces_inside_quotes_go_but_text_between_two_quotes_stays() -> None:
    assert list(split('I like " Tide" and " Glass".')) == ['I like "Tide" and "Glass".']
    assert list(split('Tide" and "Glass are loud.')) == ['Tide" and "Glass are loud.']


@given(st.text(alphabet="ab .!?\"()'DM" + ARTIST, max_size=80))
def test_splitting_loses_no_word(paragraph: str) -> None:
    def letters(text: str) -> str:
        return "".join(character for character in text if character.isalpha())

    assert letters("".join(split(paragraph))) == letters(paragraph)


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("The drums roll under the horns.", None),
        (f'"{TITLE}" is the best thing that {ARTIST} has done.', None),
        (f"{ARTIST}'s third record – out on May 3 – is 12 songs long.", None),
        ('"I was late," she says (and laughs).', None),
        ("Élan is what the band has.", None),
        (f"You can find it at {LINK} on any day.", "holds a link"),
        (f"As {AUTHOR} wrote last week, it is good.", "names a writer or a site"),
        (f"It was first heard on {SITE} last week.", "names a writer or a site"),
        ("So good.", "too short"),
        ("The drums are loud here.", "too short"),
        ("The drums are very loud here.", None),
        ("The " + "very " * 50 + "loud drums roll.", "too long"),
        ("and so it goes on and on.", "starts within a sentence"),
        (", as they say, is what it is.", "starts within a sentence"),
        ("The best song of the year", "no sentence end"),
        ("The best song is by Mr.", "no sentence end"),
        ("The songs are loud (all of them) 04.", "no sentence end"),
        ('The band played "Tide and left.', "unbalanced quotes or brackets"),
        ("The band played (loudly and left.", "unbalanced quotes or brackets"),
        ("The band :) played loudly and left.", "unbalanced quotes or brackets"),
        ("The band played # and * and left.", "leftover markup"),
        ("The song followsEmpty Sky and ends.", "glued words"),
        ("It was 10 12 14 16 18 to 1 2 3.", "few letters"),
        ("THE BAND IS BACK AND LOUD.", "capitals"),
        ("It was produced by Ada Quill and sung with Bram Tolk.", "names others"),
        (f'{ARTIST} wrote "{TITLE}" with Ada Quill on a long train ride.', None),
        ("The first reviewers called it a slow record.", "about the release"),
        ("Follow us for more songs like this.", "boilerplate"),
        ("You can listen to the whole thing below.", "boilerplate"),
        ("Photo by Ada Tolk, used with thanks.", "boilerplate"),
    ],
)
def test_a_sentence_is_kept_or_dropped_for_one_reason(sentence: str, reason: str | None) -> None:
    assert reject(sentence, SentenceLimits()) == reason


@pytest.mark.parametrize(
    "sentence",
    [
        "They like us more than they say.",
        "The here and now is all they find.",
        "The horns read like a letter from the sea.",
    ],
)
def test_words_that_boilerplate_shares_with_good_sentences_drop_none(sentence: str) -> None:
    assert reject(sentence, SentenceLimits()) in {None, "boilerplate" if "like us" in sentence else None}


@pytest.mark.parametrize(
    "phrase",
    [
        *(
            "this CD",
            "two CDs",
            "an LP",
            "the DVD",
            "one disc",
            "a reissue",
            "the reissued version",
            "the Remastered one",
        ),
        *("the deluxe edition", "every review", "what reviewers say", "what I bought", "a good buy", "the purchase"),
        *("a copy", "some copies", "the price", "the shipping", "the import", "its liner notes", "the booklet"),
        *(
            "the label",
            "both LABELS",
            "a box set",
            "the packaging",
            "a bonus track",
            "the collector",
            "what I recommend",
        ),
    ],
)
def test_words_about_a_release_drop_a_sentence(phrase: str) -> None:
    assert reject(f"And then there is {phrase} to think of.", SentenceLimits()) == "about the release"


@pytest.mark.parametrize(
    "phrase",
    [
        *("acid house", "an lp or a cd", "the discord", "a discotheque", "what was labelled soul", "this photocopy"),
        *(
            "a previewed chorus",
            "what is important",
            "the priceless part",
            "a buyout",
            "a single bonus",
            "a wooden box",
        ),
        *("a landlady's track", "the copyist", "what is collected"),
    ],
)
def test_words_that_only_contain_those_about_a_release_drop_none(phrase: str) -> None:
    assert reject(f"And then there is {phrase} to think of.", SentenceLimits()) is None


@given(st.text(max_size=200))
def test_any_sentence_gets_a_known_answer(sentence: str) -> None:
    assert reject(sentence, SentenceLimits()) in {None, *REASONS}


def test_limits_that_exclude_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="1 <= min <= max, got 9 and 8"):
        SentenceLimits(min_words=9, max_words=8)


def test_fewer_names_than_none_are_refused() -> None:
    with pytest.raises(ValueError, match="max_other_names must be at least 0, got -1"):
        SentenceLimits(max_other_names=-1)
