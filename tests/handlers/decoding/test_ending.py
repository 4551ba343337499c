from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from handlers.contract import FinishReason
from handlers.decoding.ending import finish_reason, has_ended
from handlers.decoding.engine import Engine
from handlers.decoding.sequences import DecodedSequence
from handlers.model.vocabulary import EOS_ID
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle

DECODING = Path("handlers/decoding")
CASES = [
    (EOS_ID, 1, 9, True),
    (EOS_ID, 9, 9, True),
    (7, 9, 9, True),
    (7, 8, 9, False),
    (7, 1, 1, True),
    (7, 0, 1, False),
]


@pytest.mark.parametrize(("token", "length", "limit", "expected"), CASES)
def test_a_sequence_ends_with_the_end_mark_or_at_its_maximum(
    token: int, length: int, limit: int, expected: bool
) -> None:
    assert has_ended(token, length, limit) is expected


def test_the_rule_is_the_same_for_arrays() -> None:
    token, length, limit, expected = (np.array(each) for each in zip(*CASES, strict=True))
    assert has_ended(token, length, limit).tolist() == expected.tolist()


def test_the_reason_is_the_end_mark_or_the_length() -> None:
    assert (finish_reason(EOS_ID), finish_reason(7)) == (FinishReason.STOP, FinishReason.LENGTH)
    stopped, cut = (DecodedSequence.of(ids, 2, -1.0, [-0.5, -0.5, 0.0]) for ids in ([7, EOS_ID, 9], [7, 8]))
    assert (stopped.ids, stopped.finish_reason, stopped.finished) == ((7,), FinishReason.STOP, True)
    assert (cut.ids, cut.finish_reason, cut.finished) == ((7, 8), FinishReason.LENGTH, False)


def test_a_sequence_is_cut_off_only_at_its_maximum() -> None:
    decoded = Engine(tiny_bundle()).decode([spec(genres=(1,), seed=seed, max_tokens=6) for seed in range(60)])
    assert {each.finish_reason for each in decoded} == set(FinishReason)
    assert all(each.token_count == 6 for each in decoded if each.finish_reason is FinishReason.LENGTH)


def test_no_other_module_than_the_kernel_compares_with_the_end_mark_to_end_a_sequence() -> None:
    comparing = {
        path.relative_to(DECODING).as_posix()
        for path in DECODING.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Name) and side.id in {"EOS_ID", "_EOS"}
    }
    assert comparing == {"ending.py", "gpu/kernels/choice.py"}
