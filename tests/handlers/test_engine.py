from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from handlers.bundle import Bundle
from handlers.contract import CommentaryRequest
from handlers.engine import MAX_ROWS_PER_DECODE, Decoded, Engine, Row, _Live
from handlers.sampler import derive_seed, row_uniforms, standard_normals
from handlers.vocabulary import BOS_ID, EOS_ID, PAD_ID, UNK_ID
from tests.handlers.tiny_bundles import GENRES, tiny_bundle

rows = st.builds(
    Row,
    genres=st.lists(st.integers(1, len(GENRES)), max_size=3).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    temperature=st.sampled_from([0.0, 0.5, 0.8, 1.5]),
    top_k=st.sampled_from([0, 1, 5, 40]),
    top_p=st.sampled_from([0.3, 0.92, 1.0]),
    min_p=st.sampled_from([0.0, 0.1]),
    max_tokens=st.integers(1, 30),
)


def _some_rows(count: int, **changes: Any) -> list[Row]:
    return [
        Row(
            **{"genres": (1 + i % 5,) if i % 3 else (), "seed": derive_seed(99, i), "max_tokens": 1 + i % 40, **changes}
        )
        for i in range(count)
    ]


def _same(one: Decoded, other: Decoded) -> bool:
    # Products of another batch size may round otherwise in the last place, so the sum is held loosely, the text is not.
    return one.ids == other.ids and one.finished == other.finished and abs(one.log_prob - other.log_prob) < 1e-3


