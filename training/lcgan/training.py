"""LC-GAN training: a generator against a discriminator, a predictor, and what the decoder really makes of its vectors.

Engel, Hoffman and Roberts 2017 (arXiv 1711.05772), with topics of *decoded* sentences as labels. Training goes in
rounds. After each, vectors that the generator moved are decoded: they tell how far it has come, they teach the
predictor where the generator has found it to be wrong, and they set the weight of the diversity term, so that a topic
is not paid for with one phrase repeated.

Shapes: N labelled rows, B rows of a step, Z thought vector, A genre embedding, K topics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import torch
from torch import Tensor, nn

from handlers.model.generator import Generator, GeneratorConfig
from training.errors import NotLearnedError
from training.lcgan.labels import DecodedSample, LabelledVectors
from training.lcgan.networks import Discriminator, TopicPredictor
from training.lcgan.predictor import refresh_predictor
from training.progress import Progress
from training.settings import LcganSettings
from training.tracking.port import Run

_SNAPSHOT_STEPS: Final = 25
_MAX_DIVERSITY_WEIGHT: Final = 64.0
_DIVERSITY_PRICE: Final = 4.0
"""What a lost hundredth of distinct-2 costs in hundredths of the desired topic's share, below the floor."""
_ADAM_BETAS: Final = (0.0, 0.9)


class SampleDecoder(Protocol):
    """SampleDecoder what a generator makes of the prior's vectors; see `training.lcgan.labels.Labeller`."""

    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        """A sample of sentences, one per topic, labelled."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The generator kept, and the figures of the round that it is from."""

    generator: Generator
    figures: Mapping[str, float]
    stopped: str
    """Reason for ending before its last step; empty if it did not."""


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
) -> Trained:
    """Play the rounds and keep the generator of the best one.

    Loss of G: -log D(z', a, y)
        + topic_weight * KL(y' || T(z', a)), y' being the target y softened: it is bounded from below by 0, and nothing
          is gained by more than `target_share` of the topic
        + distance_weight * mean(log(1 + (z' - z)^2) / sigma^2)
        + a weight, set anew each round, times how far the predicted rarity of word pairs falls below the prior's.

    Args:
        data: labelled vectors.
        predictor: fitted on them; it goes on learning here.
        settings: of the trainer.
        desired: the topic by which rounds are compared.
        seed: of everything random.
        run: gets the curves.
        progress: told about steps done.
        decoder: decodes a sample after each round; without one, all steps are one round and its generator is kept.
        budget_s: seconds after which no further step is begun.

    Raises:
        NotLearnedError: a loss was no number before there was any generator to keep.
    """
    torch.manual_seed(seed + 1)
    trainer = GanTrainer(data, predictor, settings)
    rounds = RoundEvaluator(trainer, settings, decoder, desired=desired, seed=seed, run=run)
    clock = _Clock(budget_s)
    steps_per_round = math.ceil(settings.steps / (settings.rounds if decoder is not None else 1))
    stopped = ""
    step = 0
    while step < settings.steps and not stopped:
        last = min(step + steps_per_round, settings.steps)
        stopped = train_steps(trainer, range(step, last), clock, run, progress)
        step = last
        rounds.evaluate_round(final=bool(stopped) or step == settings.steps)
    generator, figures = rounds.best()
    return Trained(generator=generator.eval().requires_grad_(requires_grad=False), figures=figures, stopped=stopped)


@dataclass(slots=True)
class _Clock:
    budget_s: float | None
    started: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        return self.budget_s is not None and time.monotonic() - self.started > self.budget_s


def train_steps(trainer: GanTrainer, steps: range, clock: _Clock, run: Run, progress: Progress) -> str:
    """Some steps; returns why they ended early, if they did."""
    settings = trainer.settings
    for step in steps:
        if clock.is_over():
            return "the budget is used up"
        losses = trainer.step()
        if step % _SNAPSHOT_STEPS and step + 1 != steps.stop:
            continue
        figures = {name: float(value) for name, value in losses.items()}
        if not all(map(math.isfinite, figures.values())):
            if not trainer.restore():
                raise NotLearnedError(
                    f"a loss of the LC-GAN was no number by step {step + 1} ({figures}); lower lcgan.learning_rate "
                    f"({settings.learning_rate:g})"
                )
            return f"a loss was no number by step {step + 1}; the generator of the last good step is kept"
        trainer.snapshot()
        run.log_metrics(figures, step=step)
        progress(step + 1, settings.steps, f"topic loss {figures['generator.topic']:.2f}")
    return ""


