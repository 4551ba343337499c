from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from handlers.bundle import Bundle
from handlers.engine import Engine
from handlers.generator import Generator, GeneratorConfig
from handlers.topics import TopicModel
from handlers.vocabulary import EOS_ID
from tests.training.conftest import SampleCorpus
from training.curves import RecordingRun
from training.cvae import Cvae
from training.errors import NotLearnedError
from training.export import Parts, make_bundle
from training.lcgan_training import (
    LabelledVectors,
    _Game,
    genre_rows,
    label_vectors,
    train_generator,
    train_predictor,
)
from training.presets import LcganSettings
from training.progress import silent
from training.tracker import NullTracker, Run

NUM_TOPICS, Z, A = 4, 8, 3
SETTINGS = LcganSettings(
    hidden_size=48, num_layers=2, predictor_epochs=10, steps=300, critic_steps=1, batch_size=128, learning_rate=2e-3,
)  # fmt: skip


@pytest.fixture
def run() -> Run:
    with NullTracker().run("lcgan") as null:
        return RecordingRun(null)


def _true_topics(z: Tensor) -> Tensor:
    """The world's rule, which no network below is shown: topics depend linearly on z."""
    weights = torch.randn(Z, NUM_TOPICS, generator=torch.Generator().manual_seed(42)) * 1.5
    return torch.softmax(z @ weights, dim=1)


def _labelled(count: int, *, noise: bool = False) -> LabelledVectors:
    torch.manual_seed(1)
    z = torch.randn(count, Z)
    topics = _true_topics(torch.randn(count, Z) if noise else z)
    return LabelledVectors(
        z_NZ=z,
        genres_NA=torch.randn(count, A),
        topics_NK=topics,
        encoded_N=torch.arange(count) % 2 == 0,
        sigma_Z=torch.full((Z,), 0.5),
    )


