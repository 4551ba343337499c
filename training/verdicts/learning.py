"""Learning from verdicts: the reward of an LC-GAN for sentences that curators accept, and the limit of its shift.

The generator continues from that of the base version, with the reward in its loss. A generator that follows a reward
as far as it can writes fewer different sentences. So the new generator is not used as it is, but the point on the line
from the base's weights to its own (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv 2109.01903)
that has the highest mean value of all whose sentences, as they are served, are as different as the base's and copy as
little.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.copies import CopyTable
from handlers.model.generator import Generator
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.model import Cvae
from training.measures import distinct
from training.settings import LcganSettings
from training.tracking.port import Run
from training.verdicts.features import TextFeatures
from training.verdicts.rows import Verdicts
from training.verdicts.value import ValueFunction, fit_value

LEARNING_VERSION: Final = 2
"""Version of this way of learning: with another, the stage is trained again."""
LEARNED_SHARE: Final = "learned_share"
"""Figure: share of the way from the base's weights to the learned ones; 0 if the base is kept."""
_POINTS: Final = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1)
"""Shares of the way from the base's weights that are tried."""
_REQUESTS_AT_ONCE: Final = 64
TOLERANCE: Final = 0.01
"""Accepted loss of distinct-2, relative to the base's, and accepted rise of the share of copies."""
_COPY_PRICE: Final = 0.5
"""Share of its value that a sentence loses in the reward by a long run of words of the training text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Sentences that a generator's version would serve."""

    value: float
    """Mean of the lower probability that curators accept them."""
    distinct_2: float
    copied: float
    """Share of sentences with a long run of words of the training text."""


def reward_values(value: ValueFunction, copies: CopyTable | None) -> Callable[[Sequence[str]], Tensor]:
    """Return the values by which the LC-GAN is rewarded: those of sentences, less a price for copies."""

    def values(texts: Sequence[str]) -> Tensor:
        found_N = value(texts)
        if copies is None:
            return found_N
        return found_N * (1 - _COPY_PRICE * torch.tensor([float(bool(count)) for count in copies.count(texts)]))

    return values


class ServedWriter:
    """Writer of a version's sentences as a worker serves them: the best candidate of each sample.

    Args:
        base: complete bundle of the base version, whose generator is replaced.
        value: value function.
        genres: genres of the requests, one request each.
        seed: seed of the requests.
    """

    def __init__(self, base: Bundle, value: ValueFunction, genres: Sequence[Sequence[str]], *, seed: int) -> None:
        self._base, self._value = base, value
        self._requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=1, seed=derive_seed(seed, number))
            for number, labels in enumerate(genres)
        ]

    def write(self, generator: Generator) -> Written:
        """Answer the requests with a generator, and measure the sentences."""
        commentator = Commentator(replace(self._base, generator=generator))
        texts = [
            response.samples[0].text
            for start in range(0, len(self._requests), _REQUESTS_AT_ONCE)
            for response in commentator.answer(self._requests[start : start + _REQUESTS_AT_ONCE])
        ]
        copies = self._base.copies
        return Written(
            value=float(self._value(texts).mean()),
            distinct_2=distinct(texts, 2),
            copied=0.0 if copies is None else sum(map(bool, copies.count(texts))) / max(1, len(texts)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """Verdicts to learn from, and how much they count."""

    verdicts: Verdicts
    weight: float
    """Weight of the loss -log P(accepted | z', a) in the generator's loss."""
    seed: int

    @staticmethod
    def settings(settings: LcganSettings) -> LcganSettings:
        """Return the settings of the LC-GAN that learns: it continues, and is diverse from the beginning."""
        return replace(settings, steps=max(1, settings.steps // 2), diversity_weight=2 * settings.diversity_weight)

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
    base: Generator, learned: Generator, write: Callable[[Generator], Written]
) -> tuple[Generator, Mapping[str, float]]:
    """Return the best generator on the line from a base to a learned one, and figures of its sentences and the base's.

    The base itself is a point: if no other is within the limits, it is returned.

    Args:
        base: generator of the base version.
        learned: generator that continued from it.
        write: writes and measures the sentences of a generator, for the same requests each time.
    """
    before = write(base)
    best, best_share, after = base, 0.0, before
    for share in _POINTS:
        generator = between(base, learned, share)
        written = write(generator)
        if _within(written, before) and written.value > after.value:
            best, best_share, after = generator, share, written
    figures = {
        LEARNED_SHARE: best_share,
        "value.before": before.value,
        "value.after": after.value,
        "distinct_2.before": before.distinct_2,
        "distinct_2.after": after.distinct_2,
        "copied.before": before.copied,
        "copied.after": after.copied,
    }
    return best, figures


def between(base: Generator, learned: Generator, share: float) -> Generator:
    """Return a generator on the line between the weights of two: at 0 the base, at 1 the learned one."""
    generator = Generator(base.config)
    start, end = base.state_dict(), learned.state_dict()
    generator.load_state_dict({name: start[name] + share * (end[name] - start[name]) for name in start})
    return generator.eval().requires_grad_(requires_grad=False)


def _within(written: Written, before: Written) -> bool:
    different = written.distinct_2 >= (1 - TOLERANCE) * before.distinct_2
    return different and written.copied <= before.copied + TOLERANCE
