from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from handlers.balance import Balance
from handlers.engine import Engine, Row
from handlers.vocabulary import EOS_ID, SPECIALS, Vocabulary
from tests.handlers.tiny_bundles import tiny_bundle

TOKENS = (*SPECIALS, '"', ' "', "(", " (", ")", "a", " b", ".", '."', ".)", '("')
VOCABULARY = Vocabulary(tokens=TOKENS)
CPU = torch.device("cpu")


def _allowed(written: list[str]) -> set[str]:
    """Tokens that may follow some others."""
    balance = Balance(VOCABULARY, CPU)
    marks = balance.start(1)
    for token in written:
        balance.write(marks, torch.tensor([TOKENS.index(token)]))
    logits = torch.zeros(1, len(TOKENS))
    balance.forbid(logits, marks)
    return {token for token, logit in zip(TOKENS, logits[0].tolist(), strict=True) if logit == 0}


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


def test_rows_are_kept_apart_and_can_leave() -> None:
    balance = Balance(VOCABULARY, CPU)
    marks = balance.start(3)
    balance.write(marks, torch.tensor([TOKENS.index(token) for token in ("a", ' "', " (")]))
    marks.keep(torch.tensor([0, 2]))
    logits = torch.zeros(2, len(TOKENS))
    balance.forbid(logits, marks)
    assert (logits[:, EOS_ID] == 0).tolist() == [True, False]


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_model_wants_what_it_ends_by_itself_is_balanced(seed: int) -> None:
    bundle = tiny_bundle()
    marks = ['"', ' "', "(", " (", ")", '."', ".)"]
    tokens = [*bundle.vocabulary.tokens]
    for number, mark in enumerate(marks, len(tokens) - len(marks)):
        tokens[number] = mark
    noisy = dataclasses.replace(bundle, vocabulary=Vocabulary(tokens=tuple(tokens)))
    rows = [Row(genres=(), seed=1000 * seed + number, temperature=1.5, top_p=1.0) for number in range(200)]
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
