"""Requests that rank candidates by the value function, beside those that do not."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, CommentaryResponse, ContractError, RankBy, Sample
from handlers.model.bundle import Bundle
from handlers.ranking import value_rule
from handlers.ranking.choice import opening
from handlers.ranking.values import Values, probability
from tests.examples import examples
from tests.handlers import flat
from tests.handlers.acceptabilities import accepting, check
from tests.handlers.tiny_bundles import tiny_bundle
from tests.handlers.valuing import requests_of, valuing

WEIGHTS = {"mean_log_prob": 1.0, "topic": 0.3}
CHECKS = (check(3, 0.5), check(6, 0.25))


@pytest.fixture(scope="module")
def plain() -> Bundle:
    return accepting(tiny_bundle(seed=1, generator=True, end_bias=0.5), WEIGHTS, checks=CHECKS, opening_penalty=0.5)


@pytest.fixture(scope="module")
def commentator(plain: Bundle) -> Commentator:
    return Commentator(valuing(plain))


def _request(**values: Any) -> CommentaryRequest:
    given = {"genres": ("dream pop",), "seed": 11, "max_tokens": 20, "rank_by": RankBy.VALUE, **values}
    return flat.request(**given)


def _answer(commentator: Commentator, request: CommentaryRequest) -> CommentaryResponse:
    (answer,) = commentator.answer([request])
    return answer


def _every_candidate(commentator: Commentator, request: CommentaryRequest) -> list[Sample]:
    """All candidates of the first sample, each asked for by its seed."""
    described = commentator.candidates([request])[0][0]
    alone = [replace(request, seed=each.seed, num_samples=1, best_of=1) for each in described]
    return [answer.samples[0] for answer in commentator.answer(alone)]


def test_the_candidate_with_the_highest_value_is_answered_with_its_value(commentator: Commentator) -> None:
    request = _request(num_samples=1, best_of=8)
    (sample,) = _answer(commentator, request).samples
    candidates = _every_candidate(commentator, request)
    assert len({each.value for each in candidates}) > 4
    finished = [each for each in candidates if each.finish_reason == "stop"]
    best = max(finished, key=lambda each: each.value or 0.0)
    assert (sample.text, sample.value) == (best.text, best.value)
    assert len(candidates) == 8


def test_the_value_is_that_of_the_text_with_placeholders(commentator: Commentator) -> None:
    request = _request(num_samples=6, artist="Ona Vell", title="Slow Tide")
    named, bare = _answer(commentator, request), _answer(commentator, replace(request, artist=None, title=None))
    assert [sample.value for sample in named.samples] == [sample.value for sample in bare.samples]
    bundle = commentator.bundle
    assert bundle.value is not None
    values = Values(bundle.value, bundle.decoder.token_embedding.weight, bundle.vocabulary)
    texts = [sample.text for sample in bare.samples]
    odds = values.log_odds(texts, bundle.topics.shares(texts).tolist())
    assert [sample.value for sample in bare.samples] == [probability(each) for each in odds]


def test_no_candidate_is_abandoned_by_its_score(commentator: Commentator) -> None:
    request = _request(num_samples=4, best_of=8)
    by_value = commentator.answer_batch([request])
    by_score = commentator.answer_batch([replace(request, rank_by=RankBy.ACCEPTABILITY)])
    assert by_value.times.sequences == by_score.times.sequences == 32
    assert by_value.times.tokens > by_score.times.tokens


def test_who_does_not_ask_for_it_gets_what_the_same_model_without_a_value_function_gives(
    plain: Bundle, commentator: Commentator
) -> None:
    request = _request(num_samples=5, rank_by=RankBy.ACCEPTABILITY)
    samples = _answer(commentator, request).samples
    assert samples == _answer(Commentator(plain), request).samples
    assert {sample.value for sample in samples} == {None}
    together = commentator.answer([_request(), request, _request(seed=3)])
    assert together[1].samples == samples
    assert all(sample.value is not None for answer in (together[0], together[2]) for sample in answer.samples)


def test_a_higher_value_is_chosen_than_by_the_score(commentator: Commentator) -> None:
    requests = [_request(num_samples=1, seed=seed, best_of=6, max_tokens=12) for seed in range(12)]
    by_value = [answer.samples[0].value or 0.0 for answer in commentator.answer(requests)]
    by_rule = commentator.answer([replace(request, rank_by=RankBy.ACCEPTABILITY) for request in requests])
    again = [
        replace(request, seed=answer.samples[0].seed, best_of=1)
        for request, answer in zip(requests, by_rule, strict=True)
    ]
    by_score = [answer.samples[0].value or 0.0 for answer in commentator.answer(again)]
    assert sum(by_value) > sum(by_score) + 1


def test_a_model_without_a_value_function_refuses_and_names_field_and_way_out(plain: Bundle) -> None:
    with pytest.raises(ContractError, match=r"lcgan/1 has no value function; .* trained with --verdicts") as caught:
        Commentator(plain).answer([_request()])
    assert (caught.value.code, caught.value.field) == ("INVALID_ARGUMENT", "rank_by")
    assert Commentator(plain).rules == (RankBy.ACCEPTABILITY,)


def test_both_weighs_the_value_and_the_score_of_every_candidate(commentator: Commentator) -> None:
    request = _request(num_samples=1, best_of=8, rank_by=RankBy.BOTH)
    (sample,) = _answer(commentator, request).samples
    described = commentator.candidates([request])[0][0]
    values = [each.value or 0.0 for each in _every_candidate(commentator, replace(request, rank_by=RankBy.VALUE))]
    scores = [
        (each.decoded.finished, math.log(value / (1 - value)) + 0.5 * each.score)
        for each, value in zip(described, values, strict=True)
    ]
    best = scores.index(max(scores))
    assert (sample.seed, sample.value) == (described[best].seed, values[best])


def test_without_an_acceptability_a_value_function_ranks_all_the_same() -> None:
    commentator = Commentator(valuing(tiny_bundle(seed=1, generator=True)))
    assert commentator.rules == (RankBy.ACCEPTABILITY, RankBy.VALUE)
    with pytest.raises(ContractError, match=r"no acceptability; .* rank by acceptability or value"):
        commentator.answer([_request(rank_by=RankBy.BOTH)])
    request = _request(num_samples=1, best_of=4)
    (sample,) = _answer(commentator, request).samples
    seeds = [spec.seed for spec in commentator._asked([request])[0].specs]
    alone = commentator.answer([replace(request, seed=seed, best_of=1) for seed in seeds])
    finished = [each.samples[0] for each in alone if each.samples[0].finish_reason == "stop"]
    assert sample.value == max(each.value or 0.0 for each in finished)


def test_a_model_without_a_generator_refuses_a_topic_that_would_not_decide() -> None:
    commentator = Commentator(valuing(accepting(tiny_bundle(), WEIGHTS)))
    assert _answer(commentator, _request(topic="2", rank_by=RankBy.ACCEPTABILITY)).samples
    with pytest.raises(ContractError, match="no generator that could steer to a topic"):
        commentator.answer([_request(topic="2")])


def test_a_candidate_that_opens_like_an_earlier_sample_loses_where_values_are_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tiny_bundle(seed=1, generator=True, num_words=4, end_bias=0.0)
    value = valuing(bundle).value
    assert value is not None
    equal = replace(
        value,
        state_H=torch.zeros_like(value.state_H),
        topics_K=torch.zeros_like(value.topics_K),
        words_W=torch.zeros_like(value.words_W),
        length_1=torch.zeros_like(value.length_1),
    )
    commentator = Commentator(dataclasses.replace(bundle, value=equal))

    def openings() -> int:
        samples = _answer(commentator, _request(num_samples=10, best_of=6, temperature=0.4, max_tokens=12)).samples
        return len({opening(each.text) for each in samples})

    apart = openings()
    monkeypatch.setattr(value_rule, "_OPENING", 0.0)
    assert openings() < apart


@pytest.mark.slow
@examples(12)
@given(requests_of(st.sampled_from(RankBy), best_of=6))
def test_valued_requests_are_answered_the_same_alone_and_in_any_batch(requests: list[CommentaryRequest]) -> None:
    bundle = accepting(tiny_bundle(end_bias=0.5), WEIGHTS, checks=CHECKS, opening_penalty=0.5)
    commentator = Commentator(valuing(bundle), slots=16)
    for request, answer in zip(requests, commentator.answer(requests), strict=True):
        (alone,) = commentator.answer([request])
        assert alone.samples == answer.samples
        (first,) = commentator.answer([replace(request, num_samples=1)])
        assert first.samples == answer.samples[:1]
