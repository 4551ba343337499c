from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foundation.text_ngrams import words
from tests.examples import examples
from training.evaluation.words import WordTable

texts = st.lists(st.lists(st.sampled_from(["so", "warm", "bass"]), max_size=8).map(" ".join), max_size=10)


@examples(50)
@given(texts, st.integers(1, 5))
def test_grams_are_equal_when_their_words_are_and_stay_within_a_text(rows: list[str], size: int) -> None:
    hashes, starts = WordTable().encode(rows).grams(size)
    expected = [tuple(words(row)[i : i + size]) for row in rows for i in range(len(words(row)) - size + 1)]
    flat = [word for row in rows for word in words(row)]
    assert [tuple(flat[start : start + size]) for start in starts] == expected
    assert len(set(hashes.tolist())) == len(set(expected))


@examples(50)
@given(texts)
def test_taking_some_texts_is_encoding_them(rows: list[str]) -> None:
    table = WordTable()
    encoded = table.encode(rows)
    chosen = np.arange(len(rows))[::-1][::2]
    taken, again = encoded.take(chosen), table.encode([rows[i] for i in chosen])
    assert taken.flat_L.tolist() == again.flat_L.tolist()
    assert taken.lengths_N.tolist() == again.lengths_N.tolist()
    assert taken.text_indices.tolist() == again.text_indices.tolist()


def test_words_are_the_same_whatever_case_quotes_and_punctuation() -> None:
    assert (
        words("“Don’t stop,” SAYS <title>!") == words("don't stop says <title>") == ["don't", "stop", "says", "<title>"]
    )
    assert words(" ... ") == []
