"""Rounds of the LC-GAN training: decode shifted vectors after each, score them, and keep the best generator.

Shapes: N labelled vectors, K topics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from torch import Tensor

from handlers.model.generator import Generator
from training.lcgan.gan_trainer import GanTrainer
from training.lcgan.labels import DecodedSample
from training.settings import LcganSettings
from training.tracking.port import Run

_DIVERSITY_PRICE: Final = 4.0
"""Reduction of the score per unit of the distinct-2 ratio below the floor, in units of the desired topic's share."""

_VALUE_PRICE: Final = 2.0
"""Increase of the score per unit of the mean value, in units of the desired topic's share."""


class SampleDecoder(Protocol):
    """Decodes and labels vectors of the prior, shifted by a generator; see `training.lcgan.labels.Labeller`."""

    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        """Return a sample of labelled sentences, one per topic."""
        ...


class RoundEvaluator:
    """Evaluation after each round; it also refits the predictor and sets the weight of the diversity loss."""

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
        """Score the generator on decoded sentences; unless the round is the final one, prepare the next."""
        if self._decoder is None:
            return
        self._number += 1
        count, seed = self._settings.round_samples, self._seed + 2 * self._number
        to_desired = self._decoder.decode([self._desired] * count, self._trainer.generator, seed=seed)
        figures = self._figures(to_desired)
        self._run.log_metrics({f"round.{name}": value for name, value in figures.items()}, step=self._number)
        if self._best is None or figures["score"] > self._best[0]:
            state = {name: tensor.clone() for name, tensor in self._trainer.generator.state_dict().items()}
            self._best = figures["score"], state, figures
        if final:
            return
        num_topics = to_desired.vectors.topics_NK.shape[1]
        others = [topic for topic in range(num_topics) if topic != self._desired]
        to_others = self._decoder.decode(
            [others[number % len(others)] for number in range(count)], self._trainer.generator, seed=seed + 1
        )
        self._trainer.refit_predictor(to_desired.vectors.concatenated(to_others.vectors))
        self._trainer.update_diversity_weight(figures["distinct_ratio"])

    def best(self) -> tuple[Generator, dict[str, float]]:
        """Return the generator of the best round and its figures; the last generator if no round was evaluated."""
        if self._best is not None:
            self._trainer.generator.load_state_dict(self._best[1])
            return self._trainer.generator, self._best[2]
        return self._trainer.generator, {}

    def _figures(self, to_desired: DecodedSample) -> dict[str, float]:
        """Figures of a round; the score is the desired topic's share, reduced for distinct-2 below the floor.

        With a value function, the mean value is added to the score.
        """
        value, prior_value = to_desired.value, self._prior.value
        values = {} if value is None or prior_value is None else {"value": value, "prior_value": prior_value}
        share, ratio = to_desired.share(self._desired), to_desired.distinct_2 / max(self._prior.distinct_2, 1e-9)
        return {
            "desired_share": share,
            "prior_share": self._prior.share(self._desired),
            "distinct_ratio": ratio,
            "log_prob": to_desired.log_prob,
            "prior_log_prob": self._prior.log_prob,
            "diversity_weight": self._trainer.diversity_weight,
            **values,
            "score": share
            + _VALUE_PRICE * values.get("value", 0.0)
            - _DIVERSITY_PRICE * max(0.0, self._settings.diversity_floor - ratio),
        }
