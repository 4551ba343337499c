from __future__ import annotations

import hashlib
from typing import Any

import pytest

from bulk.asking import check_options, request_of, seed_of
from bulk.songs import Song
from handlers.contract import CommentaryRequest, ContractError, SamplingParams


def song(**values: Any) -> Song:
    return Song(row=12, values=values)


def test_a_request_has_the_songs_values_and_the_options() -> None:
    asked = request_of(
        song(id="a", genres=["pop"], artist="Ona", title="Tide", seed=7), {"num_samples": 2, "temperature": 0.5}
    )
    assert asked == CommentaryRequest(
        genres=("pop",), artist="Ona", title="Tide", seed=7, num_samples=2, sampling=SamplingParams(temperature=0.5)
    )


def test_a_seed_comes_from_the_id_by_a_rule_that_anyone_can_repeat() -> None:
    first = int(hashlib.sha256(b"spotify:track:1").hexdigest()[:16], 16)
    assert seed_of("spotify:track:1") == first >> 11
    assert request_of(song(id="spotify:track:1", genres=[]), {}).seed == first >> 11
    assert request_of(song(id=5, genres=[]), {}).seed == request_of(song(id="5", genres=[]), {}).seed
    assert request_of(song(id=5.0, genres=[]), {}).seed == seed_of("5")


def test_a_song_without_an_id_has_the_seed_of_its_row() -> None:
    assert request_of(song(genres=[]), {}).seed == seed_of("12")


@pytest.mark.parametrize(("given", "seed"), [("7", 7), (7, 7), (7.0, 7), ("7.0", 7), (0, 0), (2**63 - 1, 2**63 - 1)])
def test_seeds_of_all_formats_are_read(given: Any, seed: int) -> None:
    assert request_of(song(genres=[], seed=given), {}).seed == seed


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"genres": None}, "genres", "is required"),
        ({}, "genres", "is required"),
        ({"genres": 5}, "genres", "must be a list, or a text with semicolons"),
        ({"genres": [None]}, "genres", "must hold strings"),
        ({"genres": [], "seed": "seven"}, "seed", "must be a whole number, got 'seven'"),
        ({"genres": [], "seed": 7.5}, "seed", "must be a whole number, got '7.5'"),
        ({"genres": [], "seed": float("inf")}, "seed", "must be a whole number"),
        ({"genres": [], "seed": -1}, "seed", "-1"),
        ({"genres": [], "seed": True}, "seed", "bool"),
        ({"genres": [], "seed": [1]}, "seed", "list"),
        ({"genres": [], "id": [1]}, "id", "must be a text or a whole number, got list"),
        ({"genres": [], "id": [1], "seed": 7}, "id", "must be a text or a whole number, got list"),
        ({"genres": [], "title": 1999}, "title", "int"),
        ({"genres": [], "title": "t" * 201}, "title", "200"),
    ],
)
def test_a_wrong_value_is_named(values: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        request_of(song(**values), {})
    assert caught.value.field == field


def test_a_row_that_cannot_be_read_has_no_request() -> None:
    with pytest.raises(ContractError, match="the line is not JSON"):
        request_of(Song(row=1, values={}, error="the line is not JSON: x"), {})


def test_a_wrong_option_is_found_before_any_song_is_read() -> None:
    check_options({"best_of": 4})
    with pytest.raises(ContractError, match="best_of"):
        check_options({"best_of": 17})
