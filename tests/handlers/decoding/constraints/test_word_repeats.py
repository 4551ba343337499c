from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import SamplingParams
from handlers.decoding.constraints.word_repeats import WordRepeats
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.vocabulary import EOS_ID, PAD_ID, PLACEHOLDERS, SPECIALS, Vocabulary
from tests.examples import examples
from tests.handlers.tiny_bundles import tiny_bundle

FORMS = tuple(space + each for each in PLACEHOLDERS for space in ("", " "))
FIRST = len(SPECIALS) + len(FORMS)
# A word twice with nothing but spaces between, case ignored: what a reader calls a repeat.
REPEAT = re.compile(r"(?<![\w'’\-])([\w'’\-]+) +\1(?![\w'’\-])", re.IGNORECASE)

pieces = st.builds(
    str.__add__, st.sampled_from(["", " "]), st.text("aAbé", min_size=1, max_size=3) | st.sampled_from("-',.!12")
)


def _vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary(tokens=(*SPECIALS, *FORMS, *tokens))


def _forbidden(vocabulary: Vocabulary, written: list[int]) -> set[str]:
    """The tokens that may not come next."""
    word_repeats = WordRepeats(vocabulary)
    words = np.array(word_repeats.start)[:, None]
    for number in written:
        words = word_repeats.after(words, np.array([number]))
    return {vocabulary.tokens[number] for number in word_repeats.forbidden(words)[0].tolist()} - {"<pad>"}


@pytest.mark.slow
@examples(30)
@given(st.sets(pieces, min_size=8, max_size=40), st.integers(0, 100))
def test_no_sample_of_any_vocabulary_has_a_word_beside_itself(tokens: set[str], seed: int) -> None:
    bundle = tiny_bundle(seed=seed, vocabulary=_vocabulary(*sorted(tokens)), end_bias=-2.0, placeholder_bias=-1.0)
    rows = [
        SequenceSpec(genres=(), seed=number, sampling=SamplingParams(temperature=1.5, top_p=1.0, max_tokens=40))
        for number in range(12)
    ]
    for decoded in Engine(bundle).decode(rows):
        text = bundle.vocabulary.decode(decoded.ids)
        assert REPEAT.search(text) is None, text


@examples(80)
@given(st.sets(pieces, min_size=1, max_size=20), st.data())
def test_a_token_is_forbidden_just_when_the_word_would_be_the_one_before(tokens: set[str], data: st.DataObject) -> None:
    vocabulary = _vocabulary(*sorted(tokens))
    written = data.draw(st.lists(st.integers(FIRST, len(vocabulary) - 1), max_size=8))
    # What is written may hold repeats here, since nothing forbade them; after those, nothing is claimed.
    before = "".join(vocabulary.tokens[number] for number in written)
    if REPEAT.search(before):
        return
    expected = {token for token in vocabulary.tokens[FIRST:] if REPEAT.search(before + token)}
    assert _forbidden(vocabulary, written) == expected


def test_case_and_the_kind_of_apostrophe_make_no_other_word() -> None:
    vocabulary = _vocabulary(" don't", " Don’t", " DON'T", " do", "n't", "n’t", ".", " dont")
    first = FIRST
    assert _forbidden(vocabulary, [first]) == {" don't", " Don’t", " DON'T"}
    assert _forbidden(vocabulary, [first, first + 3]) == {"n't", "n’t", " do"}, "in two pieces it is the same word"
    assert _forbidden(vocabulary, [first + 3, first + 4]) == {" don't", " Don’t", " DON'T"}


@pytest.mark.parametrize("between", [",", "."])
def test_a_sign_between_two_words_parts_them(between: str) -> None:
    vocabulary = _vocabulary(" very", between, "a")
    assert _forbidden(vocabulary, [FIRST]) == {" very"}
    assert _forbidden(vocabulary, [FIRST, FIRST + 1]) == set()


def test_a_placeholder_is_no_word_and_parts_two() -> None:
    vocabulary = _vocabulary(" by")
    artist = vocabulary.tokens.index(" <artist>")
    assert _forbidden(vocabulary, [FIRST, artist]) == set()


def test_a_row_whose_every_word_is_a_repeat_ends() -> None:
    bundle = tiny_bundle(vocabulary=_vocabulary(" so", " So"), end_bias=-40.0, placeholder_bias=-80.0)
    rows = [SequenceSpec(genres=(), seed=seed, sampling=SamplingParams(max_tokens=10)) for seed in range(8)]
    for decoded in Engine(bundle).decode(rows):
        assert decoded.finished
        assert bundle.vocabulary.decode(decoded.ids).lower() == "so"
        assert EOS_ID not in decoded.ids


def test_rows_are_kept_apart() -> None:
    vocabulary = _vocabulary(" a", " b", " c")
    word_repeats = WordRepeats(vocabulary)
    words = word_repeats.after(
        np.tile(np.array(word_repeats.start)[:, None], 3), np.array([FIRST, FIRST + 1, FIRST + 2])
    )
    for row, ids in enumerate(word_repeats.forbidden(words).tolist()):
        assert set(ids) == {PAD_ID, FIRST + row}