@pytest.mark.parametrize("name", ["bundle", "moving_bundle"])
def test_the_step_by_step_decode_has_the_log_probabilities_of_the_teacher_forced_decoder(
    name: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    engine = Engine(bundle)
    asked = _some_rows(60)
    z_BZ = engine.thought_vectors(asked)
    # A copy of the architecture that training uses, in float64, scores what the engine drew.
    exact = copy.deepcopy(bundle.decoder).double()
    for row, z_Z, decoded in zip(asked, z_BZ, engine.decode(asked), strict=True):
        targets = [*decoded.ids, *([EOS_ID] if decoded.finished else [])]
        inputs = torch.tensor([BOS_ID, *targets[:-1]])
        genres = exact.embed_genres(torch.tensor(row.genres or (0,)), torch.tensor([0]))
        context = torch.cat((z_Z.double().unsqueeze(0), genres), dim=1)
        projected = exact(exact.token_embedding(inputs).unsqueeze(1), context)
        log_probs = torch.log_softmax(exact.logits(projected[:, 0]), dim=1)
        expected = float(log_probs[range(len(targets)), targets].sum())
        assert decoded.log_prob == pytest.approx(expected, abs=1e-4)
        assert decoded.token_count == len(targets)


@settings(max_examples=30, deadline=None)
@given(st.lists(rows, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_row_decodes_the_same_alone_and_in_any_batch_in_any_order(asked: list[Row], random: Any) -> None:
    engine = Engine(tiny_bundle(generator=True))
    together = engine.decode(asked)
    for row, decoded in zip(asked, together, strict=True):
        assert _same(engine.decode([row])[0], decoded)
    order = list(range(len(asked)))
    random.shuffle(order)
    for place, decoded in zip(order, engine.decode([asked[place] for place in order]), strict=True):
        assert _same(together[place], decoded)


def test_more_rows_than_one_decode_takes_come_back_in_order_and_as_they_are_alone(bundle: Bundle) -> None:
    engine = Engine(bundle)
    asked = _some_rows(MAX_ROWS_PER_DECODE + 88)
    together = engine.decode(asked)
    assert len(together) == len(asked)
    for place in (0, 1, 300, MAX_ROWS_PER_DECODE - 1, MAX_ROWS_PER_DECODE, len(asked) - 1):
        assert _same(engine.decode([asked[place]])[0], together[place])


def test_given_thought_vectors_are_used_as_they_are_row_by_row(moving_bundle: Bundle) -> None:
    engine = Engine(moving_bundle)
    asked = _some_rows(MAX_ROWS_PER_DECODE + 5)
    own = engine.thought_vectors(asked)
    assert engine.decode(asked, own) == engine.decode(asked)
    assert engine.decode(asked, torch.zeros_like(own)) != engine.decode(asked)


def test_thought_vectors_come_from_the_prior_by_the_first_numbers_of_the_seed(bundle: Bundle) -> None:
    z_BZ = Engine(bundle).thought_vectors(_some_rows(2000))
    expected = standard_normals(row_uniforms([derive_seed(99, i) for i in range(2000)], 6)).float()
    assert torch.equal(z_BZ, expected)
    assert abs(float(z_BZ.mean())) < 0.05
    assert abs(float(z_BZ.std()) - 1) < 0.05


def test_a_generator_moves_the_priors_vectors_to_the_desired_topic(moving_bundle: Bundle) -> None:
    asked = _some_rows(20)
    engine = Engine(moving_bundle)
    assert moving_bundle.generator is not None
    prior = standard_normals(row_uniforms([row.seed for row in asked], 6)).float()
    target = torch.zeros(20, 3)
    target[:, moving_bundle.topics.desired] = 1
    expected = moving_bundle.generator(prior, engine.embed_genres(asked), target)
    assert torch.allclose(engine.thought_vectors(asked), expected, atol=1e-6)


def test_a_row_has_the_defaults_of_a_request() -> None:
    request, row = CommentaryRequest(genres=()), Row(genres=(), seed=0)
    for name in ("temperature", "top_k", "top_p", "min_p", "max_tokens"):
        assert getattr(row, name) == getattr(request, name)


def test_no_rows_decode_to_nothing(bundle: Bundle) -> None:
    assert Engine(bundle).decode([]) == []


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.lists(rows, min_size=1, max_size=20))
def test_every_sentence_keeps_the_rules_of_writing(model: int, asked: list[Row]) -> None:
    # Placeholders are made likely, so that the rule against repeating them is put to work.
    bundle = tiny_bundle(seed=model, num_words=20, placeholder_bias=4.0, scale=1.0)
    for row, decoded in zip(asked, Engine(bundle).decode(asked), strict=True):
        ids = decoded.ids
        assert not {PAD_ID, BOS_ID, UNK_ID, EOS_ID} & set(ids)
        assert all(one != next_ for one, next_ in pairwise(ids))
        for forms in bundle.vocabulary.placeholder_ids():
            assert sum(number in forms for number in ids) <= 1
        assert 1 <= len(ids) <= row.max_tokens
        assert decoded.token_count == len(ids) + decoded.finished
        assert decoded.token_count <= row.max_tokens
        assert decoded.finished or len(ids) == row.max_tokens
        assert decoded.log_prob < 0


def test_the_rules_hold_even_when_the_model_wants_nothing_but_what_is_forbidden() -> None:
    bundle = tiny_bundle(num_words=2, placeholder_bias=12.0, end_bias=-30.0)
    with torch.no_grad():
        bundle.decoder.output_bias[[PAD_ID, BOS_ID, UNK_ID]] = 50.0
    for decoded in Engine(bundle).decode(_some_rows(50, max_tokens=30)):
        assert not {PAD_ID, BOS_ID, UNK_ID} & set(decoded.ids)
        assert len(decoded.ids) == 30
        for forms in bundle.vocabulary.placeholder_ids():
            assert sum(number in forms for number in decoded.ids) == 1


def test_greedy_rows_write_the_same_whatever_their_tokens_random_numbers(bundle: Bundle) -> None:
    z_BZ = torch.zeros(40, 6)
    texts = {each.ids for each in Engine(bundle).decode(_some_rows(40, temperature=0, genres=(), max_tokens=20), z_BZ)}
    assert len(texts) == 1


def test_genres_and_seeds_change_what_is_written(bundle: Bundle) -> None:
    engine = Engine(bundle)
    by_seed = {each.ids for each in engine.decode([Row(genres=(1,), seed=seed) for seed in range(30)])}
    assert len(by_seed) > 25
    for genres in ((2,), (1, 2), ()):
        other = engine.decode([Row(genres=genres, seed=seed) for seed in range(30)])
        assert len(by_seed & {each.ids for each in other}) < 20


class _CountingEngine(Engine):
    """Notes the rows of each step's products."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.steps: list[int] = []

    def _advance(self, live: _Live) -> Tensor:
        projected = super()._advance(live)
        assert len(live.hidden) == len(live.cell) == len(projected)
        self.steps.append(len(projected))
        return projected


def test_finished_rows_leave_and_no_step_is_taken_without_rows(bundle: Bundle) -> None:
    engine = _CountingEngine(bundle)
    decoded = engine.decode(_some_rows(200))
    longest = max(each.token_count for each in decoded)
    assert engine.steps == [sum(each.token_count > step for each in decoded) for step in range(longest)]
    assert engine.steps[0] == 200
    assert engine.steps[-1] < 200


def test_a_decode_leaves_the_bundle_as_it_was(moving_bundle: Bundle) -> None:
    before = {name: tensor.clone() for name, tensor in moving_bundle.decoder.state_dict().items()}
    Engine(moving_bundle).decode(_some_rows(8))
    assert all(torch.equal(before[name], tensor) for name, tensor in moving_bundle.decoder.state_dict().items())


@pytest.mark.parametrize("name", ["bundle", "moving_bundle"])
def test_the_genres_log_odds_are_the_difference_to_the_decoder_without_genres(
    name: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    engine = Engine(bundle)
    asked = _some_rows(40)
    z_BZ = engine.thought_vectors(asked)
    decoded = engine.decode(asked)
    odds = engine.genre_log_odds(asked, decoded)
    exact = copy.deepcopy(bundle.decoder).double()
    for row, z_Z, each, value in zip(asked, z_BZ, decoded, odds, strict=True):
        targets = [*each.ids, *([EOS_ID] if each.finished else [])]
        inputs = torch.tensor([BOS_ID, *targets[:-1]])
        log_prob = []
        for genres in (row.genres or (0,), (0,)):
            context = torch.cat(
                (z_Z.double().unsqueeze(0), exact.embed_genres(torch.tensor(genres), torch.tensor([0]))), 1
            )
            logits = exact.logits(exact(exact.token_embedding(inputs).unsqueeze(1), context)[:, 0])
            log_prob.append(float(logits.log_softmax(1)[range(len(targets)), targets].sum()))
        assert value == pytest.approx(log_prob[0] - log_prob[1], abs=1e-3)
        assert row.genres or value == 0
    assert engine.genre_log_odds(asked, decoded, z_BZ) == pytest.approx(odds, abs=1e-4)
    assert engine.genre_log_odds([], []) == []
