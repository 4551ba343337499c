from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.training.spelling import SpellingModel

WORDS = [" hazy", " hazier", " lazy", " lazier", " crazy", " crazy", "-core"]


def test_what_is_spelled_like_the_words_it_learned_is_cheaper() -> None:
    model = SpellingModel(WORDS)
    assert model.bits(" hazy") < model.bits(" crazier") < model.bits(" qxqxqxq")


def test_an_end_is_paid_for() -> None:
    assert SpellingModel(WORDS).bits(" laz") > SpellingModel([*WORDS, " laz"]).bits(" laz")


def test_the_probabilities_of_all_next_characters_add_up_to_one() -> None:
    model = SpellingModel(WORDS)
    characters = sorted({each for word in WORDS for each in word} | {"\n"})
    for history in ("\r", "\r haz", "azy", "never seen"):
        seen = sum(model._probability(history, each) for each in characters)
        unseen = model._probability(history, "\u4e00")
        assert seen + (0x110000 - len(characters)) * unseen == pytest.approx(1.0)


def test_words_of_a_small_alphabet_have_nearly_all_probability_together() -> None:
    model = SpellingModel(["ab", "ba", "a", "b", "aab"] * 50, order=3)
    short = ("".join(letters) for length in range(9) for letters in product("ab", repeat=length))
    total = sum(2 ** -model.bits(word) for word in short)
    assert 0.97 < total < 1.0


@given(st.text(st.characters(exclude_characters="\r\n"), max_size=12))
def test_any_word_can_be_spelled(word: str) -> None:
    assert 0 < SpellingModel(WORDS).bits(word) < 24 * (len(word) + 1)


def test_a_model_that_has_learned_nothing_takes_all_characters_for_alike() -> None:
    assert SpellingModel([]).bits("abc") == pytest.approx(4 * 20.0875, abs=1e-3)


def test_an_order_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="order must be at least 1, got 0"):
        SpellingModel(WORDS, order=0)
