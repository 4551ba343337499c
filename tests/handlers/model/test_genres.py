from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import MAX_GENRES, MAX_TEXT_LENGTH
from handlers.model.genres import GenreTable, normalise_genre

words = st.sampled_from(["indie", "pop", "dream", "Rock", "black", "metal", "ÉTUDE", "straße"])
genres = st.lists(words, min_size=1, max_size=4).map(" ".join)
tables = st.lists(genres, max_size=8, unique_by=normalise_genre).map(lambda labels: GenreTable(labels=tuple(labels)))


@pytest.mark.slow
@given(tables, st.lists(genres | st.text(max_size=12), max_size=8))
def test_every_used_label_is_in_the_table_and_every_genre_is_used_or_unknown(
    table: GenreTable, asked: list[str]
) -> None:
    used, unknown = table.resolve(asked)
    assert set(used) <= set(table.labels)
    assert len(set(used)) == len(used)
    assert len(set(unknown)) == len(unknown)
    assert {genre for genre in asked if table.back_off(genre) is None} == set(unknown)
    assert len(table.indices(used)) == len(used)


@given(tables)
def test_a_label_resolves_to_itself_in_any_spelling(table: GenreTable) -> None:
    for label in table.labels:
        assert table.back_off(f"  {label.upper().replace(' ', '   ')} ") == label


def test_a_genre_backs_off_to_the_longest_part_that_is_a_label_and_the_later_of_equals() -> None:
    table = GenreTable(labels=("indie", "pop", "indie pop", "canadian indie"))
    assert table.back_off("canadian indie pop") == "indie pop"
    assert table.back_off("pop indie") == "indie"
    assert table.back_off("popular") is None


def test_indices_start_behind_no_genre() -> None:
    table = GenreTable(labels=("pop", "rock"))
    assert table.indices(["rock", "POP"]) == [2, 1]
    with pytest.raises(KeyError):
        table.indices(["jazz"])


def test_labels_that_are_one_genre_in_two_spellings_are_refused() -> None:
    with pytest.raises(ValueError, match="distinct"):
        GenreTable(labels=("Dream Pop", "dream  pop"))


def test_an_empty_table_knows_no_genre() -> None:
    assert GenreTable(labels=()).resolve(["pop", "", "pop"]) == ((), ("pop", ""))


def test_the_worst_request_that_the_contract_lets_through_is_resolved_in_no_time() -> None:
    table = GenreTable(labels=tuple(f"label {number}" for number in range(300)))
    asked = [" ".join(chr(97 + (i + j) % 26) for i in range(MAX_TEXT_LENGTH // 2)) for j in range(MAX_GENRES)]
    started = time.thread_time()
    _, unknown = table.resolve(asked)
    assert time.thread_time() - started < 0.1
    assert len(unknown) == min(26, MAX_GENRES)
