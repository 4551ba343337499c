"""Learning from verdicts: the reward of an LC-GAN for sentences that curators accept, and the limit of its shift.

The generator continues from that of the base version, with the reward in its loss. A generator that follows a reward
as far as it can writes fewer different sentences. So the new generator is not used as it is, but the point on the line
from the base's weights to its own (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903)
that has the highest mean value of all whose sentences are as different as the base's, and copy as little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from handlers.model.generator import Generator
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.model import Cvae
from training.lcgan.labels import DecodedSample
from training.tracking.port import Run
from training.verdicts.features import TextFeatures
from training.verdicts.rows import Verdicts
from training.verdicts.value import ValueFunction, fit_value

LEARNING_VERSION: Final = 1
"""Version of this way of learning: with another, the stage is trained again."""
_POINTS: Final = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1)
"""Shares of the way from the base's weights that are tried."""
TOLERANCE: Final = 0.01
"""Accepted loss of distinct-2, and gain of copies, relative to the base's."""


class Decoder(Protocol):
    """Decodes vectors of the prior, shifted by a generator; see `training.lcgan.labels.Labeller`."""

    def decode(self, topics: Sequence[int], generator: Generator | None, *, seed: int) -> DecodedSample:
        """Return a sample of labelled sentences, one per topic."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """Verdicts to learn from, and how much they count."""

    verdicts: Verdicts
    weight: float
    """Weight of the loss -log P(accepted | z', a) in the generator's loss."""
    seed: int

    def fit(
        self, model: Cvae, vocabulary: Vocabulary, topics: TopicModel, texts: Sequence[str], run: Run
    ) -> tuple[ValueFunction, dict[str, float]]:
        """Fit the value function; return it with its figures.

        Args:
            model: CVAE whose encoder gives the latent vectors of sentences.
            vocabulary: its vocabulary.
            topics: topic model.
            texts: real sentences.
            run: gets the facts of the verdicts.

        Raises:
            NotLearnedError: the verdicts are predicted no better than by a constant.
        """
        value, scores = fit_value(TextFeatures.fit(model, vocabulary, topics, texts), self.verdicts, seed=self.seed)
        run.log_params({"verdicts": str(self.verdicts), "verdicts_sha256": self.verdicts.sha256})
        run.log_params({"verdicts_weight": self.weight})
        figures = {
            "verdicts": float(len(self.verdicts.rows)),
            "verdicts.accepted": float(self.verdicts.accepted),
            "verdicts.edited": float(self.verdicts.edited),
            "value.auc": scores.auc,
            "value.explained": scores.explained,
        }
        return value, figures


def limited(
    base: Generator, learned: Generator, decoder: Decoder, *, desired: int, count: int, seed: int
) -> tuple[Generator, Mapping[str, float]]:
    """Return the best generator on the line from a base to a learned one, and figures of its sentences and the base's.

    All points are compared on the same latent vectors and random numbers. The base itself is a point: if no other is
    within the limits, it is returned.

    Args:
        base: generator of the base version.
        learned: generator that continued from it.
        decoder: decodes and values samples.
        desired: topic to steer to.
        count: number of sentences to compare on.
        seed: seed of the sentences.
    """
    before = decoder.decode([desired] * count, base, seed=seed)
    best, best_share, best_sample = base, 0.0, before
    for share in _POINTS:
        generator = between(base, learned, share)
        sample = decoder.decode([desired] * count, generator, seed=seed)
        if _within(sample, before) and (sample.value or 0.0) > (best_sample.value or 0.0):
            best, best_share, best_sample = generator, share, sample
    figures = {
        "value.before": before.value or 0.0,
        "value.after": best_sample.value or 0.0,
        "way": best_share,
        "distinct_2.before": before.distinct_2,
        "distinct_2.after": best_sample.distinct_2,
        "copied.before": before.copied,
        "copied.after": best_sample.copied,
    }
    return best, figures


def between(base: Generator, learned: Generator, share: float) -> Generator:
    """Return a generator on the line between the weights of two: at 0 the base, at 1 the learned one."""
    generator = Generator(base.config)
    start, end = base.state_dict(), learned.state_dict()
    generator.load_state_dict({name: start[name] + share * (end[name] - start[name]) for name in start})
    return generator.eval().requires_grad_(requires_grad=False)


def _within(sample: DecodedSample, before: DecodedSample) -> bool:
    different = sample.distinct_2 >= (1 - TOLERANCE) * before.distinct_2
    return different and sample.copied <= (1 + TOLERANCE) * before.copied
