"""Learning from verdicts: a version that ranks its candidates by what curators accept, and the reward of its LC-GAN.

Most of what is gained, the ranking gains: the decoder draws words that z leaves open, and the worker chooses among what
was drawn. The generator continues from that of the base version, with the reward in its loss. A generator that follows
a reward as far as it can writes fewer different sentences. So the new generator is not used as it is, but the point on
the line from the base's weights to its own (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", arXiv
2109.01903) that has the highest mean value of all whose sentences, as they are served, are as different as the base's
and copy as little.

Shapes: N texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from handlers.commentary import Commentator
from handlers.contract import CommentaryRequest, RankBy
from handlers.decoding.random_numbers import derive_seed
from handlers.model.bundle import Bundle
from handlers.model.copies import CopyTable
from handlers.model.generator import Generator
from handlers.model.topics import TopicModel
from handlers.model.vocabulary import Vocabulary
from training.cvae.model import Cvae
from training.settings import LcganSettings
from training.tracking.port import Run
from training.verdicts.features import TextFeatures
from training.verdicts.limits import Written, compare
from training.verdicts.rows import Verdicts
from training.verdicts.value import ValueFunction, fit_value

LEARNING_VERSION: Final = 3
"""Version of this way of learning: with another, the stage is trained again."""
LEARNED_SHARE: Final = "learned_share"
"""Figure: share of the way from the base's weights to the learned ones; 0 if the base is kept."""
RANKS_BY_BOTH: Final = "ranks_by_both"
"""Figure: 1 if the version ranks candidates by both where a request does not say, 0 if by acceptability."""
_POINTS: Final = (1.0, 0.85, 0.7, 0.55, 0.4, 0.3, 0.2, 0.1)
"""Shares of the way from the base's weights that are tried."""
_REQUESTS_AT_ONCE: Final = 64
_COPY_PRICE: Final = 0.5
"""Share of its value that a sentence loses in the reward by a long run of words of the training text."""


def reward_values(value: ValueFunction, copies: CopyTable | None) -> Callable[[Sequence[str]], Tensor]:
    """Return the values by which the LC-GAN is rewarded: those of sentences, less a price for copies."""

    def values(texts: Sequence[str]) -> Tensor:
        found_N = value(texts)
        if copies is None:
            return found_N
        return found_N * (1 - _COPY_PRICE * torch.tensor([float(bool(count)) for count in copies.count(texts)]))

    return values


class ServedWriter:
    """Writer of versions' sentences as a worker serves them: the best candidate of each sample, by their rule.

    Args:
        value: value function, with its uncertainty.
        genres: genres of the requests, one request each.
        seed: seed of the requests.
    """

    def __init__(self, value: Callable[[Sequence[str]], Tensor], genres: Sequence[Sequence[str]], *, seed: int) -> None:
        self._value = value
        self._requests = [
            CommentaryRequest(genres=tuple(labels), num_samples=1, seed=derive_seed(seed, number))
            for number, labels in enumerate(genres)
        ]

    def write(self, bundle: Bundle) -> Written:
        """Answer the requests with a complete bundle, and measure the sentences."""
        commentator = Commentator(bundle)
        texts = [
            response.samples[0].text
            for start in range(0, len(self._requests), _REQUESTS_AT_ONCE)
            for response in commentator.answer(self._requests[start : start + _REQUESTS_AT_ONCE])
        ]
        copies = bundle.copies
        return Written(
            texts=tuple(texts),
            values=tuple(self._value(texts).tolist()),
            copied=(False,) * len(texts) if copies is None else tuple(map(bool, copies.count(texts))),
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """Result of learning from verdicts."""

    generator: Generator
    rank_by: RankBy
    """Rule by which the version ranks candidates where a request does not say."""
    figures: Mapping[str, float]


def limited(
    base: Generator,
    learned: Generator | None,
    before: Written,
    write: Callable[[Generator], Written],
) -> Learned:
    """Return the best generator on the line from a base to a learned one, and whether it ranks by both.

    The base itself is a point. Another is better if its value is higher by more than chance, and all have to be within
    the limits (`training.verdicts.limits`) of what the base serves. If none is, the base is kept as it serves.

    Args:
        base: generator of the base version.
        learned: generator that continued from it; None if none did.
        before: sentences that the base version serves.
        write: writes the sentences that a generator's version, ranked by both, serves for the same requests.
    """
    unmoved = write(base)
    best, best_share, after, rank_by = base, 0.0, before, RankBy.ACCEPTABILITY
    if compare(unmoved, before).is_within:
        after, rank_by = unmoved, RankBy.BOTH
    tried = () if learned is None else ((share, between(base, learned, share)) for share in _POINTS)
    for share, generator in tried:
        written = write(generator)
        is_better = compare(written, unmoved).value > 0 and written.value > after.value
        if is_better and compare(written, before).is_within:
            best, best_share, after, rank_by = generator, share, written, RankBy.BOTH
    figures = {
        RANKS_BY_BOTH: float(rank_by is RankBy.BOTH),
        "value.before": before.value,
        "value.after": after.value,
        "distinct_2.before": before.distinct_2,
        "distinct_2.after": after.distinct_2,
        "copied.before": before.copied_share,
        "copied.after": after.copied_share,
    }
    if learned is not None:
        figures |= {LEARNED_SHARE: best_share, "value.unmoved": unmoved.value}
    return Learned(generator=best, rank_by=rank_by, figures=figures)


def between(base: Generator, learned: Generator, share: float) -> Generator:
    """Return a generator on the line between the weights of two: at 0 the base, at 1 the learned one."""
    generator = Generator(base.config)
    start, end = base.state_dict(), learned.state_dict()
    generator.load_state_dict({name: start[name] + share * (end[name] - start[name]) for name in start})
    return generator.eval().requires_grad_(requires_grad=False)
