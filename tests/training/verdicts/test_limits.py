"""Limits of learning: a test of non-inferiority on the sentences that two versions serve for the same requests."""

from __future__ import annotations

import random

import pytest

from training.verdicts.limits import TOLERANCE, Written, compare


def _written(texts: list[str], *, values: list[float] | None = None, copied: list[bool] | None = None) -> Written:
    count = len(texts)
    return Written(texts=tuple(texts), values=tuple(values or [0.5] * count), copied=tuple(copied or [False] * count))


def _texts(count: int, *, words: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    spelled = [f"{chr(97 + number // 26)}{chr(97 + number % 26)}" for number in range(words)]
    return [" ".join(draw.choice(spelled) for _ in range(10)) for _ in range(count)]


def test_the_same_sentences_are_within_the_limits_with_bounds_of_nothing() -> None:
    written = _written(_texts(100, words=60))
    bounds = compare(written, written)
    assert (bounds.distinct_2, bounds.copied, bounds.value) == (1.0, 0.0, 0.0)
    assert bounds.is_within


def test_more_different_and_less_copied_sentences_are_within_the_limits() -> None:
    before = _written(_texts(200, words=40), copied=[number % 5 == 0 for number in range(200)])
    after = _written(_texts(200, words=90, seed=1))
    bounds = compare(after, before)
    assert bounds.is_within
    assert bounds.distinct_2 > 1.2
    # 20% are copies before, in every fourth block: so few blocks leave the bound far above the difference.
    assert -0.2 < bounds.copied < 0


@pytest.mark.parametrize("loss", ["variety", "copies"])
def test_what_is_less_different_or_more_often_copied_is_not_within_the_limits(loss: str) -> None:
    texts = _texts(200, words=60)
    before = _written(texts)
    if loss == "variety":
        after = _written([texts[number - number % 4] for number in range(200)])
    else:
        after = _written(texts, copied=[number % 10 == 0 for number in range(200)])
    assert not compare(after, before).is_within


@pytest.mark.slow
def test_few_samples_refuse_what_many_let_pass() -> None:
    draw = random.Random(2)

    def bound(count: int) -> float:
        """Bound of two versions that copy in a tenth of the cases, each in its own."""
        copied = [number % 10 == 0 for number in range(count)]
        before, after = (_written(["a b"] * count, copied=draw.sample(copied, count)) for _ in range(2))
        return compare(after, before).copied

    assert bound(200) > TOLERANCE > bound(4_000)


def test_the_bound_holds_for_nineteen_of_twenty_equal_pairs() -> None:
    draw = random.Random(7)
    false = 0
    for _ in range(100):
        values = [[draw.random() for _ in range(20)] for _ in range(2)]
        texts = ["a b"] * 20
        false += compare(_written(texts, values=values[0]), _written(texts, values=values[1])).value > 0
    # 5 of 100 are expected; 13 or more come about once in 700 times.
    assert false < 13


def test_versions_that_did_not_answer_the_same_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="same requests, at least 2; got 3 and 2 sentences"):
        compare(_written(["a b"] * 3), _written(["a b"] * 2))
    with pytest.raises(ValueError, match="got 1, 2 and 1"):
        Written(texts=("a",), values=(0.1, 0.2), copied=(False,))
