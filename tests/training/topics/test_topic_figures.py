"""Figures of topics against the formulas of the papers, written out word by word."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from training.topics.figures import jensen_shannon, places_on_a_plane, relevance, relevant_words, saliency

GENERATOR = np.random.default_rng(5)
SHARES_KW = GENERATOR.dirichlet(np.full(40, 0.2), size=4)
SHARES_K = np.array([0.1, 0.2, 0.3, 0.4])


def _overall(word: int) -> float:
    return float(sum(SHARES_K[topic] * SHARES_KW[topic, word] for topic in range(4)))


@pytest.mark.parametrize("weight", [0, 0.6, 1])
def test_relevance_is_that_of_sievert_and_shirley(weight: float) -> None:
    found_KW = relevance(SHARES_KW, SHARES_K, weight)
    for topic in range(4):
        for word in range(40):
            share = float(SHARES_KW[topic, word])
            expected = weight * math.log(share) + (1 - weight) * math.log(share / _overall(word))
            assert found_KW[topic, word] == pytest.approx(expected)


def test_saliency_is_that_of_chuang_manning_and_heer() -> None:
    found_W = saliency(SHARES_KW, SHARES_K)
    for word in range(40):
        given = [float(SHARES_K[topic] * SHARES_KW[topic, word]) / _overall(word) for topic in range(4)]
        divergence = sum(part * math.log(part / SHARES_K[topic]) for topic, part in enumerate(given))
        assert found_W[word] == pytest.approx(_overall(word) * divergence)


def test_divergences_are_squares_of_scipys_distance() -> None:
    found_KK = jensen_shannon(SHARES_KW)
    for first in range(4):
        for second in range(4):
            assert found_KK[first, second] == pytest.approx(jensenshannon(SHARES_KW[first], SHARES_KW[second]) ** 2)


def test_places_keep_the_distances_of_what_lies_on_a_plane() -> None:
    given_K2 = GENERATOR.normal(size=(6, 2))
    squared_KK = ((given_K2[:, None] - given_K2[None]) ** 2).sum(axis=2)
    places_K2, explained_2 = places_on_a_plane(squared_KK)
    assert ((places_K2[:, None] - places_K2[None]) ** 2).sum(axis=2) == pytest.approx(squared_KK)
    assert explained_2.sum() == pytest.approx(1)
    assert explained_2[0] >= explained_2[1]
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in places_K2.T)


@pytest.mark.parametrize("num_topics", [1, 2])
def test_one_or_two_topics_have_places_too(num_topics: int) -> None:
    places_K2, _ = places_on_a_plane(jensen_shannon(SHARES_KW[:num_topics]))
    assert places_K2.shape == (num_topics, 2)
    assert np.isfinite(places_K2).all()
    assert places_K2[:, 1] == pytest.approx(0, abs=1e-9)


def test_topics_that_share_few_words_lie_far_apart() -> None:
    near = np.array([[0.5, 0.3, 0.1, 0.1], [0.45, 0.35, 0.1, 0.1], [0.05, 0.05, 0.5, 0.4]])
    places, _ = places_on_a_plane(jensen_shannon(near))
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert places.shape == (3, 2)
    assert distance[0, 1] < 0.2 * min(distance[0, 2], distance[1, 2])


def test_words_that_are_kept_include_the_first_of_every_topic_at_every_weight() -> None:
    kept = set(relevant_words(SHARES_KW, SHARES_K, num_words=5, steps=10).tolist())
    first = {
        int(word)
        for step in range(11)
        for row in relevance(SHARES_KW, SHARES_K, step / 10)
        for word in np.argsort(-row)[:5]
    }
    assert kept == first
    assert relevant_words(SHARES_KW[:, :3], SHARES_K, num_words=5, steps=10).tolist() == [0, 1, 2]


def test_a_word_that_a_topic_never_uses_ranks_last_without_a_warning() -> None:
    shares_KW = np.array([[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert relevance(shares_KW, np.array([0.5, 0.5]), 0.6).argmin(axis=1).tolist() == [2, 0]
        assert np.isfinite(saliency(shares_KW, np.array([0.5, 0.5]))).all()
        assert jensen_shannon(shares_KW)[0, 1] == pytest.approx(math.log(2) / 2)
