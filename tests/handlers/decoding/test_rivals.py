from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import FinishReason
from handlers.decoding.arrays import IntArray
from handlers.decoding.batched import BatchedDecode
from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.decoding.rivals import Rivals, settled
from handlers.model.acceptability import Abandonment
from handlers.model.bundle import Bundle
from tests.examples import examples
from tests.handlers.acceptabilities import acceptability, check
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle

NUM_TOKENS = 68


def _rule() -> Abandonment:
    checks = (check(2, 0.75), check(3, 0.5, slor=1.0, least_likely=0.1), check(6, 0.25))
    made = acceptability(NUM_TOKENS, checks=checks).abandonment
    assert made is not None
    return made


def _rivals(*groups: range) -> Rivals:
    return Rivals(rule=_rule(), groups=tuple(tuple(group) for group in groups))


def _specs(count: int, **changes: Any) -> list[SequenceSpec]:
    return [
        spec(
            **{"genres": (1 + n % 5,) if n % 3 else (), "seed": derive_seed(8, n), "max_tokens": 4 + n % 20, **changes}
        )
        for n in range(count)
    ]


def _written(*log_probs: float, finished: bool = True) -> DecodedSequence:
    return DecodedSequence(
        ids=tuple(9 for _ in log_probs[: len(log_probs) - finished]),
        token_count=len(log_probs),
        log_prob=math.fsum(log_probs),
        token_log_probs=log_probs,
        finish_reason=FinishReason.STOP if finished else FinishReason.LENGTH,
    )


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    bundle = tiny_bundle(end_bias=0.5, generator=True)
    assert len(bundle.vocabulary) == NUM_TOKENS
    return bundle


def test_the_candidates_with_the_highest_forecasts_go_on() -> None:
    rivals = Rivals(
        rule=acceptability(NUM_TOKENS, checks=(check(2, 0.5),)).abandonment or _rule(), groups=((0, 1, 2, 3),)
    )
    sentences = [_written(-lead, -1.0, -9.0, -1.0) for lead in (3.0, 1.0, 4.0, 2.0)]
    settled = rivals.settle(sentences)
    assert [each.abandoned for each in settled] == [True, False, True, False]
    assert settled[1] == sentences[1]
    assert (settled[0].token_count, settled[0].token_log_probs) == (2, (-3.0, -1.0))
    assert (settled[0].finish_reason, settled[0].drawn_ids, settled[0].log_prob) == (None, (9, 9), -4.0)


def test_of_equal_forecasts_the_first_candidates_go_on_and_one_that_is_no_number_does_not() -> None:
    rivals = Rivals(
        rule=acceptability(NUM_TOKENS, checks=(check(2, 0.5),)).abandonment or _rule(), groups=((0, 1, 2, 3),)
    )
    same = [_written(math.nan, -1.0, -1.0), *[_written(-1.0, -1.0, -1.0)] * 3]
    assert [each.abandoned for each in rivals.settle(same)] == [True, False, False, True]


def test_a_sentence_that_ended_before_a_check_is_not_compared_there() -> None:
    rivals = Rivals(
        rule=acceptability(NUM_TOKENS, checks=(check(2, 0.25),)).abandonment or _rule(), groups=((0, 1, 2, 3),)
    )
    sentences = [_written(-9.0, -9.0), _written(-9.0), _written(-2.0, -2.0, -1.0), _written(-1.0, -1.0, -1.0)]
    assert [each.abandoned for each in rivals.settle(sentences)] == [False, False, True, False]


def test_one_that_lost_a_check_is_not_compared_at_the_next() -> None:
    rule = acceptability(NUM_TOKENS, checks=(check(1, 0.5), check(2, 0.25))).abandonment
    assert rule is not None
    sentences = [
        _written(-1.0, -9.0, -1.0),
        _written(-2.0, -7.0, -1.0),
        _written(-3.0, -0.1, -1.0),
        _written(-4.0, -0.1, -1.0),
    ]
    settled = Rivals(rule=rule, groups=((0, 1, 2, 3),)).settle(sentences)
    assert [each.token_count for each in settled] == [2, 3, 1, 1]


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("slots", [1, 5, 16, 64])
def test_a_decode_abandons_exactly_those_that_the_whole_sentences_say(
    tiny: Bundle, guidance: float, slots: int
) -> None:
    engine, asked = Engine(tiny, slots=slots), _specs(60, guidance=guidance, genres=(2,))
    rivals = _rivals(range(8), range(8, 12), range(20, 36), range(40, 41), range(41, 60))
    whole, found = engine.decode(asked), engine.decode(asked, rivals=[rivals])
    assert found == rivals.settle(whole)
    assert {each.token_count for each in found if each.abandoned} == set(rivals.rule.places), "each check drops some"
    assert found[12:20] == whole[12:20], "others are decoded to their end"
    assert not found[40].abandoned, "one without rivals too"
    for group in rivals.groups:
        assert not all(found[number].abandoned for number in group)


