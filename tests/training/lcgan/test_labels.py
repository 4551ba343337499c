from __future__ import annotations

import dataclasses

import pytest
import torch

from handlers.decoding.engine import Engine
from handlers.model.bundle import Bundle
from handlers.model.generator import Generator, GeneratorConfig
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import EOS_ID
from tests.training.conftest import SampleCorpus
from training.cvae.model import Cvae
from training.errors import NotLearnedError
from training.lcgan.labels import Labeller, genre_rows, known_words, rarities
from training.measures import distinct
from training.packaging.export import Parts, make_bundle
from training.progress import silent

KNOWN = known_words(["so warm a glow", "so cold a hiss"])


@pytest.fixture(scope="module")
def untrained(sample_corpus: SampleCorpus) -> tuple[Cvae, Bundle]:
    torch.manual_seed(0)
    model = Cvae(sample_corpus.config()).eval()
    with torch.no_grad():
        # Surer of its words, and sooner done, than an untrained model is.
        model.decoder.token_embedding.weight.mul_(6)
        model.decoder.output_bias[EOS_ID] = 6.0
    words = tuple(sorted({token.strip() for token in sample_corpus.vocabulary.tokens[8:] if token.strip().isalpha()}))
    topics = TopicModel(
        words=words, names=("x", "y"), alpha_K=torch.full((2,), 0.1),
        exp_elog_beta_KW=torch.rand(2, len(words)) ** 4, desired=0,
    )  # fmt: skip
    parts = Parts(vocabulary=sample_corpus.vocabulary, genres=sample_corpus.corpus.genre_table, topics=topics)
    return model, make_bundle("cvae", model, parts, generator=None, lineage={})


@pytest.mark.slow
def test_labels_do_not_depend_on_what_the_process_did_before(
    sample_corpus: SampleCorpus, untrained: tuple[Cvae, Bundle]
) -> None:
    """A training whose CVAE is reused draws other random numbers before the LC-GAN than one that trains it."""
    labeller = Labeller(*untrained, sample_corpus.train, known=KNOWN, group=20, device="cpu")
    torch.manual_seed(1)
    first = labeller.label(40, seed=3, progress=silent)
    torch.rand(5)
    assert torch.equal(labeller.label(40, seed=3, progress=silent).z_NZ, first.z_NZ)
    assert not torch.equal(labeller.label(40, seed=4, progress=silent).z_NZ, first.z_NZ)


@pytest.mark.slow
def test_labels_are_the_topics_of_what_is_decoded_from_each_vector(
    sample_corpus: SampleCorpus, untrained: tuple[Cvae, Bundle]
) -> None:
    model, bundle = untrained
    torch.manual_seed(0)
    labeller = Labeller(model, bundle, sample_corpus.train, known=KNOWN, group=200, device="cpu")
    data = labeller.label(600, seed=3, progress=silent)
    assert len(data) == 600
    assert torch.allclose(data.topics_NK.sum(dim=1), torch.ones(600), atol=1e-4)
    assert int(data.encoded_N.sum()) == 300
    # The prior's half is what the worker would draw; the same rows decode to the same labels.
    engine = Engine(bundle)
    rows = genre_rows(sample_corpus.train, 600, seed=3)
    prior = ~data.encoded_N
    assert torch.equal(data.z_NZ[prior], engine.latent_vectors(rows)[prior])
    texts = [bundle.vocabulary.decode(each.ids) for each in engine.decode(rows, data.z_NZ)]
    assert torch.allclose(bundle.topics.shares(texts), data.topics_NK, atol=1e-4)
    assert torch.allclose(data.rarity_N, rarities(texts, 200, known=KNOWN))
    # The encoder's half lies where sentences are encoded to, and varies with them.
    assert not torch.allclose(data.z_NZ[data.encoded_N], engine.latent_vectors(rows)[data.encoded_N])
    assert bool((data.sigma_Z > 0).all())


def test_rows_for_comparison_are_the_same_for_the_same_seed_with_the_corpus_genres(sample_corpus: SampleCorpus) -> None:
    rows = genre_rows(sample_corpus.train, 200, seed=5)
    assert rows == genre_rows(sample_corpus.train, 200, seed=5)
    assert rows != genre_rows(sample_corpus.train, 200, seed=6)
    assert len({row.seed for row in rows}) == 200
    known = {sample_corpus.train.genres_of(index) for index in range(len(sample_corpus.train))}
    assert {row.genres for row in rows} <= known


def test_moved_vectors_are_decoded_by_the_same_seeds(
    sample_corpus: SampleCorpus, untrained: tuple[Cvae, Bundle]
) -> None:
    model, bundle = untrained
    labeller = Labeller(model, bundle, sample_corpus.train, known=KNOWN, group=100, device="cpu")
    sizes = GeneratorConfig(z_size=6, genre_size=4, num_topics=2, hidden_size=8, num_layers=1)
    generator = Generator(sizes).eval()
    prior = labeller.decode([0] * 100, None, seed=4)
    moved = labeller.decode([0, 1] * 50, generator, seed=4)
    with torch.no_grad():
        expected = generator(prior.vectors.z_NZ, prior.vectors.genres_NA, torch.eye(2)[[0, 1] * 50])
    assert torch.allclose(moved.vectors.z_NZ, expected, atol=1e-6)
    assert 0 < prior.distinct_2 <= 1
    assert prior.log_prob < 0
    assert prior.share(0) + prior.share(1) == pytest.approx(1)
    joined = prior.vectors.concatenated(moved.vectors)
    assert len(joined) == 200
    assert not joined.encoded_N.any()
    assert len(joined.sample(30)) == 30


def test_labels_that_are_nearly_all_one_topic_are_an_error_that_says_what_to_look_at(
    sample_corpus: SampleCorpus, untrained: tuple[Cvae, Bundle]
) -> None:
    model, bundle = untrained
    weights = bundle.topics.exp_elog_beta_KW.clone()
    weights[1] *= 1e-9
    one_sided = dataclasses.replace(bundle, topics=dataclasses.replace(bundle.topics, exp_elog_beta_KW=weights))
    labeller = Labeller(model, one_sided, sample_corpus.train, known=KNOWN, group=100, device="cpu")
    with pytest.raises(NotLearnedError, match=r"decoded samples are about one topic \(x\).*cvae.mu_scale"):
        labeller.label(200, seed=3, progress=silent)


def test_the_rarities_of_a_group_weighed_by_pairs_are_its_distinct_2() -> None:
    texts = ["so warm a glow", "so warm a hiss", "a glow", "one", "so cold a glow and so warm"]
    pairs = [3, 3, 1, 0, 6]
    known = known_words(texts)
    values = rarities(texts, 10, known=known)
    weighed = sum(float(value) * count for value, count in zip(values, pairs, strict=True)) / sum(pairs)
    assert weighed == pytest.approx(distinct(texts, 2))
    # Groups do not know of each other.
    assert rarities(texts * 2, 5, known=known).tolist() == values.tolist() * 2


def test_a_misspelled_word_does_not_make_a_pair_rare() -> None:
    known = known_words(["so warm a glow"])
    right, wrong = rarities(["so warm a glow", "so wxrm a glow"], 1, known=known).tolist()
    assert right == pytest.approx(1)
    assert wrong == pytest.approx(1 / 3)
