"""Names of one word: flagged by the evidence of a list of artists, and not for being short or shared alone."""

from __future__ import annotations

import pytest

from bot.domain.namesakes import Namesakes

FILLERS = [(f"Filler {number}", [f"genre {number % 40}", "common"]) for number in range(200)]
ARTISTS = [
    *FILLERS,
    # Genres of a longer name with the word, or with one that begins so.
    ("Ferry", ["salt folk", "tin noise"]),
    ("After the Ferry", ["salt folk", "tin noise", "rye"]),
    ("Brick", ["latin rye", "common"]),
    ("Bricky G", ["latin rye"]),
    # A shared word, without shared genres.
    ("Hjörk", ["art rye", "chamber tin"]),
    ("Brant Hjork", ["desert salt"]),
    # The same common genre, which every artist has.
    ("Quay", ["common", "grey ambient"]),
    ("Quay Brothers", ["common"]),
    # A word of many names.
    ("Tide", ["odd pop"]),
    *((f"{name} Tide", ["common"]) for name in ("Low", "High", "Red", "Slow", "Late", "Cold", "Warm", "Long")),
    ("MØ", ["country rye"]),
    ("Salt Clock", ["salt folk"]),
    ("Q", ["rye"]),
    ("Moe", ["kawaii tin"]),
    ("moe.", ["jam rye"]),
]


@pytest.mark.parametrize("name", ["Ferry", "Brick", "Tide", "Q", "Moe", "moe."])
def test_a_name_is_flagged_whose_genres_may_be_those_of_another(name: str) -> None:
    assert Namesakes(lambda: ARTISTS).may_hide(name, dict(ARTISTS)[name])


@pytest.mark.parametrize("name", ["Hjörk", "MØ", "Quay", "Salt Clock", "After the Ferry", "Filler 3"])
def test_a_name_is_not_flagged_for_its_length_or_its_word_alone(name: str) -> None:
    assert not Namesakes(lambda: ARTISTS).may_hide(name, dict(ARTISTS)[name])


def test_the_genres_decide_and_not_where_they_were_found() -> None:
    namesakes = Namesakes(lambda: ARTISTS)
    assert not namesakes.may_hide("Ferry", ["dub tin"])
    assert not namesakes.may_hide("Quay", ["found elsewhere"])
    assert namesakes.may_hide("THE FÉRRY", ["salt folk"])
    assert not namesakes.may_hide("@ferry", ["salt folk"])
    assert not namesakes.may_hide("Ferry", [])


@pytest.mark.parametrize("name", ["", "!!!", "Nobody", "北"])
def test_names_that_the_list_lacks_are_not_flagged(name: str) -> None:
    assert not Namesakes(lambda: ARTISTS).may_hide(name, ["salt folk"])
    assert not Namesakes().may_hide(name, ["salt folk"])
