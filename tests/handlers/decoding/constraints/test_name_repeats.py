from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.decoding.constraints.name_repeats import NAME, NameRepeats
from handlers.decoding.constraints.ngrams import NgramTable
from handlers.decoding.engine import Engine
from handlers.model.vocabulary import PAD_ID, SPECIALS, Vocabulary
from tests.handlers.flat import spec
from tests.handlers.lexicons import lexicon_bundle

TOKENS = ("Diana", " Diana", " Ross", " Di", "ana", ",", " and", " the", " I", " band", "/")
VOCABULARY = Vocabulary(tokens=(*SPECIALS, *TOKENS))
REPEATS = NameRepeats(VOCABULARY)


def _forbidden(*written: str) -> set[str]:
    ids = [VOCABULARY.tokens.index(token) for token in written]
    found_BF = REPEATS.forbidden(np.array([[*ids, PAD_ID]]), np.array([len(ids)]), np.array([ids[-1]]))
    return {VOCABULARY.tokens[number] for number in found_BF[0].tolist() if number != PAD_ID}


@pytest.mark.parametrize(
    ("written", "forbidden"),
    [
        (["Diana", " Ross", ",", " Diana"], set()),
        ([" Diana", " Ross", ",", " Diana"], {" Ross"}),
        ([" Di", "ana", " Ross", " and", " Di", "ana"], {" Ross"}),
        ([" Ross", ","], {" Ross"}),
        ([" Ross", " and"], {" Ross"}),
        ([" Ross", "/"], {" Ross"}),
        ([" Ross", " the"], set()),
        ([" band", " and"], set()),
        ([" the", " Ross", " band", " the"], set()),
        ([" I", " and"], set()),
        ([","], set()),
    ],
)
def test_a_name_does_not_follow_a_name_again_nor_stand_in_a_list_with_itself(
    written: list[str], forbidden: set[str]
) -> None:
    assert _forbidden(*written) == forbidden


@given(st.lists(st.integers(len(SPECIALS), len(VOCABULARY) - 1), max_size=12))
def test_a_single_sequence_is_forbidden_what_it_is_in_arrays(tokens: list[int]) -> None:
    table = NgramTable(2)
    for count in range(1, len(tokens)):
        table.add(tokens[:count])
        rows = np.array([[*tokens[:count], PAD_ID]])
        found_BF = REPEATS.forbidden(rows, np.array([count]), np.array(tokens[count - 1 : count]))
        one = REPEATS.forbidden_one(tokens[:count], table.forbidden(tokens[:count]))
        assert set(one) == set(found_BF[0].tolist()) - {PAD_ID}


def test_no_sentence_of_a_model_with_a_lexicon_repeats_two_names() -> None:
    bundle = lexicon_bundle(2, scale=0.5)
    kinds = NameRepeats(bundle.vocabulary).kind_V
    bundle.decoder.output_bias[np.flatnonzero(kinds & NAME)] += 3.0
    asked = [spec(seed=seed, max_tokens=40) for seed in range(40)]
    together = Engine(bundle).decode(asked)
    for each in together:
        pairs = [
            pair for pair in zip(each.ids, each.ids[1:], strict=False) if kinds[pair[1]] & NAME and kinds[pair[0]] & 2
        ]
        assert len(pairs) == len(set(pairs))
    assert [Engine(bundle).decode([row])[0] for row in asked[:4]] == together[:4]
