"""Values of sentences: the sum that they should be, the same in every batch."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from handlers.model.bundle import Bundle
from handlers.model.topics import topic_words
from handlers.model.value import SentenceValue
from handlers.model.vocabulary import EOS_ID
from handlers.ranking.values import Values, probability
from tests.handlers.valuing import sentence_value


def _values(bundle: Bundle, function: SentenceValue | None = None) -> Values:
    return Values(function or sentence_value(bundle), bundle.decoder.token_embedding.weight, bundle.vocabulary)


def _texts(bundle: Bundle, count: int, *, longest: int = 30) -> list[str]:
    generator = np.random.default_rng(2)
    tokens = bundle.vocabulary.tokens[4:]
    return ["".join(generator.choice(tokens, generator.integers(0, longest))).strip() for _ in range(count)]


def _expected(bundle: Bundle, function: SentenceValue, text: str, shares: list[float]) -> float:
    """The log odds by torch's own LSTM."""
    hidden, size = len(function.state_H), function.embedding_size
    lstm = torch.nn.LSTM(size, hidden)
    with torch.no_grad():
        lstm.load_state_dict(
            {
                "weight_ih_l0": function.gates_GI[:, :size],
                "weight_hh_l0": function.gates_GI[:, size:],
                "bias_ih_l0": function.bias_G,
                "bias_hh_l0": torch.zeros_like(function.bias_G),
            }
        )
        ids = torch.tensor([*bundle.vocabulary.encode(text), EOS_ID])
        state_H = lstm(bundle.decoder.token_embedding.weight[ids])[0][-1].double()
    found = topic_words(text)
    columns = sorted({function.words.index(word) for word in found if word in function.words})
    rarity = function.rarity_W[columns]
    words = float((function.words_W[columns] * rarity).sum() / max(float(rarity.norm()), 1e-9))
    topics = float((function.topics_K * torch.tensor(shares).double().clamp_min(1e-3).log()).sum())
    length = float(function.length_1) * len(found)
    return float(function.state_H @ state_H) + topics + length + words + float(function.constant_1)


def test_the_log_odds_are_the_weighted_sum_of_state_topics_length_and_words(bundle: Bundle) -> None:
    texts = _texts(bundle, 60)
    shares = np.random.default_rng(3).dirichlet([0.1] * 3, 60).tolist()
    assert any(share < 1e-3 for each in shares for share in each)
    function = sentence_value(bundle)
    found = _values(bundle, function).log_odds(texts, shares)
    expected = [_expected(bundle, function, *each) for each in zip(texts, shares, strict=True)]
    assert found == pytest.approx(expected, abs=1e-5)
    assert np.std(found) > 0.5


@pytest.mark.parametrize("hidden", [7, 24, 64])
def test_a_value_is_the_same_in_every_batch_to_the_last_bit(bundle: Bundle, hidden: int) -> None:
    values = _values(bundle, sentence_value(bundle, hidden=hidden))
    texts = _texts(bundle, 90)
    shares = np.random.default_rng(3).dirichlet([1.0] * 3, 90).tolist()
    whole = values.log_odds(texts, shares)
    generator = np.random.default_rng(4)
    for size in (1, 1, 2, 3, 5, 16, 31, 33, 64):
        chosen = generator.choice(90, size, replace=False)
        part = values.log_odds([texts[number] for number in chosen], [shares[number] for number in chosen])
        assert part == [whole[number] for number in chosen]


def test_no_sentences_have_no_values_and_an_empty_one_has_one(bundle: Bundle) -> None:
    values = _values(bundle)
    assert values.log_odds([], []) == []
    (empty,) = values.log_odds([""], [[1.0, 0.0, 0.0]])
    assert math.isfinite(empty)


def test_words_that_the_function_does_not_know_only_count_for_the_length(bundle: Bundle) -> None:
    function = dataclasses.replace(
        sentence_value(bundle), words=(), words_W=torch.zeros(0).double(), rarity_W=torch.zeros(0).double()
    )
    texts = _texts(bundle, 5)
    shares = [[1.0, 0.0, 0.0]] * 5
    expected = [_expected(bundle, function, *each) for each in zip(texts, shares, strict=True)]
    assert _values(bundle, function).log_odds(texts, shares) == pytest.approx(expected, abs=1e-5)


def test_a_probability_is_within_0_and_1_for_any_odds() -> None:
    assert [probability(odds) for odds in (-1e9, 0.0, 1e9)] == [0.0, 0.5, 1.0]
    assert probability(-2.0) + probability(2.0) == pytest.approx(1.0)
