from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from handlers.contract import CommentaryRequest, SamplingParams
from handlers.decoding.engine import DEFAULT_SLOTS, DecodedSequence, Engine, SequenceSpec
from handlers.decoding.folded import Started
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed, row_uniforms, standard_normals
from handlers.decoding.slots import TOKEN, Slots
from handlers.decoding.step import Step
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import BOS_ID, EOS_ID, PAD_ID, SPECIALS, UNK_ID, Vocabulary
from tests.examples import examples
from tests.handlers.flat import spec
from tests.handlers.float64_reference import Reference
from tests.handlers.tiny_bundles import GENRES, tiny_bundle

HALF = "fbgemm" in torch.backends.quantized.supported_engines

rows = st.builds(
    SequenceSpec,
    genres=st.lists(st.integers(1, len(GENRES)), max_size=3).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    sampling=st.builds(
        SamplingParams,
        temperature=st.sampled_from([0.0, 0.5, 0.8, 1.5]),
        top_k=st.sampled_from([0, 1, 5, 40]),
        top_p=st.sampled_from([0.3, 0.92, 1.0]),
        min_p=st.sampled_from([0.0, 0.1]),
        max_tokens=st.integers(1, 30),
    ),
)


def _some_rows(count: int, **changes: Any) -> list[SequenceSpec]:
    return [
        spec(
            **{"genres": (1 + i % 5,) if i % 3 else (), "seed": derive_seed(99, i), "max_tokens": 1 + i % 40, **changes}
        )
        for i in range(count)
    ]


