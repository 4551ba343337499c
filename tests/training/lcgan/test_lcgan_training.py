from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn

from handlers.model.generator import Generator, GeneratorConfig
from training.errors import NotLearnedError
from training.lcgan.gan_trainer import GanTrainer
from training.lcgan.labels import DecodedSample, LabelledVectors
from training.lcgan.predictor import refresh_predictor, score_predictor, train_predictor
from training.lcgan.training import Trained, train_generator
from training.progress import silent
from training.settings import LcganSettings
from training.tracking.curves import RecordingRun
from training.tracking.port import NullTracker, Run

NUM_TOPICS, Z, A = 4, 8, 3
SETTINGS = LcganSettings(
    hidden_size=48, num_layers=2, predictor_epochs=10, steps=240, critic_steps=1, batch_size=128, learning_rate=2e-3,
    rounds=3, round_samples=300,
)  # fmt: skip


@pytest.fixture
def run() -> RecordingRun:
    with NullTracker().run("lcgan") as null:
        return RecordingRun(null)


def _true_topics(z: Tensor) -> Tensor:
    """The world's rule, which no network below is shown: topics depend linearly on z."""
    weights = torch.randn(Z, NUM_TOPICS, generator=torch.Generator().manual_seed(42)) * 1.5
    return torch.softmax(z @ weights, dim=1)


def _true_rarity(z: Tensor) -> Tensor:
    """And word pairs are common near the origin, where a decoder falls back on stock phrases."""
    return torch.sigmoid((z**2).sum(dim=1) / Z - 1)


def _vectors(z: Tensor, topics: Tensor) -> LabelledVectors:
    return LabelledVectors(
        z_NZ=z,
        genres_NA=torch.randn(len(z), A),
        topics_NK=topics,
        rarity_N=_true_rarity(z),
        encoded_N=torch.arange(len(z)) % 2 == 0,
        sigma_Z=torch.full((Z,), 0.5),
    )


def _labelled(count: int, *, noise: bool = False) -> LabelledVectors:
    torch.manual_seed(1)
    z = torch.randn(count, Z)
    return _vectors(z, _true_topics(torch.randn(count, Z) if noise else z))


class World:
    """SampleDecoder by the world's rules; `distinct_2` is its mean rarity."""

    def __init__(self) -> None:
        self.asked: list[tuple[tuple[int, ...], bool]] = []

    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        self.asked.append((tuple(sorted(set(topics))), generator is not None))
        torch.manual_seed(seed)
        z = torch.randn(len(topics), Z)
        if generator is not None:
            with torch.no_grad():
                z = generator(z, torch.randn(len(topics), A), torch.eye(NUM_TOPICS)[list(topics)])
        vectors = dataclasses.replace(_vectors(z, _true_topics(z)), encoded_N=torch.zeros(len(z), dtype=torch.bool))
        return DecodedSample(vectors=vectors, distinct_2=float(vectors.rarity_N.mean()), log_prob=-1.0)


