from __future__ import annotations

import numpy as np
import pytest
import torch
from gensim.corpora import Dictionary
from gensim.models import LdaModel
from hypothesis import given
from hypothesis import strategies as st

from handlers.model.topics import TopicModel, topic_words
from tests.examples import examples

pytestmark = pytest.mark.slow

POOLS = (
    ("warm", "hazy", "vocals", "synth", "drums", "reverb", "bass", "guitar", "hiss", "glow"),
    ("tour", "label", "album", "release", "single", "video", "dates", "debut", "record", "stream"),
    ("born", "raised", "moved", "brother", "school", "band", "formed", "town", "grew", "family"),
)


def _documents(count: int, *, seed: int, length: int) -> list[str]:
    random = np.random.default_rng(seed)
    documents = []
    for _ in range(count):
        main = random.integers(3)
        pools = [POOLS[main] if random.random() < 0.8 else POOLS[random.integers(3)] for _ in range(length)]
        documents.append(" ".join(pool[random.integers(len(pool))] for pool in pools))
    return documents


@pytest.fixture(scope="module")
def lda() -> tuple[LdaModel, Dictionary]:
    documents = [topic_words(text) for text in _documents(1500, seed=0, length=8)]
    dictionary = Dictionary(documents)
    bags = [dictionary.doc2bow(document) for document in documents]
    return LdaModel(bags, id2word=dictionary, num_topics=3, passes=4, alpha=[0.1] * 3, random_state=0), dictionary


@pytest.fixture(scope="module")
def model(lda: tuple[LdaModel, Dictionary]) -> TopicModel:
    fitted, dictionary = lda
    return TopicModel(
        words=tuple(dictionary[number] for number in range(len(dictionary))),
        names=("a", "b", "c"),
        alpha_K=torch.from_numpy(np.asarray(fitted.alpha, dtype=np.float32)),
        exp_elog_beta_KW=torch.from_numpy(np.asarray(fitted.expElogbeta, dtype=np.float32)),
        desired=0,
    )


def test_shares_agree_with_gensims_own_inference(lda: tuple[LdaModel, Dictionary], model: TopicModel) -> None:
    fitted, dictionary = lda
    # Until nothing moves any more, from gensim's random start; ours takes a fixed number of steps from an even one.
    fitted.iterations, fitted.gamma_threshold = 1000, 1e-9
    texts = _documents(400, seed=1, length=7)
    gamma, _ = fitted.inference([dictionary.doc2bow(topic_words(text)) for text in texts])
    expected = torch.from_numpy(gamma / gamma.sum(axis=1, keepdims=True)).float()
    shares = model.shares(texts)
    difference = (shares - expected).abs().amax(dim=1)
    # A text between two topics can have two fixed points: there the starts decide, nowhere else.
    assert float((difference < 0.02).float().mean()) > 0.98
    assert float((shares.argmax(dim=1) == expected.argmax(dim=1)).float().mean()) > 0.99


@examples(20)
@given(st.lists(st.sampled_from(_documents(50, seed=2, length=6)), min_size=1, max_size=12))
def test_a_texts_shares_do_not_depend_on_its_neighbours_in_any_bit(model: TopicModel, texts: list[str]) -> None:
    together = model.shares(texts)
    alone = torch.cat([model.shares([text]) for text in texts])
    assert torch.equal(together, alone)


def test_more_texts_than_one_part_come_back_in_order(model: TopicModel) -> None:
    texts = _documents(1200, seed=3, length=6)
    shares = model.shares(texts)
    assert shares.shape == (1200, 3)
    assert torch.equal(shares[::511], torch.cat([model.shares([text]) for text in texts[::511]]))


@pytest.mark.parametrize("text", ["", "zyx qwv", "<artist> 1999 …", "<artist>'s <title>"])
def test_a_text_of_unknown_words_gets_the_priors_shares(model: TopicModel, text: str) -> None:
    expected = model.alpha_K / model.alpha_K.sum()
    # Beside a text with words, and alone.
    assert torch.allclose(model.shares([text])[0], expected, atol=1e-6)
    assert torch.allclose(model.shares(["warm hazy", text])[1], expected, atol=1e-6)


def test_shares_sum_to_one_and_no_texts_have_no_shares(model: TopicModel) -> None:
    shares = model.shares(_documents(30, seed=4, length=20))
    assert torch.allclose(shares.sum(dim=1), torch.ones(30), atol=1e-5)
    assert bool((shares > 0).all())
    assert model.shares([]).shape == (0, 3)


def test_a_very_long_text_has_finite_shares(model: TopicModel) -> None:
    shares = model.shares([" ".join(POOLS[0]) * 1000, "warm"])
    assert bool(shares.isfinite().all())


def test_words_are_case_folded_and_stand_without_signs_numbers_and_placeholders() -> None:
    assert topic_words("<artist>’s STRASSE straße, 3 lo-fi (don't) <title>.") == [
        "strasse",
        "strasse",
        "lo-fi",
        "don't",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"desired": 2}, "desired"),
        ({"desired": -1}, "desired"),
        ({"alpha_K": torch.ones(3)}, "topic weights"),
        ({"exp_elog_beta_KW": torch.ones(2, 2)}, "topic weights"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, object], message: str) -> None:
    parts = {"words": ("a", "b", "c"), "names": ("x", "y"), "alpha_K": torch.ones(2), "desired": 0}
    parts["exp_elog_beta_KW"] = torch.ones(2, 3)
    with pytest.raises(ValueError, match=message):
        TopicModel(**{**parts, **changes})  # type: ignore[arg-type]  # one wrong part on purpose
