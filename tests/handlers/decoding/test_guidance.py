from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.decoding.matmul import Precision
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.vocabulary import BOS_ID, EOS_ID, SPECIALS
from tests.examples import examples
from tests.handlers.flat import changed, spec
from tests.handlers.tiny_bundles import GENRES, tiny_bundle


def _strong(seed: int = 0, **changes: Any) -> Bundle:
    """A model whose genres say much."""
    bundle = tiny_bundle(seed=seed, **changes)
    with torch.no_grad():
        bundle.decoder.genre_embedding.weight.mul_(3)
    return bundle


def _rows(count: int, **changes: Any) -> list[SequenceSpec]:
    return [
        spec(**{"genres": (1 + i % 5,), "seed": derive_seed(5, i), "max_tokens": 4 + i % 30, **changes})
        for i in range(count)
    ]


class _Decoder64:
    """One sequence in float64, a token at a time."""

    def __init__(self, bundle: Bundle, z_Z: Tensor, genres: tuple[int, ...]) -> None:
        self._decoder = copy.deepcopy(bundle.decoder).double()
        embedded = self._decoder.embed_genres(torch.tensor(genres or (0,)), torch.tensor([0]))
        self._context = torch.cat((z_Z.double().unsqueeze(0), embedded), dim=1)

    def log_probs(self, ids: list[int]) -> Tensor:
        """Of the next token."""
        inputs = self._decoder.token_embedding(torch.tensor([BOS_ID, *ids])).unsqueeze(1)
        return self._decoder.logits(self._decoder(inputs, self._context)[-1, 0]).log_softmax(0)


