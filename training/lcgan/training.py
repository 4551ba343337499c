"""Training of the LC-GAN: rounds of GAN steps, with an evaluation of decoded sentences after each round.

The method is that of Engel, Hoffman and Roberts 2017 (arXiv 1711.05772), with the topics of *decoded* sentences as
labels. After each round, vectors that the generator shifted are decoded. These samples score the round, correct the
predictor where the generator exploits its errors, and set the weight of the diversity loss, so that the generator does
not reach a topic by repeating one phrase.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import torch

from handlers.model.generator import Generator
from training.errors import NotLearnedError
from training.lcgan.acceptance import Reward
from training.lcgan.gan_trainer import GanTrainer
from training.lcgan.labels import LabelledVectors
from training.lcgan.networks import TopicPredictor
from training.lcgan.rounds import RoundEvaluator, SampleDecoder
from training.progress import Progress
from training.settings import LcganSettings
from training.tracking.port import Run

_SNAPSHOT_STEPS: Final = 25
"""Steps between two checks of the losses, each of which logs them and takes a snapshot of the generator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The generator of the best round, and the figures of that round."""

    generator: Generator
    figures: Mapping[str, float]
    stopped: str
    """Reason for ending before the last step; empty otherwise."""


def train_generator(
    data: LabelledVectors,
    predictor: TopicPredictor,
    settings: LcganSettings,
    *,
    desired: int,
    seed: int,
    run: Run,
    progress: Progress,
    decoder: SampleDecoder | None = None,
    budget_s: float | None = None,
    reward: Reward | None = None,
    start: Generator | None = None,
) -> Trained:
    """Train a generator z' = G(z, a, y) and return that of the best round.

    The generator's loss is the sum of

    - realism_weight * -log D(z', a, y),
    - topic_weight * KL(y' || T(z', a)), where y' is y softened: the term has the minimum 0, and a share of the topic
      beyond `target_share` is not rewarded,
    - distance_weight * mean(log(1 + (z' - z)^2) / sigma^2),
    - a weight, updated after each round, * the diversity loss: the shortfall of the word pairs' predicted rarity
      against the prior's, and the loss of spread of z',
    - where there is a reward, its weight * -log P(accepted | z', a).

    Args:
        data: labelled vectors.
        predictor: topic predictor fitted to `data`; it is refitted in place.
        settings: sizes and schedule.
        desired: topic by which rounds are compared.
        seed: seed of all random numbers.
        run: gets the metrics.
        progress: gets the number of steps done.
        decoder: decodes a sample after each round; without it, there is one round, whose generator is returned.
        budget_s: seconds after which no further step begins.
        reward: reward for sentences that curators accept.
        start: generator to continue from; by default a new one.

    Raises:
        NotLearnedError: a loss was not finite before the first snapshot of a generator.
    """
    torch.manual_seed(seed + 1)
    trainer = GanTrainer(data, predictor, settings, reward, start)
    rounds = RoundEvaluator(trainer, settings, decoder, desired=desired, seed=seed, run=run)
    budget = _Budget(budget_s)
    steps_per_round = math.ceil(settings.steps / (settings.rounds if decoder is not None else 1))
    stopped = ""
    step = 0
    while step < settings.steps and not stopped:
        last = min(step + steps_per_round, settings.steps)
        stopped = _train_steps(trainer, range(step, last), budget, run, progress)
        step = last
        rounds.evaluate_round(final=bool(stopped) or step == settings.steps)
    generator, figures = rounds.best()
    return Trained(generator=generator.eval().requires_grad_(requires_grad=False), figures=figures, stopped=stopped)


@dataclass(slots=True)
class _Budget:
    seconds: float | None
    started: float = field(default_factory=time.monotonic)

    def is_used_up(self) -> bool:
        return self.seconds is not None and time.monotonic() - self.started > self.seconds


def _train_steps(trainer: GanTrainer, steps: range, budget: _Budget, run: Run, progress: Progress) -> str:
    """Take the steps of a round; return the reason if they ended early, else an empty text."""
    settings = trainer.settings
    for step in steps:
        if budget.is_used_up():
            return "the budget is used up"
        losses = trainer.step()
        if step % _SNAPSHOT_STEPS and step + 1 != steps.stop:
            continue
        figures = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, figures.values())):
            if not trainer.restore():
                raise NotLearnedError(
                    f"a loss of the LC-GAN was not finite by step {step + 1} ({figures}); lower lcgan.learning_rate "
                    f"({settings.learning_rate:g})"
                )
            return f"a loss was not finite by step {step + 1}; the generator of the last good step is kept"
        trainer.snapshot()
        run.log_metrics(figures, step=step)
        progress(step + 1, settings.steps, f"topic loss {figures['generator.topic']:.2f}")
    return ""
