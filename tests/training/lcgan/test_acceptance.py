"""Reward of the LC-GAN: shifted vectors are accepted more often, and without it nothing changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from handlers.model.generator import Generator
from training.errors import NotLearnedError
from training.lcgan.acceptance import Reward, train_acceptance
from training.lcgan.gan_trainer import GanTrainer
from training.lcgan.labels import DecodedSample, LabelledVectors
from training.lcgan.predictor import train_predictor
from training.lcgan.training import Trained, train_generator
from training.progress import silent
from training.settings import LcganSettings
from training.tracking.port import NullTracker

NUM_TOPICS, Z, A = 2, 6, 3
SETTINGS = LcganSettings(
    hidden_size=32, num_layers=2, predictor_epochs=10, steps=120, critic_steps=1, batch_size=128, learning_rate=2e-3,
    rounds=2, round_samples=200,
)  # fmt: skip


def _true_value(z_NZ: Tensor) -> Tensor:
    """Curators accept what lies beyond a plane that the topics do not know."""
    return torch.sigmoid(4 * z_NZ[:, 1])


def _vectors(z_NZ: Tensor, *, valued: bool) -> LabelledVectors:
    return LabelledVectors(
        z_NZ=z_NZ,
        genres_NA=torch.randn(len(z_NZ), A),
        topics_NK=torch.stack((torch.sigmoid(3 * z_NZ[:, 0]), torch.sigmoid(-3 * z_NZ[:, 0])), dim=1),
        rarity_N=torch.rand(len(z_NZ)),
        encoded_N=torch.arange(len(z_NZ)) % 2 == 0,
        sigma_Z=torch.full((Z,), 0.5),
        values_N=_true_value(z_NZ) if valued else None,
    )


class World:
    """SampleDecoder by the rules above."""

    def __init__(self, *, valued: bool) -> None:
        self.valued = valued

    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        torch.manual_seed(seed)
        z_NZ = torch.randn(len(topics), Z)
        if generator is not None:
            with torch.no_grad():
                z_NZ = generator(z_NZ, torch.randn(len(topics), A), torch.eye(NUM_TOPICS)[list(topics)])
        return DecodedSample(vectors=_vectors(z_NZ, valued=self.valued), distinct_2=0.5, log_prob=-1.0)


def _labelled(*, valued: bool, count: int = 1500) -> LabelledVectors:
    torch.manual_seed(1)
    return _vectors(torch.randn(count, Z), valued=valued)


def _train(*, valued: bool, weight: float = 0.0, start: Generator | None = None) -> Trained:
    data = _labelled(valued=valued)
    with NullTracker().run("lcgan") as run:
        predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
        reward = None
        if weight:
            reward = Reward(predictor=train_acceptance(data, SETTINGS, seed=0, run=run)[0], weight=weight)
        return train_generator(
            data, predictor, SETTINGS, desired=0, seed=0, run=run, progress=silent, decoder=World(valued=valued),
            reward=reward, start=start,
        )  # fmt: skip


def _shifted(generator: Generator) -> Tensor:
    torch.manual_seed(99)
    z_NZ = torch.randn(2000, Z)
    with torch.no_grad():
        moved_NZ: Tensor = generator(z_NZ, torch.randn(2000, A), torch.eye(NUM_TOPICS)[[0] * 2000])
    return moved_NZ


@pytest.mark.slow
def test_a_reward_raises_the_acceptance_of_shifted_vectors_and_keeps_their_topic() -> None:
    plain, rewarded = _train(valued=False), _train(valued=True, weight=4.0)
    before, after = _shifted(plain.generator), _shifted(rewarded.generator)
    assert float(_true_value(after).mean()) > float(_true_value(before).mean()) + 0.15
    assert float((after[:, 0] > 0).float().mean()) > 0.8
    assert rewarded.figures["value"] > rewarded.figures["prior_value"] + 0.15
    assert "value" not in plain.figures


@pytest.mark.slow
def test_a_generator_that_continues_begins_where_the_other_ended() -> None:
    plain = _train(valued=False)
    data = _labelled(valued=True)
    with NullTracker().run("lcgan") as run:
        predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
    trainer = GanTrainer(data, predictor, SETTINGS, start=plain.generator)
    assert torch.equal(_shifted(trainer.generator), _shifted(plain.generator))
    continued = _train(valued=True, weight=4.0, start=plain.generator)
    assert float(_true_value(_shifted(continued.generator)).mean()) > 0.65


def test_values_without_a_reward_change_no_weight() -> None:
    found = []
    for valued in (False, True):
        data = _labelled(valued=valued, count=300)
        with NullTracker().run("lcgan") as run:
            predictor, _ = train_predictor(data, SETTINGS, seed=0, run=run)
        torch.manual_seed(5)
        trainer = GanTrainer(data, predictor, SETTINGS)
        trainer.step()
        trainer.refit_predictor(_labelled(valued=valued, count=60))
        trainer.step()
        found.append(torch.cat([each.flatten() for each in trainer.generator.parameters()]))
    assert torch.equal(*found)


def test_values_that_do_not_depend_on_z_are_an_error_that_says_what_to_do() -> None:
    data = _labelled(valued=True, count=3000)
    noise = dataclasses.replace(data, values_N=torch.rand(3000))
    with NullTracker().run("lcgan") as run, pytest.raises(NotLearnedError, match="does not depend on the latent"):
        train_acceptance(noise, SETTINGS, seed=0, run=run)


def test_vectors_without_values_are_a_mistake_of_the_program() -> None:
    data = _labelled(valued=False, count=60)
    with NullTracker().run("lcgan") as run, pytest.raises(ValueError, match="give the labeller a value function"):
        train_acceptance(data, SETTINGS, seed=0, run=run)


def test_vectors_with_values_are_joined_and_sampled_with_them() -> None:
    first, second = _labelled(valued=True, count=50), _labelled(valued=True, count=30)
    joined = first.concatenated(second)
    assert joined.values_N is not None
    assert len(joined.values_N) == 80
    some = joined.sample(20)
    assert some.values_N is not None
    assert torch.equal(some.values_N, _true_value(some.z_NZ))