def test_rows_of_every_kind_may_be_rivals(tiny: Bundle) -> None:
    engine = Engine(tiny)
    asked = [*_specs(8, guidance=2.0, genres=(1,)), *_specs(8), *_specs(8, temperature=0.3, guidance=3.0, genres=(2,))]
    rivals = _rivals(range(8), range(8, 16), range(16, 24))
    assert engine.decode(asked, rivals=[rivals]) == rivals.settle(engine.decode(asked))


@pytest.mark.slow
@examples(15)
@given(st.integers(1, 30), st.integers(0, 99), st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_a_sample_is_decoded_the_same_alone_and_in_any_batch(slots: int, seed: int, sizes: list[int]) -> None:
    engine = Engine(tiny_bundle(end_bias=0.5), slots=slots)
    ends = np.cumsum(sizes).tolist()
    groups = [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]
    asked = [dataclasses.replace(each, seed=derive_seed(seed, n)) for n, each in enumerate(_specs(ends[-1]))]
    together = engine.decode(asked, rivals=[_rivals(*groups)])
    for group in groups:
        alone = engine.decode(asked[group.start : group.stop], rivals=[_rivals(range(len(group)))])
        assert alone == together[group.start : group.stop]


def test_fewer_steps_are_taken_for_rivals(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[int] = []
    write = BatchedDecode._write

    def counted(decode: BatchedDecode, chosen: IntArray) -> list[int]:
        steps.append(len(chosen))
        return write(decode, chosen)

    monkeypatch.setattr(BatchedDecode, "_write", counted)
    engine, asked = Engine(tiny, compiled=False), _specs(32, max_tokens=30)
    rivals = _rivals(range(16), range(16, 32))
    found = engine.decode(asked, rivals=[rivals])
    # All candidates of a sample start together, so that none goes on after it has lost.
    assert sum(steps) == sum(each.token_count for each in found)
    assert sum(steps) < sum(each.token_count for each in engine.decode(asked)) / 2


def test_candidates_under_several_rules_are_abandoned_by_their_own(tiny: Bundle) -> None:
    engine, asked = Engine(tiny, slots=16), _specs(40)
    tokens_CV = np.random.default_rng(4).normal(size=(2, NUM_TOKENS))
    weighing = Abandonment(checks=(check(2, 0.5), check(4, 0.25)), unigrams_V=np.zeros(NUM_TOKENS), tokens_CV=tokens_CV)
    rivals = [_rivals(range(8), range(16, 24)), Rivals(rule=weighing, groups=(tuple(range(8, 16)), (30, 31, 32, 33)))]
    whole, found = engine.decode(asked), engine.decode(asked, rivals=rivals)
    assert found == settled(whole, rivals)
    assert found[:8] == rivals[0].settle(whole)[:8]
    assert found[8:16] == rivals[1].settle(whole)[8:16]
    assert found[34:] == whole[34:]


def test_a_forecast_weighs_the_tokens_themselves() -> None:
    tokens_CV = np.zeros((1, NUM_TOKENS))
    tokens_CV[0, [20, 21]] = 1.0, -1.0
    rule = Abandonment(checks=(check(2, 0.5, slor=0.0),), unigrams_V=np.zeros(NUM_TOKENS), tokens_CV=tokens_CV)
    ids_RP = np.array([[20, 20], [20, 9], [9, 9], [21, 9]])
    assert rule.forecasts(0, ids_RP, np.full((4, 2), -1.0)) == [2.0, 1.0, 0.0, -1.0]
