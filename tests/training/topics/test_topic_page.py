from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from handlers.model.topics import TopicModel
from training.topics.page import _scaled, write_topic_page

WORDS = ("warm", "hazy", "vocals", "synth", "tour", "label", "dates", "debut", "born", "raised", "school", "town")


def _model(num_topics: int) -> tuple[TopicModel, np.ndarray]:
    shares = np.full((num_topics, len(WORDS)), 0.2)
    for topic in range(num_topics):
        shares[topic, topic * 4 : topic * 4 + 4] = 4.0
    shares /= shares.sum(axis=1, keepdims=True)
    model = TopicModel(
        words=WORDS,
        names=tuple(f"{topic + 1} {WORDS[topic * 4]}" for topic in range(num_topics)),
        alpha_K=torch.full((num_topics,), 0.1),
        exp_elog_beta_KW=torch.from_numpy(shares).float(),
        desired=1,
    )
    return model, shares


@pytest.mark.parametrize("num_topics", [2, 3])
def test_the_page_is_whole_and_asks_nothing_of_the_web(tmp_path: Path, num_topics: int) -> None:
    model, shares = _model(num_topics)
    texts = ["warm hazy vocals", "tour dates and a label", "born and raised in a town", "zyx"] * 20
    write_topic_page(model, shares, texts, tmp_path / "topics.html")
    page = (tmp_path / "topics.html").read_text(encoding="utf-8")
    assert re.search(r"<(script|link|img)[^>]*\s(src|href)=", page) is None
    assert "LDAvis" in page
    assert "2 (desired)" in page
    assert page.count("<tr") == num_topics + 1
    assert all(f'"{word}"' in page for word in WORDS)


def test_topics_that_share_few_words_lie_far_apart() -> None:
    near = np.array([[0.5, 0.3, 0.1, 0.1], [0.45, 0.35, 0.1, 0.1], [0.05, 0.05, 0.5, 0.4]])
    places = _scaled(near)
    distance = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert places.shape == (3, 2)
    assert distance[0, 1] < 0.2 * min(distance[0, 2], distance[1, 2])
