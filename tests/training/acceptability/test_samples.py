from __future__ import annotations

import pytest

from handlers.contract import SamplingParams
from handlers.decoding.engine import Engine, SequenceSpec
from handlers.model.bundle import Bundle
from tests.handlers.tiny_bundles import tiny_bundle
from training.acceptability.samples import real_sentences, sampled_sentences
from training.cvae.batches import EncodedSentences
from training.errors import NotLearnedError
from training.lcgan.labels import genre_rows
from training.progress import silent

TEXTS = ["<artist> wb wc", "<title> we", "<artist> wg wh wi"]


@pytest.fixture(params=[False, True], ids=["cvae", "lcgan"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return tiny_bundle(generator=request.param, end_bias=0.0)


@pytest.fixture
def train(bundle: Bundle) -> EncodedSentences:
    return EncodedSentences(TEXTS, [("pop",), (), ("techno", "pop")], bundle.vocabulary, bundle.genres)


def test_samples_are_what_requests_get_less_those_that_were_cut_off(bundle: Bundle, train: EncodedSentences) -> None:
    rows = genre_rows(train, 120, seed=4)
    assert {row.genres for row in rows} == {train.genres_of(index) for index in range(3)}
    assert all(row.sampling == SamplingParams() for row in rows)
    decoded = Engine(bundle).decode(rows)
    samples = sampled_sentences(bundle, train, 120, seed=4, progress=silent)
    assert samples.ids == [each.ids for each in decoded if each.finished]
    assert 0 < len(samples) < 120
    texts = [bundle.vocabulary.decode(each) for each in samples.ids]
    assert samples.topics_NK.tolist() == bundle.topics.shares(texts).tolist()
    assert samples.lengths().tolist() == [len(each) for each in samples.ids]


def test_progress_ends_at_the_number_of_samples(bundle: Bundle, train: EncodedSentences) -> None:
    seen: list[tuple[float, float, str]] = []
    sampled_sentences(bundle, train, 30, seed=4, progress=lambda *state: seen.append(state))
    assert seen[-1] == (30, 30, "samples")


def test_other_seeds_give_other_samples(bundle: Bundle, train: EncodedSentences) -> None:
    first, second = (sampled_sentences(bundle, train, 40, seed=seed, progress=silent).ids for seed in (4, 5))
    assert first != second


def test_real_sentences_are_in_the_models_tokens(bundle: Bundle) -> None:
    real = real_sentences(bundle, TEXTS)
    assert [bundle.vocabulary.decode(each) for each in real.ids] == TEXTS
    assert real.topics_NK.shape == (3, len(bundle.topics.names))
    assert SequenceSpec(genres=(), seed=1).sampling == SamplingParams()


def test_a_model_whose_samples_do_not_end_is_an_error_that_counts_them(train: EncodedSentences) -> None:
    endless = tiny_bundle(end_bias=-20.0)
    with pytest.raises(NotLearnedError, match=r"0 of 40 samples reached their end.*train the CVAE longer"):
        sampled_sentences(endless, train, 40, seed=4, progress=silent)
