"""Whether a lookup's hit is the one that was asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.matching import fits, is_same_artist, is_same_title
from bot.domain.songs.song import Song


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Ona Vell", "ONA VELL"),
        ("The Onas", "Onas"),
        ("Öna Vell", "Ona Vell"),
        ("Ona & Tor", "Ona and Tor"),
        ("@onavell", "Ona Vell"),
        ("@theonas", "Onas"),
        ("Ona Vellingham", "Ona Velingham"),
        ("A$AP Tor", "A$AP TOR"),
        ("少女時代", "少女時代"),
    ],
)
def test_one_artist_in_two_spellings(asked: str, found: str) -> None:
    assert is_same_artist(asked, found)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("Ona Vell", "Ona Vell Tribute Band"),
        ("Moss", "Mass"),
        ("Ona", "Ana"),
        ("@onavell", "Ona Velle"),
        ("Ona Vell", "Tor Brisk"),
        ("Ona Vell", ""),
        ("", "Ona Vell"),
    ],
)
def test_two_artists(asked: str, found: str) -> None:
    assert not is_same_artist(asked, found)


@pytest.mark.parametrize(
    "found",
    [
        "Slow Lamp",
        "slow lamp!",
        "Slow Lamp - 2011 Remaster",
        "Slow Lamp (feat. Tor Brisk)",
        "Slow Lamp [Live]",
        "Slow Lamp ft. Tor",
        "Slow Lampe",
    ],
)
def test_one_title_with_and_without_its_annotations(found: str) -> None:
    assert is_same_title("Slow Lamp", found)
    assert is_same_title(found, "Slow Lamp")


@pytest.mark.parametrize("found", ["Slow Camp Fire", "Lamp", "Slow", "Tin Sea"])
def test_another_title(found: str) -> None:
    assert not is_same_title("Slow Lamp", found)


def test_a_recording_fits_by_its_title_and_one_of_its_artists() -> None:
    song = Song(artists=("Mica", "Ona Vell"), title="Slow Lamp", cover_of="Tor Brisk", confidence=1)
    assert fits(song, ["Ona Vell"], "Slow Lamp")
    assert fits(song, ["Somebody", "Tor Brisk"], "Slow Lamp - Live")
    assert not fits(song, ["Ona Vell"], "Tin Sea")
    assert not fits(song, ["Somebody"], "Slow Lamp")
    assert not fits(song, [], "Slow Lamp")


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_two_texts_can_be_compared(one: str, other: str) -> None:
    assert is_same_artist(one, one)
    assert is_same_title(one, one) or not one
    is_same_artist(one, other)
    is_same_title(one, other)
