"""Page to explore a topic model, in one file that opens without a network (after LDAvis: Sievert and Shirley 2014).

The page ranks and draws in the browser. It holds only words that some topic ranks among its first at some weight of
the slider, so its ranking is exact and its size does not grow with the vocabulary.

Shapes: K topics, W words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from handlers.model.topics import TopicModel
from training.files import atomic_path
from training.topics.figures import (
    CorpusShares,
    corpus_shares,
    jensen_shannon,
    places_on_a_plane,
    relevant_words,
    saliency,
)

Array = NDArray[np.float64]

_NUM_TERMS: Final = 30
"""Terms that the page lists for a topic."""
_STEPS: Final = 100
"""Steps of the slider from 0 to 1."""
_HEAVIEST: Final = 10
"""Words of a topic in the table."""


def write_topic_page(model: TopicModel, word_shares_KW: Array, sentences: Sequence[str], path: Path) -> None:
    """Write the page.

    Args:
        model: the topic model; its desired topic is marked.
        word_shares_KW: each topic's distribution over the model's words; rows sum to 1.
        sentences: sample from which sizes of topics and example sentences are taken; the first few thousand count.
        path: where to write it.

    Raises:
        OutputError: the page cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("training.topics", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    shares_KW = word_shares_KW / word_shares_KW.sum(axis=1, keepdims=True)
    corpus = corpus_shares(model, sentences)
    page = environment.get_template("page.html.j2").render(
        data=_data(model, shares_KW, corpus), rows=_table(model, shares_KW, corpus), steps=_STEPS
    )
    with atomic_path(path) as partial:
        partial.write_text(page, encoding="utf-8")


def _data(model: TopicModel, shares_KW: Array, corpus: CorpusShares) -> dict[str, Any]:
    """Numbers that the page's script reads."""
    salient = np.argsort(-saliency(shares_KW, corpus.shares_K), kind="stable")[:_NUM_TERMS]
    relevant = relevant_words(shares_KW, corpus.shares_K, num_words=_NUM_TERMS, steps=_STEPS)
    listed = sorted({*relevant.tolist(), *salient.tolist()})
    position = {index: number for number, index in enumerate(listed)}
    places_K2, explained_2 = places_on_a_plane(jensen_shannon(shares_KW))
    topics = [
        {
            **_named(name),
            "share": _short(corpus.shares_K[topic]),
            "x": _short(places_K2[topic, 0]),
            "y": _short(places_K2[topic, 1]),
            "desired": topic == model.desired,
            "examples": corpus.examples[topic],
        }
        for topic, name in enumerate(model.names)
    ]
    return {
        "num_tokens": corpus.num_tokens,
        "num_terms": _NUM_TERMS,
        "explained": [_short(part) for part in explained_2],
        "topics": topics,
        "words": [model.words[index] for index in listed],
        "word_shares": [[_short(share) for share in shares_KW[:, index]] for index in listed],
        "salient": [position[index] for index in salient.tolist()],
    }


def _table(model: TopicModel, shares_KW: Array, corpus: CorpusShares) -> list[dict[str, Any]]:
    """Rows of the table that readers without a script or without sight of the map have."""
    heaviest = np.argsort(-shares_KW, axis=1, kind="stable")[:, :_HEAVIEST]
    return [
        {
            **_named(name),
            "share": corpus.shares_K[topic],
            "desired": topic == model.desired,
            "heaviest": [model.words[index] for index in heaviest[topic]],
        }
        for topic, name in enumerate(model.names)
    ]


def _named(name: str) -> dict[str, str]:
    """Number and words of a topic's name.

    >>> _named("2 tour/label/dates")
    {'number': '2', 'title': 'tour, label, dates'}
    """
    number, _, words = name.partition(" ")
    return {"number": number, "title": words.replace("/", ", ")}


def _short(value: float) -> float:
    """Six significant digits: more than the page shows, and half the size."""
    return float(f"{value:.6g}")