@pytest.mark.parametrize("guidance", [0.0, 0.5, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("generator", [False, True])
def test_a_guided_decode_is_that_of_two_plain_float64_decoders(guidance: float, generator: bool) -> None:
    bundle = _strong(seed=2, generator=generator, num_words=30)
    engine = Engine(bundle, precision=Precision.FP32)
    asked = _rows(20, guidance=guidance, temperature=0, max_tokens=12)
    forms = bundle.vocabulary.placeholder_ids()
    clear = 0
    for row, z_Z, decoded in zip(asked, engine.latent_vectors(asked), engine.decode(asked), strict=True):
        own, shadow = _Decoder64(bundle, z_Z, row.genres), _Decoder64(bundle, z_Z, ())
        ids: list[int] = []
        log_prob, lead = 0.0, math.inf
        while len(ids) < 12 and (not ids or ids[-1] != EOS_ID):
            with_genres, without = own.log_probs(ids), shadow.log_probs(ids)
            score = without + guidance * (with_genres - without)
            written = [form for pair in forms if set(pair) & set(ids) for form in pair]
            forbidden = {*range(len(SPECIALS)), *ids[-1:], *written} - ({EOS_ID} if ids else set())
            score[list(forbidden)] = -math.inf
            best, second = score.topk(2).values
            lead = min(lead, float(best - second))
            ids.append(int(score.argmax()))
            log_prob += float(with_genres[ids[-1]])
        finished = ids[-1] == EOS_ID
        if lead < 1e-4 * (1 + guidance):
            continue
        assert (decoded.ids, decoded.finished) == (tuple(ids[: len(ids) - finished]), finished)
        # The model's own, whatever it was drawn by.
        assert decoded.log_prob == pytest.approx(log_prob, abs=1e-3)
        clear += 1
    assert clear >= 15


@pytest.mark.parametrize("guidance", [0.0, 0.7, 2.5])
def test_tokens_come_as_often_as_two_plain_float64_decoders_say(guidance: float) -> None:
    bundle = _strong(seed=4, num_words=30)
    count = 6000
    asked = _rows(count, genres=(2,), guidance=guidance, temperature=0.8, top_p=1.0, max_tokens=1)
    z_Z = torch.zeros(6)
    drawn = [decoded.ids[0] for decoded in Engine(bundle).decode(asked, z_Z.expand(count, -1))]
    with_genres, without = (_Decoder64(bundle, z_Z, genres).log_probs([]) for genres in ((2,), ()))
    score = without + guidance * (with_genres - without)
    score[: len(SPECIALS)] = -math.inf
    expected = (score / 0.8).softmax(0).numpy() * count
    frequent = expected >= 5
    observed = np.bincount(drawn, minlength=len(expected))
    parts = [np.append(each[frequent], each[~frequent].sum()) for each in (observed, expected)]
    statistic = ((parts[0] - parts[1]) ** 2 / np.maximum(parts[1], 1e-9)).sum()
    p_value = torch.special.gammaincc(torch.tensor(frequent.sum() / 2), torch.tensor(statistic / 2))
    assert float(p_value) > 0.01


rows = st.builds(
    SequenceSpec,
    genres=st.lists(st.integers(1, len(GENRES)), max_size=3).map(tuple),
    seed=st.integers(0, 2**63 - 1),
    sampling=st.builds(
        SamplingParams,
        temperature=st.sampled_from([0.0, 0.5, 0.8, 1.5]),
        top_k=st.sampled_from([0, 0, 5]),
        top_p=st.sampled_from([0.3, 0.92, 1.0]),
        min_p=st.sampled_from([0.0, 0.1]),
        max_tokens=st.integers(12, 30),
        guidance=st.sampled_from([1.0, 1.0, 0.0, 1.5, 4.0, 2]),
        min_tokens=st.sampled_from([0, 0, 12]),
        no_repeat_ngram_size=st.sampled_from([0, 0, 2, 3]),
        bad_words=st.sampled_from([(), (), ("wa", "wb", "wcx"), ("wd",)]),
    ),
)


@pytest.mark.slow
@examples(15)
@given(st.lists(rows, min_size=1, max_size=12), st.randoms(use_true_random=False), st.integers(1, 20))
def test_rows_of_every_kind_decode_the_same_to_the_last_bit_alone_and_in_any_batch_order_and_number_of_slots(
    asked: list[SequenceSpec], random: Any, slots: int
) -> None:
    bundle = tiny_bundle(generator=True)
    together = Engine(bundle).decode(asked)
    narrow = Engine(bundle, slots=slots)
    assert [narrow.decode([row])[0] for row in asked] == together
    order = list(range(len(asked)))
    random.shuffle(order)
    assert narrow.decode([asked[place] for place in order]) == [together[place] for place in order]


@pytest.mark.slow
@pytest.mark.parametrize("precision", [Precision.FP32, None])
def test_guided_rows_of_a_model_of_real_size_decode_the_same_to_the_last_bit_in_random_batches(
    precision: Precision | None,
) -> None:
    bundle = tiny_bundle(num_words=3000, sizes={"embedding_size": 64, "hidden_size": 192, "z_size": 16}, scale=1.0)
    asked = [changed(row, guidance=1 + i % 3) for i, row in enumerate(_rows(60, max_tokens=12))]
    together = Engine(bundle, precision=precision).decode(asked)
    random = np.random.default_rng(0)
    engines = [Engine(bundle, slots=slots, precision=precision) for slots in (1, 7, 33, 128)]
    for number in range(10):
        chosen = random.choice(60, size=random.integers(1, 3 if number % 2 else 50), replace=False)
        found = engines[number % 4].decode([asked[place] for place in chosen])
        assert found == [together[place] for place in chosen]


def test_guidance_of_1_and_guidance_without_genres_are_no_guidance(bundle: Bundle) -> None:
    engine = Engine(bundle)
    plain = _rows(30)
    assert engine.decode([changed(row, guidance=1) for row in plain]) == engine.decode(plain)
    bare = _rows(30, genres=())
    assert engine.decode([changed(row, guidance=3.0) for row in bare]) == engine.decode(bare)


def test_guidance_of_0_writes_what_the_model_writes_without_genres(bundle: Bundle) -> None:
    engine = Engine(bundle)
    found = engine.decode(_rows(40, guidance=0.0))
    expected = engine.decode(_rows(40, genres=()))
    assert [each.ids for each in found] == [each.ids for each in expected]


def test_more_guidance_lets_the_genres_say_more_for_a_sentence() -> None:
    bundle = _strong()
    engine = Engine(bundle)
    means = []
    for guidance in (0.0, 1.0, 2.0, 4.0):
        asked = _rows(200, guidance=guidance)
        means.append(float(np.mean(engine.genre_log_odds(asked, engine.decode(asked)))))
    assert means == sorted(means)
    assert means[0] < means[1] - 0.1 < means[2] - 0.2


def test_given_thought_vectors_reach_guided_and_other_rows_alike(moving_bundle: Bundle) -> None:
    engine = Engine(moving_bundle)
    asked = [changed(row, guidance=1 + i % 2) for i, row in enumerate(_rows(30))]
    own = engine.latent_vectors(asked)
    assert engine.decode(asked, own) == engine.decode(asked)
    assert engine.decode(asked, torch.zeros_like(own)) != engine.decode(asked)