class RoundEvaluator:
    """What follows each round: decode, measure, keep the best, teach the predictor, weigh diversity anew."""

    def __init__(
        self,
        trainer: GanTrainer,
        settings: LcganSettings,
        decoder: SampleDecoder | None,
        *,
        desired: int,
        seed: int,
        run: Run,
    ) -> None:
        self._trainer = trainer
        self._settings = settings
        self._decoder = decoder
        self._desired = desired
        self._seed = seed
        self._run = run
        self._number = 0
        self._best: tuple[float, dict[str, Tensor], dict[str, float]] | None = None
        if decoder is not None:
            self._prior = decoder.decode([desired] * settings.round_samples, None, seed=seed + 1)
            trainer.set_rarity_target(float(self._prior.vectors.rarity_N.mean()))

    def evaluate_round(self, *, final: bool) -> None:
        """End a round."""
        if self._decoder is None:
            return
        self._number += 1
        count, seed = self._settings.round_samples, self._seed + 2 * self._number
        wanted = self._decoder.decode([self._desired] * count, self._trainer.generator, seed=seed)
        figures = self._measured(wanted)
        self._run.log_metrics({f"round.{name}": value for name, value in figures.items()}, step=self._number)
        if self._best is None or figures["score"] > self._best[0]:
            state = {name: tensor.clone() for name, tensor in self._trainer.generator.state_dict().items()}
            self._best = figures["score"], state, figures
        if final:
            return
        num_topics = wanted.vectors.topics_NK.shape[1]
        others = [topic for topic in range(num_topics) if topic != self._desired]
        spread = self._decoder.decode(
            [others[number % len(others)] for number in range(count)], self._trainer.generator, seed=seed + 1
        )
        self._trainer.refit_predictor(wanted.vectors.joined(spread.vectors))
        self._trainer.update_diversity_weight(figures["distinct_ratio"])

    def best(self) -> tuple[Generator, dict[str, float]]:
        """The generator kept, and its figures."""
        if self._best is not None:
            self._trainer.generator.load_state_dict(self._best[1])
            return self._trainer.generator, self._best[2]
        return self._trainer.generator, {}

    def _measured(self, wanted: DecodedSample) -> dict[str, float]:
        """How a round did. The score is the desired share, less a price for distinct-2 below the floor."""
        share, ratio = wanted.share(self._desired), wanted.distinct_2 / max(self._prior.distinct_2, 1e-9)
        return {
            "desired_share": share,
            "prior_share": self._prior.share(self._desired),
            "distinct_ratio": ratio,
            "log_prob": wanted.log_prob,
            "prior_log_prob": self._prior.log_prob,
            "diversity_weight": self._trainer.diversity_weight,
            "score": share - _DIVERSITY_PRICE * max(0.0, self._settings.diversity_floor - ratio),
        }


