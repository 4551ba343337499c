"""Sums of blind ratings: how much of each source readers would post, how far readers and figures agree.

Shapes: N sentences.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from training.evaluation.intervals import Figure, Resampler
from training.evaluation.readers.ratings import SCALES, Rating
from training.evaluation.words import FloatArray

REAL_SOURCES: Final = ("held-out real text", "real")
"""Names of the source of real text, by which the others are divided."""
_Z: Final = 1.96


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRatings:
    """Ratings of one source, each a mean over its sentences and readers."""

    source: str
    sentences: int
    grammar: float
    sense: float
    flavour: float
    accept: float
    low: float
    """Lower end of Wilson's 95% interval of `accept` over the sentences."""
    high: float
    accept_of_real: float
    """Ratio of `accept` to real text's by the same reader, mean over readers; NaN without real text."""
    flavour_of_real: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement of two readers about `accept`."""

    readers: tuple[str, str]
    sentences: int
    agreed: float
    kappa: float
    """Cohen's kappa: 1 is perfect, 0 is chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of one figure with readers, over sentences."""

    figure: str
    grammar: float
    """Spearman's rank correlation with the readers' mean grade; so for the next two."""
    sense: float
    flavour: float
    auc: Figure
    """Area under the curve of the figure for "would post"; 0.5 is chance, below it low figures are posted."""
    auc_samples: Figure
    """The same without real text."""
    over_sources: float
    """Spearman's rank correlation of the sources' means with the share that readers would post."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadersReport:
    """Sums of blind ratings."""

    sources: tuple[SourceRatings, ...]
    kappas: tuple[Kappa, ...]
    figures: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """Rated sentence, with means over its readers."""

    source: str
    text: str
    grades: Mapping[str, float]
    """Mean of each scale, and of `accept`."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share of a number of sentences.

    >>> [round(end, 3) for end in wilson(0.5, 100)]
    [0.404, 0.596]
    """
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * math.sqrt(share * (1 - share) / count + (_Z / (2 * count)) ** 2)
    return max(0.0, middle - half), min(1.0, middle + half)


def by_source(ratings: Sequence[Rating]) -> list[SourceRatings]:
    """Sum up the sources, the most acceptable first."""
    grouped: dict[str, list[Rating]] = defaultdict(list)
    for rating in ratings:
        grouped[rating.source].append(rating)
    real = next((grouped[name] for name in REAL_SOURCES if name in grouped), [])
    found = []
    for source, own in grouped.items():
        accept = _mean(own, "accept")
        # A second reader of the same sentences does not make them more sentences.
        sentences = len({rating.text for rating in own})
        low, high = wilson(accept, sentences)
        found.append(
            SourceRatings(
                source=source,
                sentences=sentences,
                **{name: _mean(own, name) for name in SCALES},
                accept=accept,
                low=low,
                high=high,
                accept_of_real=_over_real(own, real, "accept"),
                flavour_of_real=_over_real(own, real, "flavour"),
            )
        )
    return sorted(found, key=lambda each: -each.accept)


def kappas(ratings: Sequence[Rating]) -> list[Kappa]:
    """Cohen's kappa of each pair of readers who rated the same sentences."""
    accepted: dict[str, dict[tuple[str, str], int]] = defaultdict(dict)
    for rating in ratings:
        accepted[rating.reader][rating.source, rating.text] = rating.accept
    found = []
    for one, other in combinations(accepted, 2):
        both = sorted(accepted[one].keys() & accepted[other].keys())
        if not both:
            continue
        agreed = float(np.mean([accepted[one][each] == accepted[other][each] for each in both]))
        first, second = (float(np.mean([accepted[name][each] for each in both])) for name in (one, other))
        chance = first * second + (1 - first) * (1 - second)
        # Two readers who accept all, or nothing, agree by chance alone.
        kappa = (agreed - chance) / (1 - chance) if chance < 1 else math.nan
        found.append(Kappa(readers=(one, other), sentences=len(both), agreed=agreed, kappa=kappa))
    return found


def sentences_of(ratings: Sequence[Rating]) -> list[Sentence]:
    """Collect the rated sentences, with means over their readers."""
    grouped: dict[tuple[str, str], list[Rating]] = defaultdict(list)
    for rating in ratings:
        grouped[rating.source, rating.text].append(rating)
    return [
        Sentence(source=source, text=text, grades={name: _mean(own, name) for name in (*SCALES, "accept")})
        for (source, text), own in grouped.items()
    ]


def agreement(
    sentences: Sequence[Sentence], figures: Mapping[str, FloatArray], resampler: Resampler
) -> list[Agreement]:
    """Compare figures of the sentences with the readers' grades, the figure that agrees best first.

    Args:
        sentences: rated sentences.
        figures: numbers of each sentence, [N], by the name of their figure.
        resampler: draws of the intervals.
    """
    grades = {name: np.array([each.grades[name] for each in sentences]) for name in (*SCALES, "accept")}
    sampled_N = np.array([each.source not in REAL_SOURCES for each in sentences], dtype=np.bool_)
    sources = np.array([each.source for each in sentences])
    found = []
    for name, values_N in figures.items():
        found.append(
            Agreement(
                figure=name,
                **{scale: _spearman(values_N, grades[scale]) for scale in SCALES},
                auc=_auc(values_N, grades["accept"], resampler),
                auc_samples=_auc(values_N[sampled_N], grades["accept"][sampled_N], resampler),
                over_sources=_over_sources(values_N, grades["accept"], sources),
            )
        )
    return sorted(found, key=lambda each: -abs(each.auc.value - 0.5) if math.isfinite(each.auc.value) else 0.0)


def _mean(ratings: Sequence[Rating], name: str) -> float:
    return float(np.mean([getattr(rating, name) for rating in ratings]))


def _over_real(own: Sequence[Rating], real: Sequence[Rating], name: str) -> float:
    """Mean over readers of the ratio of a grade to the same reader's of real text."""
    ratios = []
    for reader in sorted({rating.reader for rating in own}):
        of_real = [rating for rating in real if rating.reader == reader]
        if of_real and _mean(of_real, name):
            mine = [rating for rating in own if rating.reader == reader]
            ratios.append(_mean(mine, name) / _mean(of_real, name))
    return float(np.mean(ratios)) if ratios else math.nan


def _spearman(one_N: FloatArray, other_N: FloatArray) -> float:
    """Rank correlation; NaN where one of the two is constant."""
    if len(np.unique(one_N)) < 2 or len(np.unique(other_N)) < 2:
        return math.nan
    return float(spearmanr(one_N, other_N).statistic)


def _auc(values_N: FloatArray, accept_N: FloatArray, resampler: Resampler) -> Figure:
    posted_N = accept_N >= 0.5  # of two readers, one is enough
    return resampler.auc([(values_N[posted_N], values_N[~posted_N])])


def _over_sources(values_N: FloatArray, accept_N: FloatArray, sources: np.ndarray) -> float:
    names = np.unique(sources)
    means = [np.array([float(each[sources == name].mean()) for name in names]) for each in (values_N, accept_N)]
    return _spearman(*means) if len(names) > 2 else math.nan
