from __future__ import annotations

import doctest

import pytest

from training.corpus import words
from training.corpus.words import correction, split_glued, unknown_words


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(words).failed == 0


@pytest.mark.parametrize(
    ("glued", "parted"),
    [
        ("a leap onPainful Things", "a leap on Painful Things"),
        ("the best ofEric Tolk", "the best of Eric Tolk"),
        ("loud albumwith horns", "loud album with horns"),
        ("it is themore tender one", "it is the more tender one"),
        ("andinfinitely sad", "and infinitely sad"),
        ("Changewas recorded", "Change was recorded"),
        ("a soft butA loud end", "a soft but A loud end"),
    ],
)
def test_glued_words_are_parted(glued: str, parted: str) -> None:
    assert split_glued(glued) == parted


@pytest.mark.parametrize(
    "text",
    [
        "McDonald and DeVille on SoundCloud with an iPod",
        "rockin' and smokin' soundin' together",
        "Cornis, Copeland, Maxwell and Holland",
        "understand withdraw forthcoming thereafter",
        "a bassline, a mixtape, a soundscape",
    ],
)
def test_words_that_are_whole_stay_whole(text: str) -> None:
    assert split_glued(text) == text


def test_names_and_known_words_are_not_unknown() -> None:
    assert unknown_words("Orva's drumms, isn't it? Its blorping Tolk.") == {"blorping", "drumms"}


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("definately", "definitely"),
        ("masterpeice", "masterpiece"),
        ("probaly", "probably"),
        ("bassline", None),
        ("shoegaze", None),
        ("blorp", None),
        ("hte", None),
    ],
)
def test_only_a_clear_slip_is_corrected(word: str, meant: str | None) -> None:
    assert correction(word) == meant
