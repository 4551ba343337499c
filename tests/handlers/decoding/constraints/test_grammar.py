from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest

from handlers.contract import SamplingParams
from handlers.decoding.constraints.grammar import Grammar
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.vocabulary import EOS_ID, SPECIALS, Vocabulary
from tests.handlers.tiny_bundles import tiny_bundle, tiny_vocabulary

TOKENS = (*SPECIALS, '"', ' "', "(", " (", ")", "a", " b", ".", '."', ".)", '("')
VOCABULARY = Vocabulary(tokens=TOKENS)


def _allowed(written: list[str]) -> set[str]:
    """Tokens that may follow some others."""
    grammar = Grammar(VOCABULARY)
    state = np.array([grammar.start])
    for token in written:
        state = grammar.after(state, np.array([TOKENS.index(token)]))
    return set(TOKENS) - {TOKENS[number] for number in grammar.forbidden(state)[0].tolist()}


def test_nothing_ends_while_a_mark_is_open_and_anything_may_after_it_has_closed() -> None:
    assert TOKENS[EOS_ID] not in _allowed([' "', "a"])
    assert TOKENS[EOS_ID] not in _allowed([" (", "a"])
    assert TOKENS[EOS_ID] in _allowed([' "', "a", '"'])
    assert TOKENS[EOS_ID] in _allowed([" (", "a", ")"])
    assert TOKENS[EOS_ID] in _allowed(["a", "."])


def test_a_bracket_that_is_not_open_cannot_close_and_one_that_is_cannot_open_again() -> None:
    assert _allowed(["a"]) & {")", ".)"} == set()
    assert _allowed([" ("]) & {"(", " (", '("'} == set()
    assert {")", ".)"} <= _allowed([" ("])


def test_a_quotation_does_not_open_within_a_quotation() -> None:
    assert ' "' not in _allowed(["a", ' "'])
    assert {'"', '."'} <= _allowed(["a", ' "'])
    assert ' "' in _allowed(["a", ' "', "a", '"'])


def test_rows_are_kept_apart() -> None:
    grammar = Grammar(VOCABULARY)
    state = grammar.after(np.full(3, grammar.start), np.array([TOKENS.index(each) for each in ("a", ' "', " (")]))
    assert [EOS_ID in ids for ids in grammar.forbidden(state).tolist()] == [False, True, True]


def test_special_tokens_are_never_written_and_no_sentence_is_empty() -> None:
    assert _allowed([]) & set(SPECIALS) == set()
    assert _allowed(["a"]) & set(SPECIALS) == {TOKENS[EOS_ID]}


def test_a_placeholder_is_written_once_in_either_form() -> None:
    grammar = Grammar(tiny_vocabulary(3))
    first, second = tiny_vocabulary(3).placeholder_ids()
    state = grammar.after(np.array([grammar.start]), np.array([first[1]]))
    forbidden = set(grammar.forbidden(state)[0].tolist())
    assert set(first) <= forbidden
    assert not set(second) & forbidden
    state = grammar.after(grammar.after(state, np.array([second[0]])), np.array([8]))
    assert {*first, *second} <= set(grammar.forbidden(state)[0].tolist())


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_model_wants_what_it_ends_by_itself_is_balanced(seed: int) -> None:
    bundle = tiny_bundle()
    marks = ['"', ' "', "(", " (", ")", '."', ".)"]
    tokens = [*bundle.vocabulary.tokens]
    for number, mark in enumerate(marks, len(tokens) - len(marks)):
        tokens[number] = mark
    noisy = dataclasses.replace(bundle, vocabulary=Vocabulary(tokens=tuple(tokens)))
    rows = [
        SequenceSpec(genres=(), seed=1000 * seed + number, sampling=SamplingParams(temperature=1.5, top_p=1.0))
        for number in range(200)
    ]
    decoded = [each for each in Engine(noisy).decode(rows) if each.finished]
    texts = [noisy.vocabulary.decode(each.ids) for each in decoded]
    assert len(texts) > 20
    assert sum('"' in text for text in texts) > 5
    assert sum("(" in text for text in texts) > 5
    for text in texts:
        assert text.count('"') % 2 == 0
        depths = list(itertools.accumulate((sign == "(") - (sign == ")") for sign in text))
        assert depths[-1] == 0
        assert min(depths) >= 0
        assert max(depths) <= 1