class GanTrainer:
    """Generator and discriminator with the data they play on; each loss draws rows of its own."""

    def __init__(self, data: LabelledVectors, predictor: TopicPredictor, settings: LcganSettings) -> None:
        self.settings = settings
        self.diversity_weight = settings.diversity_weight
        self._data = data
        self._predictor = predictor
        self._device = data.z_NZ.device
        self._num_topics = data.topics_NK.shape[1]
        z_size, genre_size = data.z_NZ.shape[1], data.genres_NA.shape[1]
        sizes: dict[str, Any] = {"hidden_size": settings.hidden_size, "num_layers": settings.num_layers}
        config = GeneratorConfig(z_size=z_size, genre_size=genre_size, num_topics=self._num_topics, **sizes)
        self.generator = Generator(config).to(self._device)
        self.discriminator = Discriminator(z_size, genre_size, self._num_topics, **sizes).to(self._device)
        self._generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=settings.learning_rate, betas=_ADAM_BETAS
        )
        self._discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=settings.learning_rate, betas=_ADAM_BETAS
        )
        self._real_rows = data.encoded_N.nonzero().squeeze(1)
        self._main_topic_NK = nn.functional.one_hot(data.topics_NK.argmax(dim=1), self._num_topics).float()
        self._mean_topic_K = data.topics_NK.mean(dim=0)
        self._rarity_target = float(data.rarity_N.mean())
        self._good: dict[str, Tensor] | None = None

    def step(self) -> dict[str, Tensor]:
        """Some updates of the discriminator and one of the generator; returns the losses before it."""
        for _ in range(self.settings.critic_steps):
            discriminator_loss = self.discriminator_loss()
            _update(self._discriminator_optimizer, discriminator_loss)
        losses = self.generator_losses()
        settings = self.settings
        total = (
            settings.realism_weight * losses["realism"]
            + settings.topic_weight * losses["topic"]
            + settings.distance_weight * losses["distance"]
            + self.diversity_weight * losses["diversity"]
        )
        _update(self._generator_optimizer, total)
        tracked = {f"generator.{name}": value.detach() for name, value in losses.items()}
        return {**tracked, "generator.loss": total.detach(), "discriminator.loss": discriminator_loss.detach()}

    def discriminator_loss(self) -> Tensor:
        """Encoded z with its topic is real; the same with a shuffled topic, G's z and (a tenth) the prior's are not."""
        rows = self._real_rows[self._randint(len(self._real_rows))]
        z_BZ, genres_BA, topic_BK = self._data.z_NZ[rows], self._data.genres_NA[rows], self._main_topic_NK[rows]
        wanted_BK = topic_BK[torch.randperm(len(rows), device=self._device)]
        fake_BZ = self._fakes(z_BZ, genres_BA, wanted_BK)
        real = nn.functional.softplus(-self.discriminator(z_BZ, genres_BA, topic_BK)).mean()
        fake = nn.functional.softplus(self.discriminator(fake_BZ, genres_BA, wanted_BK)).mean()
        # A shuffled topic that happens to be the right one is no counterexample.
        wrong_B = (wanted_BK != topic_BK).any(dim=1).float()
        shuffled_B = nn.functional.softplus(self.discriminator(z_BZ, genres_BA, wanted_BK)) * wrong_B
        shuffled = shuffled_B.sum() / wrong_B.sum().clamp_min(1.0)
        penalty = self._gradient_penalty(z_BZ, fake_BZ, genres_BA, topic_BK)
        loss: Tensor = real + fake + shuffled + self.settings.gradient_penalty * penalty
        return loss

    def generator_losses(self) -> dict[str, Tensor]:
        """The parts of G's loss, and how far it moves z (Euclidean, for the record only)."""
        rows = self._randint(len(self._data))
        z_BZ, genres_BA = self._data.z_NZ[rows], self._data.genres_NA[rows]
        target_BK = nn.functional.one_hot(self._randint(self._num_topics), self._num_topics).float()
        moved_BZ = self.generator(z_BZ, genres_BA, target_BK)
        log_share_BK, rarity_B = self._predictor(moved_BZ, genres_BA)
        return {
            "realism": nn.functional.softplus(-self.discriminator(moved_BZ, genres_BA, target_BK)).mean(),
            "topic": self._topic_divergence(target_BK, log_share_BK),
            "distance": (torch.log1p((moved_BZ - z_BZ) ** 2) / self._data.sigma_Z**2).mean(),
            "diversity": self._rarity_shortfall(target_BK, rarity_B) + self._spread_loss(z_BZ, moved_BZ, target_BK),
            "moved": (moved_BZ - z_BZ).norm(dim=1).mean(),
        }

    def set_rarity_target(self, rarity: float) -> None:
        """Let word pairs be as rare as this."""
        self._rarity_target = rarity

    def refit_predictor(self, fresh: LabelledVectors) -> None:
        """Teach the predictor from vectors that the generator moved, and keep them."""
        refresh_predictor(self._predictor, self._data, fresh, self.settings)
        self._data = self._data.joined(fresh)
        fresh_NK = nn.functional.one_hot(fresh.topics_NK.argmax(dim=1), self._num_topics).float()
        self._main_topic_NK = torch.cat((self._main_topic_NK, fresh_NK))

    def update_diversity_weight(self, ratio: float) -> None:
        """Raise the weight while what is decoded is less diverse than the floor, else lower it."""
        factor = 1.5 if ratio < self.settings.diversity_floor else 0.75
        self.diversity_weight = min(self.diversity_weight * factor, _MAX_DIVERSITY_WEIGHT)

    def snapshot(self) -> None:
        """Remember the generator as one of finite losses."""
        self._good = {name: tensor.clone() for name, tensor in self.generator.state_dict().items()}

    def restore(self) -> bool:
        """Go back to the generator remembered; False if there is none."""
        if self._good is None:
            return False
        self.generator.load_state_dict(self._good)
        return True

    def _topic_divergence(self, target_BK: Tensor, log_share_BK: Tensor) -> Tensor:
        """KL(y' || T): y' has `target_share` of the target, and of the other topics what is left, as in the labels."""
        share = self.settings.target_share
        rest_BK = (1 - target_BK) * self._mean_topic_K
        soft_BK = share * target_BK + (1 - share) * rest_BK / rest_BK.sum(dim=1, keepdim=True).clamp_min(1e-9)
        entropy_BK = -torch.xlogy(soft_BK, soft_BK)
        return (-soft_BK * log_share_BK - entropy_BK).sum(dim=1).mean()

    def _rarity_shortfall(self, target_BK: Tensor, rarity_B: Tensor) -> Tensor:
        """By how many standard deviations the mean rarity of each target's rows falls short of what is aimed for.

        Of the rows together, not of each: a stock phrase is no fault while others are rarer.
        """
        count_K = target_BK.sum(dim=0)
        mean_K = (target_BK.T @ rarity_B) / count_K.clamp_min(1.0)
        short_K = nn.functional.relu(self._rarity_target - mean_K) * (count_K > 0)
        return short_K.mean() / self._predictor.rarity_scale

    def _spread_loss(self, z_BZ: Tensor, moved_BZ: Tensor, target_BK: Tensor) -> Tensor:
        """By how much the moved vectors of a target lie closer together than they did: mean of log(sigma / sigma')."""
        # Distances from the target's own centre: that all of them are moved the same way is no loss.
        count_K1 = target_BK.sum(dim=0).clamp_min(1.0).unsqueeze(1)
        variances = []
        for each_BZ in (z_BZ, moved_BZ):
            centre_KZ = (target_BK.T @ each_BZ) / count_K1
            variances.append(((each_BZ - target_BK @ centre_KZ) ** 2).mean(dim=0))
        before_Z, after_Z = variances
        return 0.5 * nn.functional.relu(torch.log(before_Z + 1e-6) - torch.log(after_Z + 1e-6)).mean()

    @torch.no_grad()
    def _fakes(self, z_BZ: Tensor, genres_BA: Tensor, wanted_BK: Tensor) -> Tensor:
        """G of encoded and of prior z, in equal parts, and a tenth of prior z as it is."""
        noise_BZ = torch.randn_like(z_BZ)
        from_encoder_B1 = self._chance(len(z_BZ), 0.5)
        moved_BZ = self.generator(torch.where(from_encoder_B1, z_BZ, noise_BZ), genres_BA, wanted_BK)
        return torch.where(self._chance(len(z_BZ), 0.1), noise_BZ, moved_BZ)

    def _gradient_penalty(self, real_BZ: Tensor, fake_BZ: Tensor, genres_BA: Tensor, topic_BK: Tensor) -> Tensor:
        """Mean of (|gradient of D| - 1)^2 between real and fake (Gulrajani 2017, arXiv 1704.00028, equation 3)."""
        share_B1 = torch.rand(len(real_BZ), 1, device=self._device)
        between_BZ = (share_B1 * real_BZ + (1 - share_B1) * fake_BZ).requires_grad_()
        (gradient_BZ,) = torch.autograd.grad(
            self.discriminator(between_BZ, genres_BA, topic_BK).sum(), between_BZ, create_graph=True
        )
        penalty: Tensor = ((gradient_BZ.norm(dim=1) - 1) ** 2).mean()
        return penalty

    def _randint(self, below: int) -> Tensor:
        return torch.randint(below, (self.settings.batch_size,), device=self._device)

    def _chance(self, rows: int, probability: float) -> Tensor:
        return torch.rand(rows, 1, device=self._device) < probability


def _update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    optimizer.step()
