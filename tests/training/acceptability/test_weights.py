from __future__ import annotations

import numpy as np
import pytest

from training.acceptability.samples import Sentences
from training.acceptability.weights import Kinds


def _sentences(count: int, *, share_of_first: float, mean_length: float, seed: int) -> Sentences:
    """Sentences of two topics, of which the first has long sentences."""
    random = np.random.default_rng(seed)
    first = random.random(count) < share_of_first
    lengths = random.poisson(np.where(first, mean_length + 6, mean_length)) + 1
    share = np.where(first, random.uniform(0.6, 0.95, count), random.uniform(0.05, 0.4, count))
    return Sentences(
        ids=[tuple(range(4, 4 + length)) for length in lengths],
        topics_NK=np.stack([share, 1 - share], axis=1).astype(np.float32),
    )


REAL = _sentences(4_000, share_of_first=0.25, mean_length=12, seed=1)
SAMPLES = _sentences(2_500, share_of_first=0.75, mean_length=10, seed=2)


def test_weighted_real_sentences_have_the_topics_and_lengths_of_samples() -> None:
    weights = Kinds.of(REAL, SAMPLES).weights(REAL)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() > 0
    for real, samples in (
        (REAL.topics_NK[:, 0], SAMPLES.topics_NK[:, 0]),
        (REAL.lengths(), SAMPLES.lengths()),
        (REAL.lengths() > 14, SAMPLES.lengths() > 14),
    ):
        target = samples.mean()
        assert abs(np.average(real, weights=weights) - target) < abs(real.mean() - target) / 5


def test_sentences_that_are_alike_keep_their_weights() -> None:
    same = _sentences(4_000, share_of_first=0.25, mean_length=12, seed=3)
    weights = Kinds.of(REAL, same).weights(REAL)
    assert np.abs(weights - 1).mean() < 0.1


def test_no_sentence_of_a_rare_kind_decides() -> None:
    samples = _sentences(2_500, share_of_first=1.0, mean_length=30, seed=4)
    weights = Kinds.of(REAL, samples).weights(REAL)
    assert weights.max() / weights.sum() < 0.02


def test_values_that_follow_the_kind_are_explained_and_others_are_not() -> None:
    kinds = Kinds.of(REAL, SAMPLES)
    noise = np.random.default_rng(5).normal(size=len(SAMPLES))
    assert kinds.explained(SAMPLES, noise) < 0.02
    assert kinds.explained(SAMPLES, SAMPLES.topics_NK[:, 0].astype(np.float64)) > 0.99
    assert 0.3 < kinds.explained(SAMPLES, (SAMPLES.lengths() - 14) / 4.0 + noise) < 0.9