@pytest.mark.parametrize("count", [600, 2000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_predictor_that_cannot_learn_is_an_error_even_with_luck(run: Run, count: int, seed: int) -> None:
    with pytest.raises(NotLearnedError, match="do not depend on z"):
        train_predictor(_labelled(count, noise=True), SETTINGS, seed=seed, run=run)


def test_labels_that_are_not_finite_are_an_error(run: Run) -> None:
    data = _labelled(300)
    broken = dataclasses.replace(data, topics_NK=data.topics_NK * torch.nan)
    with pytest.raises(NotLearnedError):
        train_predictor(broken, SETTINGS, seed=0, run=run)


def test_a_predictor_explains_topics_and_rarity_that_depend_on_z_and_the_floor_is_the_labels_entropy(run: Run) -> None:
    _, scores = train_predictor(_labelled(3000), SETTINGS, seed=0, run=run)
    assert scores.entropy <= scores.predictor < scores.constant
    assert scores.explained > 0.8
    assert scores.rarity_explained > 0.6


def test_the_predictor_kept_is_that_of_its_best_epoch(run: RecordingRun) -> None:
    _, scores = train_predictor(_labelled(600), dataclasses.replace(SETTINGS, predictor_epochs=25), seed=0, run=run)
    assert scores.predictor == pytest.approx(min(value for _, value in run.curve("predictor.valid_nats")), abs=1e-6)


def test_the_predictor_learns_what_shifted_vectors_decode_to(run: Run) -> None:
    data = _labelled(2000)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    # Far out, where no labelled vector lay, the decoder does something else.
    z = torch.randn(800, Z) + 6
    strange = _vectors(z, _true_topics(-z))
    before = score_predictor(predictor, strange, 400).predictor
    refresh_predictor(predictor, data, strange.sample(400), SETTINGS)
    after = score_predictor(predictor, strange, 400).predictor
    assert after < 0.5 * before
    assert score_predictor(predictor, data, 200).explained > 0.7
    assert not any(parameter.requires_grad for parameter in predictor.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("wanted", range(NUM_TOPICS))
def test_the_generator_raises_the_wanted_topics_share_by_the_worlds_own_rule(wanted: int) -> None:
    generator = _trained().generator
    torch.manual_seed(9)
    z, genres = torch.randn(1000, Z), torch.randn(1000, A)
    target = torch.zeros(1000, NUM_TOPICS)
    target[:, wanted] = 1
    before, after = (float(_true_topics(each)[:, wanted].mean()) for each in (z, generator(z, genres, target)))
    assert before < 0.4
    assert after > before + 0.3


@pytest.mark.slow
def test_what_is_decoded_from_shifted_vectors_is_no_less_diverse() -> None:
    figures = _trained().figures
    assert figures["desired_share"] > figures["prior_share"] + 0.4
    assert figures["distinct_ratio"] > SETTINGS.diversity_floor


@pytest.mark.slow
def test_the_generator_stays_near_when_distance_weighs_much() -> None:
    torch.manual_seed(9)
    z, genres = torch.randn(500, Z), torch.randn(500, A)
    target = torch.eye(NUM_TOPICS)[torch.arange(500) % NUM_TOPICS]
    near = _trained(distance_weight=3.0).generator(z, genres, target)
    far = _trained(distance_weight=0.0).generator(z, genres, target)
    assert float((near - z).norm(dim=1).mean()) < 0.6 * float((far - z).norm(dim=1).mean())


@pytest.mark.slow
def test_each_round_is_decoded_once_to_be_measured_and_once_for_the_other_topics_but_the_last() -> None:
    world = World()
    _train(SETTINGS, world)
    desired, others = ((1,), True), ((0, 2, 3), True)
    assert world.asked == [((1,), False), desired, others, desired, others, desired]


@pytest.mark.slow
def test_the_round_of_the_highest_score_is_kept() -> None:
    class Worsening(World):
        """World whose sentences become less diverse with every decode."""

        def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
            sample = super().decode(topics, generator, seed=seed)
            return dataclasses.replace(sample, distinct_2=1.0 / len(self.asked))

    with NullTracker().run("lcgan") as null:
        run = RecordingRun(null)
        kept = _train(SETTINGS, Worsening(), run)
    scores = [score for _, score in run.curve("round.score")]
    assert scores[0] == max(scores) > scores[-1]
    assert kept.figures["score"] == scores[0]
    # Diversity that is missed weighs half as much again in each round to come.
    assert [weight for _, weight in run.curve("round.diversity_weight")] == [1.0, 1.5, 2.25]


def _train(settings: LcganSettings, world: World | None = None, run: RecordingRun | None = None) -> Trained:
    with NullTracker().run("lcgan") as null:
        told = run or RecordingRun(null)
        data = _labelled(3000)
        predictor, _ = train_predictor(data, settings, seed=0, run=told)
        return train_generator(
            data, predictor, settings, desired=1, seed=0, run=told, progress=silent, decoder=world or World()
        )


_made: dict[float, Trained] = {}


def _trained(distance_weight: float = 0.1) -> Trained:
    if distance_weight not in _made:
        _made[distance_weight] = _train(dataclasses.replace(SETTINGS, distance_weight=distance_weight))
    return _made[distance_weight]


@pytest.mark.slow
def test_the_budget_ends_the_training_at_once_and_still_gives_a_generator(run: RecordingRun) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    settings = dataclasses.replace(SETTINGS, steps=10_000_000)
    trained = train_generator(data, predictor, settings, desired=0, seed=0, run=run, progress=silent, budget_s=0.3)
    assert "budget" in trained.stopped
    assert run.curve("generator.topic")[-1][0] < 10_000
    assert not any(parameter.requires_grad for parameter in trained.generator.parameters())


def test_a_first_loss_that_is_not_finite_is_an_error_that_names_the_setting(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    broken = dataclasses.replace(data, sigma_Z=torch.zeros(Z))
    with pytest.raises(NotLearnedError, match=r"not finite by step 1.*lower lcgan\.learning_rate"):
        train_generator(broken, predictor, SETTINGS, desired=0, seed=0, run=run, progress=silent)


@pytest.mark.slow
def test_a_training_whose_loss_stops_being_finite_keeps_its_last_good_generator(run: RecordingRun) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)

    class Breaking(RecordingRun):
        """At the fourth record, one of the data becomes no number."""

        def log_metrics(self, metrics: Mapping[str, float], *, step: int | None = None) -> None:
            super().log_metrics(metrics, step=step)
            if step == 75:
                data.sigma_Z.fill_(torch.nan)

    with NullTracker().run("lcgan") as null:
        breaking = Breaking(null)
        trained = train_generator(data, predictor, SETTINGS, desired=0, seed=0, run=breaking, progress=silent)
    assert "not finite by step 101" in trained.stopped
    assert breaking.curve("generator.topic")[-1][0] == 75
    assert all(bool(tensor.isfinite().all()) for tensor in trained.generator.state_dict().values())


def test_the_gradient_penalty_is_the_squared_distance_of_the_slope_from_one(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    trainer = GanTrainer(data, predictor, SETTINGS)
    # A linear discriminator has the same slope everywhere: its weights for z.
    linear = nn.Linear(Z + A + NUM_TOPICS, 1)
    trainer.discriminator.body = nn.Sequential(linear)
    weight = linear.weight
    rows = data.z_NZ[:50], data.z_NZ[50:100], data.genres_NA[:50], data.topics_NK[:50]
    penalty = trainer._gradient_penalty(*rows)
    slope = weight[0, :Z].norm()
    assert float(penalty.detach()) == pytest.approx(float(((slope - 1) ** 2).detach()), rel=1e-5)
    # Twice the slope less one: the penalty pulls the weights towards a slope of one.
    (gradient,) = torch.autograd.grad(penalty, weight)
    expected = 2 * (slope - 1) * weight[0, :Z] / slope
    assert torch.allclose(gradient[0, :Z], expected, atol=1e-5)


def test_the_parts_of_the_generators_loss_follow_their_formulas(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    trainer = GanTrainer(data, predictor, SETTINGS)

    class Still(Generator):
        def forward(self, z_BZ: Tensor, genres_BA: Tensor, target_BK: Tensor) -> Tensor:
            del genres_BA, target_BK
            return z_BZ + 2.0

    trainer.generator = Still(
        GeneratorConfig(z_size=Z, genre_size=A, num_topics=NUM_TOPICS, hidden_size=4, num_layers=1)
    )
    losses = trainer.generator_losses()
    # A move of 2 in each dimension, at sigma 0.5.
    assert float(losses["distance"]) == pytest.approx(float(torch.log(torch.tensor(5.0))) / 0.25, rel=1e-4)
    assert float(losses["moved"]) == pytest.approx(2 * Z**0.5, rel=1e-4)
    assert float(losses["topic"]) > 0
    # Moved by the same, they lie as far apart as before, and further out, where pairs are rarer.
    assert float(losses["diversity"]) == pytest.approx(0, abs=1e-4)


def test_vectors_moved_into_one_place_are_less_spread_and_so_dearer(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    trainer = GanTrainer(data, predictor, SETTINGS)
    z, target = torch.randn(400, Z), torch.eye(NUM_TOPICS)[torch.arange(400) % NUM_TOPICS]
    # Half as wide in every dimension costs log 2, one common move nothing.
    assert float(trainer._spread_loss(z, 0.5 * z + 3, target)) == pytest.approx(
        float(torch.log(torch.tensor(2.0))), rel=1e-3
    )
    assert float(trainer._spread_loss(z, 2 * z + 3, target)) == 0


def test_more_of_the_target_than_is_aimed_for_is_no_better(run: Run) -> None:
    data = _labelled(300)
    predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    trainer = GanTrainer(data, predictor, dataclasses.replace(SETTINGS, target_share=0.8))
    target = torch.eye(NUM_TOPICS)[:1]
    rest = (1 - target) * data.topics_NK.mean(dim=0)

    def loss(share: float) -> float:
        return float(trainer._topic_divergence(target, (share * target + (1 - share) * rest / rest.sum()).log()))

    assert loss(0.8) == pytest.approx(0, abs=1e-5)
    assert min(loss(0.6), loss(0.95)) > 0.01