@pytest.mark.parametrize("count", [600, 2000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_predictor_that_cannot_learn_is_an_error_even_with_luck(run: Run, count: int, seed: int) -> None:
    with pytest.raises(NotLearnedError, match="do not depend on z"):
        train_predictor(_labelled(count, noise=True), SETTINGS, seed=seed, run=run)


def test_labels_that_are_no_numbers_are_an_error(run: Run) -> None:
    data = _labelled(300)
    broken = dataclasses.replace(data, topics_NK=data.topics_NK * torch.nan)
    with pytest.raises(NotLearnedError):
        train_predictor(broken, SETTINGS, seed=0, run=run)


def test_a_predictor_explains_topics_that_depend_on_z_and_the_floor_is_their_entropy(run: Run) -> None:
    _, scores = train_predictor(_labelled(3000), SETTINGS, seed=0, run=run)
    assert scores.entropy <= scores.predictor < scores.constant
    assert scores.explained > 0.8


def test_the_predictor_kept_is_that_of_its_best_epoch(run: Run) -> None:
    assert isinstance(run, RecordingRun)
    _, scores = train_predictor(_labelled(600), dataclasses.replace(SETTINGS, predictor_epochs=25), seed=0, run=run)
    assert scores.predictor == pytest.approx(min(value for _, value in run.curve("predictor.valid_nats")), abs=1e-6)


@pytest.mark.parametrize("wanted", range(NUM_TOPICS))
def test_the_generator_raises_the_wanted_topics_share_by_the_worlds_own_rule(wanted: int) -> None:
    generator = _trained_generator()
    torch.manual_seed(9)
    z, genres = torch.randn(1000, Z), torch.randn(1000, A)
    target = torch.zeros(1000, NUM_TOPICS)
    target[:, wanted] = 1
    before, after = (float(_true_topics(each)[:, wanted].mean()) for each in (z, generator(z, genres, target)))
    assert before < 0.4
    assert after > before + 0.3


def test_the_generator_stays_near_when_distance_weighs_much() -> None:
    torch.manual_seed(9)
    z, genres = torch.randn(500, Z), torch.randn(500, A)
    target = torch.eye(NUM_TOPICS)[torch.arange(500) % NUM_TOPICS]
    near = _trained_generator(distance_weight=3.0)(z, genres, target)
    far = _trained_generator(distance_weight=0.0)(z, genres, target)
    assert float((near - z).norm(dim=1).mean()) < 0.6 * float((far - z).norm(dim=1).mean())


_made: dict[float, Generator] = {}


def _trained_generator(distance_weight: float = 0.1) -> Generator:
    if distance_weight not in _made:
        data, settings = _labelled(3000), dataclasses.replace(SETTINGS, distance_weight=distance_weight)
        with NullTracker().run("lcgan") as null:
            predictor, _ = train_predictor(data, settings, seed=0, run=null)
            _made[distance_weight] = train_generator(data, predictor, settings, seed=0, run=null, progress=silent)
    return _made[distance_weight]


def test_the_budget_ends_the_game_at_once_and_still_gives_a_generator(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    settings = dataclasses.replace(SETTINGS, steps=10_000_000)
    generator = train_generator(data, predictor, settings, seed=0, run=run, progress=silent, budget_s=0.3)
    assert isinstance(run, RecordingRun)
    assert run.curve("generator.topic")[-1][0] < 10_000
    assert not any(parameter.requires_grad for parameter in generator.parameters())


def test_the_gradient_penalty_is_the_squared_distance_of_the_slope_from_one(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    game = _Game(data, predictor, SETTINGS)
    # A linear discriminator has the same slope everywhere: its weights for z.
    linear = nn.Linear(Z + A + NUM_TOPICS, 1)
    game.discriminator.body = nn.Sequential(linear)
    weight = linear.weight
    rows = data.z_NZ[:50], data.z_NZ[50:100], data.genres_NA[:50], data.topics_NK[:50]
    penalty = game._gradient_penalty(*rows)
    slope = weight[0, :Z].norm()
    assert float(penalty.detach()) == pytest.approx(float(((slope - 1) ** 2).detach()), rel=1e-5)
    # Twice the slope less one: the penalty pulls the weights towards a slope of one.
    (gradient,) = torch.autograd.grad(penalty, weight)
    expected = 2 * (slope - 1) * weight[0, :Z] / slope
    assert torch.allclose(gradient[0, :Z], expected, atol=1e-5)


def test_the_parts_of_the_generators_loss_follow_their_formulas(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    game = _Game(data, predictor, SETTINGS)

    class Still(Generator):
        def forward(self, z_BZ: Tensor, genres_BA: Tensor, target_BK: Tensor) -> Tensor:
            del genres_BA, target_BK
            return z_BZ + 2.0

    game.generator = Still(GeneratorConfig(z_size=Z, genre_size=A, num_topics=NUM_TOPICS, hidden_size=4, num_layers=1))
    losses = game.generator_losses()
    # A move of 2 in each dimension, at sigma .5.
    assert float(losses["distance"]) == pytest.approx(float(torch.log(torch.tensor(5.0))) / 0.25, rel=1e-4)
    assert float(losses["moved"]) == pytest.approx(2 * Z**0.5, rel=1e-4)
    assert float(losses["topic"]) > 0


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


def test_labels_are_the_topics_of_what_is_decoded_from_each_vector(
    sample_corpus: SampleCorpus, untrained: tuple[Cvae, Bundle]
) -> None:
    model, bundle = untrained
    torch.manual_seed(0)
    data = label_vectors(model, bundle, sample_corpus.train, 600, seed=3, device="cpu", progress=silent)
    assert len(data) == 600
    assert torch.allclose(data.topics_NK.sum(dim=1), torch.ones(600), atol=1e-4)
    assert int(data.encoded_N.sum()) == 300
    # The prior's half is what the worker would draw; the same rows decode to the same labels.
    engine = Engine(bundle)
    rows = genre_rows(sample_corpus.train, 600, seed=3)
    prior = ~data.encoded_N
    assert torch.equal(data.z_NZ[prior], engine.thought_vectors(rows)[prior])
    texts = [bundle.vocabulary.decode(each.ids) for each in engine.decode(rows, data.z_NZ)]
    assert torch.allclose(bundle.topics.shares(texts), data.topics_NK, atol=1e-4)
    # The encoder's half lies where sentences are encoded to, and varies with them.
    assert not torch.allclose(data.z_NZ[data.encoded_N], engine.thought_vectors(rows)[data.encoded_N])
    assert bool((data.sigma_Z > 0).all())


def test_rows_for_comparison_are_the_same_for_the_same_seed_with_the_corpus_genres(sample_corpus: SampleCorpus) -> None:
    rows = genre_rows(sample_corpus.train, 200, seed=5)
    assert rows == genre_rows(sample_corpus.train, 200, seed=5)
    assert rows != genre_rows(sample_corpus.train, 200, seed=6)
    assert len({row.seed for row in rows}) == 200
    known = {sample_corpus.train.genres_of(index) for index in range(len(sample_corpus.train))}
    assert {row.genres for row in rows} <= known
