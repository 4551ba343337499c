from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.text_ngrams import COPY_SIZE, runs, spans, words

word_lists = st.lists(st.sampled_from(["a", "slow", "warm", "hum"]), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("-- ... !", []),
        ("Lo-Fi, post-rock & R'n'B", ["lo-fi", "post-rock", "r'n'b"]),
        ("don’t / don't", ["don't", "don't"]),
        ("'quoted' words'", ["quoted", "words"]),
        ("v1.2. At 3.5 dB.", ["v1.2", "at", "3.5", "db"]),
        ("<artist>'s <title> and <unk>; <other>", ["<artist>", "s", "<title>", "and", "<unk>", "other"]),
        ("<Artist> SHOUTS", ["<artist>", "shouts"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("snake_case", ["snake", "case"]),
        ("Пётр 東京 café", ["пётр", "東京", "café"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text(max_size=80))
def test_words_of_the_words_are_the_same_words(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(word_lists, st.integers(1, 9))
def test_every_run_is_there_once_and_in_order(sequence: list[str], size: int) -> None:
    found = [list(run) for run in runs(sequence, size)]
    assert found == [sequence[start : start + size] for start in range(max(0, len(sequence) - size + 1))]


def test_a_run_has_the_copy_size_by_default() -> None:
    assert [len(run) for run in runs(["word"] * (COPY_SIZE + 1))] == [COPY_SIZE, COPY_SIZE]
    assert list(runs(["word"] * (COPY_SIZE - 1))) == []


@given(word_lists, st.integers(1, 9))
def test_spans_are_the_runs_of_every_size_longest_first_and_last_first(sequence: list[str], longest: int) -> None:
    found = [tuple(span) for span in spans(sequence, longest)]
    sizes = [len(span) for span in found]
    assert sizes == sorted(sizes, reverse=True)
    assert Counter(found) == Counter(tuple(run) for size in range(1, longest + 1) for run in runs(sequence, size))
    for size in set(sizes):
        assert [span for span in found if len(span) == size] == [tuple(run) for run in runs(sequence, size)][::-1]