PRECISIONS = [
    pytest.param(
        each, marks=pytest.mark.skipif(each in (Precision.FP16, Precision.INT8) and not HALF, reason="needs FBGEMM")
    )
    for each in Precision
]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["bundle", "moving_bundle"])
def test_the_decode_has_the_log_probabilities_of_a_plain_float64_reference(
    name: str, precision: Precision, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    engine, reference = Engine(bundle, precision=precision), Reference(bundle, precision)
    asked = _some_rows(60)
    z_BZ = engine.latent_vectors(asked)
    # Inputs that are rounded the other way, for a last digit of float32, move a logit by that much.
    close = 0.1 if precision in (Precision.BF16, Precision.INT8) else 2e-4
    for row, z_Z, decoded in zip(asked, z_BZ, engine.decode(asked), strict=True):
        targets = [*decoded.ids, *([EOS_ID] if decoded.finished else [])]
        log_probs = reference.log_probs(z_Z, row.genres, targets)
        assert decoded.log_prob == pytest.approx(float(log_probs[range(len(targets)), targets].sum()), abs=close)
        assert decoded.token_count == len(targets)
        assert decoded.token_log_probs == pytest.approx(log_probs[range(len(targets)), targets].tolist(), abs=close)


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("count", [1, 30])
def test_the_log_probabilities_of_the_tokens_are_the_terms_of_the_sentences(
    bundle: Bundle, guidance: float, count: int
) -> None:
    for decoded in Engine(bundle).decode(_some_rows(count, guidance=guidance, max_tokens=20)):
        assert len(decoded.token_log_probs) == decoded.token_count
        assert max(decoded.token_log_probs) < 0
        assert math.fsum(decoded.token_log_probs) == pytest.approx(decoded.log_prob, abs=1e-12)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_step_has_the_distribution_of_a_plain_float64_reference(bundle: Bundle, precision: Precision) -> None:
    engine, reference = Engine(bundle, precision=precision, compiled=False), Reference(bundle, precision)
    rows, size = _some_rows(21), len(bundle.vocabulary)
    z_BZ = engine.latent_vectors(rows)
    context = reference.context(z_BZ, [row.genres for row in rows])
    written = torch.randint(4, size, (21, 15), generator=torch.Generator().manual_seed(0))
    step = engine._parts.step
    assert isinstance(step, Step)
    with torch.inference_mode():
        started = engine._folded.start(torch.cat((z_BZ, engine.embed_genres(rows)), dim=1))
        waiting = engine._slots(rows, started, 15)
        slots = waiting.resized(step.invariant_batch_size(21))
        slots.copy(range(21), waiting, range(21))
        before = torch.full((21,), BOS_ID)
        for place in range(15):
            # From the engine's own state: a step's error, and not what all steps before it add up to.
            state = slots.hidden_SH[:21].double() * 2, slots.cell_SH[:21].double() / 2
            (hidden, cell), expected = reference.step(state, before, context)
            log2 = step.log2_odds(step.advance(slots), 17)
            log_probs = torch.log_softmax(log2.double() * math.log(2), dim=1)[:, :size]
            assert torch.allclose(log_probs, expected[:17], atol=2e-5)
            assert torch.allclose(slots.hidden_SH[:21].double() * 2, hidden, atol=2e-6)
            assert torch.allclose(slots.cell_SH[:21].double() / 2, cell, atol=2e-6)
            before = written[:, place]
            slots.state_FS[TOKEN, :21] = before.numpy()


@pytest.mark.skipif(not HALF, reason="needs FBGEMM")
@pytest.mark.parametrize(("precision", "most"), [(Precision.FP16, 0.01), (Precision.INT8, 0.1)])
def test_a_precision_moves_a_log_probability_by_little(bundle: Bundle, precision: Precision, most: float) -> None:
    exact, other = Reference(bundle, Precision.FP32), Reference(bundle, precision)
    tokens = torch.randint(4, len(bundle.vocabulary), (30,), generator=torch.Generator().manual_seed(1)).tolist()
    z_Z = torch.randn(6, generator=torch.Generator().manual_seed(2))
    moved = (exact.log_probs(z_Z, (1,), tokens) - other.log_probs(z_Z, (1,), tokens)).abs()
    assert 0 < float(moved.max()) < most


@pytest.mark.slow
@examples(15)
@given(st.lists(rows, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 20))
def test_a_row_decodes_the_same_to_the_last_bit_alone_and_in_any_batch_order_and_number_of_slots(
    asked: list[SequenceSpec], random: Any, slots: int
) -> None:
    bundle = tiny_bundle(generator=True)
    together = Engine(bundle).decode(asked)
    narrow = Engine(bundle, slots=slots)
    assert [_one(narrow, row) for row in asked] == together
    order = list(range(len(asked)))
    random.shuffle(order)
    assert narrow.decode([asked[place] for place in order]) == [together[place] for place in order]


@pytest.mark.slow
def test_a_row_of_a_model_of_real_size_decodes_the_same_to_the_last_bit_in_random_batches() -> None:
    # Rounding depends on the sizes of products: tiny ones might agree by chance.
    bundle = tiny_bundle(num_words=3000, sizes={"embedding_size": 64, "hidden_size": 192, "z_size": 16}, scale=1.0)
    asked = _some_rows(90, top_p=0.92, max_tokens=12)
    together = Engine(bundle).decode(asked)
    random = np.random.default_rng(0)
    engines = [Engine(bundle, slots=slots) for slots in (1, 7, 33, 128)]
    for number in range(24):
        chosen = random.choice(90, size=random.integers(1, 3 if number % 2 else 70), replace=False)
        found = engines[number % 4].decode([asked[place] for place in chosen])
        assert found == [together[place] for place in chosen]


class _CountingEngine(Engine):
    """Notes how many rows were made ready at a time."""

    made: list[int]

    def _slots(self, rows: Sequence[SequenceSpec], started: Started, num_steps: int) -> Slots:
        self.made.append(len(rows))
        return super()._slots(rows, started, num_steps)


class _CountingStep(Step):
    """Notes the rows of each step's products."""

    taken: list[int]

    def advance(self, slots: Slots) -> Tensor:
        self.taken.append(len(slots))
        return super().advance(slots)


def _counting(bundle: Bundle, slots: int) -> tuple[_CountingEngine, list[int]]:
    engine = _CountingEngine(bundle, slots=slots, compiled=False)
    engine.made = []
    step = _CountingStep(engine._folded, engine.precision)
    step.taken = []
    engine._parts = dataclasses.replace(engine._parts, step=step)
    return engine, step.taken


def _one(engine: Engine, row: SequenceSpec) -> DecodedSequence:
    return engine.decode([row])[0]


def test_rows_that_wait_take_the_slots_of_rows_that_end(bundle: Bundle) -> None:
    engine, taken = _counting(bundle, 16)
    asked = _some_rows(300)
    decoded = engine.decode(asked)
    tokens = sum(each.token_count for each in decoded)
    # No slot is empty until no row waits, and then the longest that is left has at most 40 tokens to go.
    assert len(taken) <= tokens / 16 + 40
    assert [_one(engine, row) for row in asked[::37]] == decoded[::37]


def test_memory_is_bounded_by_slots_and_not_by_rows(bundle: Bundle) -> None:
    engine, taken = _counting(bundle, 16)
    engine.decode(_some_rows(500, max_tokens=3))
    assert max(engine.made) == 16
    assert sum(engine.made) == 500
    assert max(taken) == engine._parts.step.invariant_batch_size(16)


def test_no_step_is_taken_for_rows_that_have_ended(bundle: Bundle) -> None:
    engine, taken = _counting(bundle, 128)
    decoded = engine.decode(_some_rows(100))
    longest = max(each.token_count for each in decoded)
    live = [sum(each.token_count > step for each in decoded) for step in range(longest)]
    assert taken == [engine._parts.step.invariant_batch_size(count) for count in live]


@pytest.mark.parametrize("slots", [0, -1, 241])
def test_a_number_of_slots_that_there_cannot_be_is_refused(bundle: Bundle, slots: int) -> None:
    with pytest.raises(ValueError, match=f"slots must be between 1 and 240, got {slots}"):
        Engine(bundle, slots=slots)


def test_a_row_that_may_write_nothing_ends_with_a_finite_log_probability() -> None:
    # A quotation is open and nothing but a quotation mark with a space exists: it may not come, nor may the end.
    bundle = tiny_bundle(vocabulary=Vocabulary(tokens=(*SPECIALS, ' "')), end_bias=-5.0)
    with torch.no_grad():
        bundle.decoder.output_bias.zero_()
    for temperature in (0.0, 0.8):
        decoded = _one(
            Engine(bundle), SequenceSpec(genres=(), seed=1, sampling=SamplingParams(temperature=temperature))
        )
        assert (decoded.ids, decoded.finished) == ((4,), True)
        assert -1000 < decoded.log_prob < 0


def test_given_thought_vectors_are_used_as_they_are_row_by_row(moving_bundle: Bundle) -> None:
    engine = Engine(moving_bundle)
    asked = _some_rows(DEFAULT_SLOTS + 5)
    own = engine.latent_vectors(asked)
    assert engine.decode(asked, own) == engine.decode(asked)
    assert engine.decode(asked, torch.zeros_like(own)) != engine.decode(asked)


def test_thought_vectors_come_from_the_prior_by_the_first_numbers_of_the_seed(bundle: Bundle) -> None:
    z_BZ = Engine(bundle).latent_vectors(_some_rows(2000))
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
    assert torch.allclose(engine.latent_vectors(asked), expected, atol=1e-6)


def test_a_row_has_the_defaults_of_a_request() -> None:
    request, row = CommentaryRequest(genres=()), SequenceSpec(genres=(), seed=0)
    assert row.sampling == request.sampling


def test_no_rows_decode_to_nothing(bundle: Bundle) -> None:
    assert Engine(bundle).decode([]) == []


@examples(25)
@given(st.integers(0, 5), st.lists(rows, min_size=1, max_size=20))
def test_every_sentence_keeps_the_rules_of_writing(model: int, asked: list[SequenceSpec]) -> None:
    # Placeholders are made likely, so that the rule against repeating them is put to work.
    bundle = tiny_bundle(seed=model, num_words=20, placeholder_bias=4.0, scale=1.0)
    for row, decoded in zip(asked, Engine(bundle).decode(asked), strict=True):
        ids = decoded.ids
        assert not {PAD_ID, BOS_ID, UNK_ID, EOS_ID} & set(ids)
        assert all(one != next_ for one, next_ in pairwise(ids))
        for forms in bundle.vocabulary.placeholder_ids():
            assert sum(number in forms for number in ids) <= 1
        assert 1 <= len(ids) <= row.sampling.max_tokens
        assert decoded.token_count == len(ids) + decoded.finished
        assert decoded.token_count <= row.sampling.max_tokens
        assert decoded.finished or len(ids) == row.sampling.max_tokens
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
    by_seed = {each.ids for each in engine.decode([SequenceSpec(genres=(1,), seed=seed) for seed in range(30)])}
    assert len(by_seed) > 25
    for genres in ((2,), (1, 2), ()):
        other = engine.decode([SequenceSpec(genres=genres, seed=seed) for seed in range(30)])
        assert len(by_seed & {each.ids for each in other}) < 20


def test_a_decode_leaves_the_bundle_as_it_was(moving_bundle: Bundle) -> None:
    before = {name: tensor.clone() for name, tensor in moving_bundle.decoder.state_dict().items()}
    Engine(moving_bundle).decode(_some_rows(8))
    assert all(torch.equal(before[name], tensor) for name, tensor in moving_bundle.decoder.state_dict().items())


@pytest.mark.parametrize("name", ["bundle", "moving_bundle"])
def test_the_genres_log_odds_are_the_difference_to_the_decoder_without_genres(
    name: str, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(name)
    engine = Engine(bundle, precision=Precision.FP32)
    asked = _some_rows(40)
    z_BZ = engine.latent_vectors(asked)
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
