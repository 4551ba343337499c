"""Figures of a fitted topic model: shares, distances, and the terms that describe each topic.

Relevance is from Sievert and Shirley 2014 ("LDAvis: A method for visualizing and interpreting topics"), saliency from
Chuang, Manning and Heer 2012 ("Termite: Visualization techniques for assessing textual topic models").

Shapes: K topics, W words, D sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from handlers.model.topics import TopicModel, topic_words

Array = NDArray[np.float64]

_TINY: Final = 1e-300
"""Smallest probability whose logarithm is taken, so that a word a topic never uses ranks last without a warning."""
_MAX_SENTENCES: Final = 5_000
_NUM_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusShares:
    """Sizes of the topics in a sample of sentences."""

    num_tokens: int
    """Tokens of the sample that the model knows."""
    shares_K: Array
    """Expected share of the tokens that each topic wrote; sums to 1."""
    examples: tuple[tuple[str, ...], ...]
    """Sentences with the largest share of each topic, largest first."""


def corpus_shares(model: TopicModel, sentences: Sequence[str]) -> CorpusShares:
    """Infer the topics of the first few thousand sentences that hold a word of the model.

    Without such a sentence the shares are those of the model's prior.
    """
    known = set(model.words)
    lengths = {text: sum(word in known for word in topic_words(text)) for text in sentences[:_MAX_SENTENCES]}
    texts = [text for text in sentences[:_MAX_SENTENCES] if lengths[text]]
    if not texts:
        prior_K = model.alpha_K.numpy().astype(float)
        return CorpusShares(num_tokens=0, shares_K=prior_K / prior_K.sum(), examples=((),) * len(model.names))
    shares_DK = model.shares(texts).numpy().astype(float)
    lengths_D = np.array([lengths[text] for text in texts])
    tokens_K = lengths_D @ shares_DK
    examples = tuple(
        tuple(dict.fromkeys(texts[row] for row in np.argsort(-column_D, kind="stable")[: 4 * _NUM_EXAMPLES]))
        for column_D in shares_DK.T
    )
    return CorpusShares(
        num_tokens=int(lengths_D.sum()),
        shares_K=tokens_K / tokens_K.sum(),
        examples=tuple(texts[:_NUM_EXAMPLES] for texts in examples),
    )


def relevance(word_shares_KW: Array, shares_K: Array, weight: float) -> Array:
    """Relevance of each word to each topic, [K, W]: weight * log p(w|t) + (1 - weight) * log(p(w|t) / p(w)).

    Args:
        word_shares_KW: each topic's distribution over the words.
        shares_K: each topic's share of the tokens.
        weight: lambda; 1 ranks by frequency within the topic, 0 by how specific a word is to it.
    """
    log_share_KW = np.log(np.maximum(word_shares_KW, _TINY))
    log_overall_W = np.log(np.maximum(shares_K @ word_shares_KW, _TINY))
    return log_share_KW - (1 - weight) * log_overall_W


def saliency(word_shares_KW: Array, shares_K: Array) -> Array:
    """Saliency of each word, [W]: p(w) times the Kullback-Leibler divergence of p(t|w) from p(t)."""
    joint_KW = shares_K[:, None] * word_shares_KW
    overall_W = joint_KW.sum(axis=0)
    given_word_KW = joint_KW / np.maximum(overall_W, _TINY)
    ratio_KW = np.maximum(given_word_KW, _TINY) / np.maximum(shares_K[:, None], _TINY)
    return np.asarray(overall_W * (given_word_KW * np.log(ratio_KW)).sum(axis=0))


def relevant_words(word_shares_KW: Array, shares_K: Array, *, num_words: int, steps: int) -> NDArray[np.int64]:
    """Indices of the words among the `num_words` most relevant of any topic at any of the weights 0, 1/steps, ..., 1.

    A page that holds these words alone ranks them at each such weight as if it held all.
    """
    num_words = min(num_words, word_shares_KW.shape[1])
    found: set[int] = set()
    for step in range(steps + 1):
        relevance_KW = relevance(word_shares_KW, shares_K, step / steps)
        found.update(np.argpartition(-relevance_KW, num_words - 1, axis=1)[:, :num_words].ravel().tolist())
    return np.array(sorted(found), dtype=np.int64)


def jensen_shannon(word_shares_KW: Array) -> Array:
    """Jensen-Shannon divergences between the topics' word distributions, nats, [K, K]."""
    divergence_KK = np.zeros((len(word_shares_KW),) * 2)
    for topic, share_W in enumerate(word_shares_KW):
        middle_KW = np.maximum((share_W + word_shares_KW) / 2, _TINY)
        from_topic_K = (share_W * np.log(np.maximum(share_W, _TINY) / middle_KW)).sum(axis=1)
        to_topic_K = (word_shares_KW * np.log(np.maximum(word_shares_KW, _TINY) / middle_KW)).sum(axis=1)
        divergence_KK[topic] = np.maximum((from_topic_K + to_topic_K) / 2, 0)
    return divergence_KK


def places_on_a_plane(squared_KK: Array) -> tuple[Array, Array]:
    """Classical multidimensional scaling: places on a plane, [K, 2], and the part of the variance that each axis shows.

    Args:
        squared_KK: squared distances. The Jensen-Shannon divergence is one, since its root is a metric.
    """
    size = len(squared_KK)
    centre_KK = np.eye(size) - 1 / size
    values_K, vectors_KK = np.linalg.eigh(-centre_KK @ squared_KK @ centre_KK / 2)
    values_K, vectors_KK = np.maximum(values_K[::-1], 0), vectors_KK[:, ::-1]
    places_K2, explained_2 = np.zeros((size, 2)), np.zeros(2)
    axes = min(2, size)
    places_K2[:, :axes] = vectors_KK[:, :axes] * np.sqrt(values_K[:axes])
    explained_2[:axes] = values_K[:axes] / max(values_K.sum(), _TINY)
    # The sign of an eigenvector is arbitrary and differs between builds of LAPACK.
    largest_2 = places_K2[np.abs(places_K2).argmax(axis=0), np.arange(2)]
    return places_K2 * np.where(largest_2 < 0, -1, 1), explained_2
