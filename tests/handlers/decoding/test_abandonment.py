from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from handlers.decoding.engine import DecodedSequence, Engine, SequenceSpec
from handlers.decoding.random_numbers import derive_seed
from handlers.decoding.single import SingleDecode
from handlers.model.acceptability import Abandonment
from handlers.model.bundle import Bundle
from tests.handlers.acceptabilities import acceptability, check
from tests.handlers.flat import spec
from tests.handlers.tiny_bundles import tiny_bundle


def _rule(bundle: Bundle) -> Abandonment:
    made = acceptability(len(bundle.vocabulary), checks=(check(3, -3.6), check(6, 0.7, slor=1.0, least_likely=0.1)))
    assert made.abandonment is not None
    return made.abandonment


def _specs(count: int, **changes: Any) -> list[SequenceSpec]:
    return [
        spec(
            **{"genres": (1 + n % 5,) if n % 3 else (), "seed": derive_seed(8, n), "max_tokens": 4 + n % 20, **changes}
        )
        for n in range(count)
    ]


def _with(rule: Abandonment | None, specs: list[SequenceSpec]) -> list[SequenceSpec]:
    return [dataclasses.replace(each, abandonment=rule) for each in specs]


@pytest.fixture(scope="module")
def tiny() -> Bundle:
    return tiny_bundle(end_bias=0.5, generator=True)


def _alike(found: DecodedSequence, expected: DecodedSequence) -> bool:
    # The sum of an abandoned sequence is added up along the way, or exactly at the end.
    same = dataclasses.replace(found, log_prob=expected.log_prob) == expected
    return same and found.log_prob == pytest.approx(expected.log_prob, abs=1e-12)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("slots", [1, 5, 64])
def test_the_decode_stops_exactly_where_the_rule_says_of_the_whole_sentence(
    tiny: Bundle, guidance: float, slots: int
) -> None:
    engine, rule, asked = Engine(tiny, slots=slots), _rule(tiny), _specs(60, guidance=guidance)
    whole, stopped = engine.decode(asked), engine.decode(_with(rule, asked))
    for found, expected in zip(stopped, whole, strict=True):
        assert _alike(found, expected.stopped_by(rule))
    places = [each.token_count for each in stopped if each.abandoned]
    assert set(places) == set(rule.places), "each check stops some"
    assert 5 < len(places) < 55


def test_a_sequence_is_abandoned_alike_alone_and_in_any_batch(tiny: Bundle) -> None:
    engine, rule = Engine(tiny), _rule(tiny)
    asked = [*_with(rule, _specs(40)), *_specs(10, seed=3)]
    together = engine.decode(asked)
    order = np.random.default_rng(0).permutation(len(asked)).tolist()
    assert engine.decode([asked[place] for place in order]) == [together[place] for place in order]
    for place in (0, 7, 21, 45):
        assert engine.decode([asked[place]]) == [together[place]]


def test_sequences_without_a_rule_are_decoded_to_their_end_beside_others(tiny: Bundle) -> None:
    engine, asked = Engine(tiny, slots=8), _specs(30)
    mixed = [each if n % 2 else _with(_rule(tiny), [each])[0] for n, each in enumerate(asked)]
    found, whole = engine.decode(mixed), engine.decode(asked)
    assert found[1::2] == whole[1::2]
    assert any(each.abandoned for each in found[::2])


def test_a_sentence_that_ends_at_a_check_is_not_abandoned(tiny: Bundle) -> None:
    (ended,) = Engine(tiny).decode(_specs(1, max_tokens=3))
    strict = acceptability(len(tiny.vocabulary), checks=(check(3, 99.0),)).abandonment
    assert strict is not None
    assert ended.token_count == 3
    assert not ended.stopped_by(strict).abandoned
    assert Engine(tiny).decode(_with(strict, _specs(1, max_tokens=3))) == [ended]


def test_an_abandoned_sequence_has_no_finish_reason_and_its_first_tokens_alone(tiny: Bundle) -> None:
    strict = acceptability(len(tiny.vocabulary), checks=(check(2, 99.0),)).abandonment
    for found in Engine(tiny).decode(_with(strict, _specs(5))):
        assert (found.finish_reason, found.finished, found.token_count) == (None, False, 2)
        assert found.drawn_ids == found.ids
        assert len(found.ids) == len(found.token_log_probs) == 2


def test_a_single_decode_leaves_sequences_with_a_rule_to_the_batched_one(tiny: Bundle) -> None:
    (row,) = _with(_rule(tiny), _specs(1))
    assert not SingleDecode.supports(row)
