"""Topic model of a dozen words, and its page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handlers.model.topics import TopicModel
from training.topics.page import write_topic_page

Array = NDArray[np.float64]

WORDS = ("warm", "hazy", "vocals", "synth", "tour", "label", "dates", "debut", "born", "raised", "school", "town")


def toy_model(
    num_topics: int,
    *,
    words: tuple[str, ...] = WORDS,
    names: tuple[str, ...] | None = None,
    shares_KW: Array | None = None,
) -> tuple[TopicModel, Array]:
    """Model whose topics share few words, with the second desired, and its word distributions, [K, W]."""
    if shares_KW is None:
        shares_KW = np.full((num_topics, len(words)), 0.2)
        for topic in range(num_topics):
            shares_KW[topic, topic * 4 : topic * 4 + 4] = (4.0, 3.5, 3.0, 2.5)
        shares_KW /= shares_KW.sum(axis=1, keepdims=True)
    chosen = [words[4 * topic : 4 * topic + 2] for topic in range(num_topics)]
    model = TopicModel(
        words=words,
        names=names or tuple(f"{number} {'/'.join(heavy)}" for number, heavy in enumerate(chosen, start=1)),
        alpha_K=torch.full((num_topics,), 0.1),
        exp_elog_beta_KW=torch.from_numpy(shares_KW).float(),
        desired=min(1, num_topics - 1),
    )
    return model, shares_KW


def written(folder: Path, model: TopicModel, shares_KW: Array, texts: Sequence[str]) -> str:
    """Write the page and return its text."""
    write_topic_page(model, shares_KW, texts, folder / "topics.html")
    return (folder / "topics.html").read_text(encoding="utf-8")
