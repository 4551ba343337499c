"""Figures with intervals: bootstrap over samples, jackknife over groups of them.

Every row of the report has one set of samples per seed. A figure's value is the mean over the seeds; a replicate
resamples each seed's samples and takes the mean again; the interval holds the middle 95% of the replicates. Samples are
drawn by weights, the same for every metric of a size, so a metric of per-sample numbers costs one product.

Shapes: R replicates, N samples of a set, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.evaluation.words import FloatArray, IntArray

_LOW, _HIGH = 2.5, 97.5
_Z: Final = 1.96
_AUC_REPLICATES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Value of a metric of a row, with its interval."""

    value: float
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end of the 95% interval."""
    per_seed: tuple[float, ...]

    def document(self) -> dict[str, object]:
        """Return the document of report.json."""
        return {"value": self.value, "low": self.low, "high": self.high, "per_seed": list(self.per_seed)}


@dataclass(frozen=True, slots=True)
class Resampler:
    """Draws of samples with replacement, as counts."""

    replicates: int = 1000
    seed: int = 0
    _weights: dict[tuple[int, int], NDArray[np.float32]] = field(default_factory=dict)

    def weights(self, number: int, size: int) -> NDArray[np.float32]:
        """Return how often each sample of set `number` is drawn in each replicate, [R, N], drawn once per size."""
        if (number, size) not in self._weights:
            generator = np.random.default_rng((self.seed, number, size))
            drawn_RN = generator.integers(0, size, (self.replicates, size), dtype=np.int64)
            drawn_RN += np.arange(self.replicates)[:, None] * size
            counts = np.bincount(drawn_RN.ravel(), minlength=self.replicates * size)
            self._weights[number, size] = counts.reshape(self.replicates, size).astype(np.float32)
        return self._weights[number, size]

    def ratio(
        self,
        numerators: Sequence[FloatArray],
        denominators: Sequence[FloatArray] | None = None,
        transform: Callable[[FloatArray], FloatArray] = np.asarray,
        *,
        common: bool = False,
    ) -> Figure:
        """Compute a function of the ratio of the numerators' sum to the denominators' sum.

        Args:
            numerators: numbers per sample, [N], of each set.
            denominators: numbers per sample, [N], of each set; 1 by default, which gives a mean.
            transform: function of the ratio, for the value and each replicate.
            common: whether the sets measure the same samples, as several models on one held-out text, and share draws.
        """
        values, replicates = [], []
        for number, numerator_N in enumerate(numerators):
            denominator_N = np.ones(len(numerator_N)) if denominators is None else denominators[number]
            if not denominator_N.sum():
                continue
            values.append(float(transform(numerator_N.sum() / denominator_N.sum())))
            weights_RN = self.weights(0 if common else number, len(numerator_N))
            sums_R2 = weights_RN @ np.stack((numerator_N, denominator_N), axis=1).astype(np.float32)
            above_R, below_R = sums_R2.astype(np.float64).T
            replicates.append(transform(above_R / np.where(below_R > 0, below_R, np.nan)))
        return _figure(values, replicates)

    def auc(self, sets: Sequence[tuple[FloatArray, FloatArray]]) -> Figure:
        """Area under the ROC curve of each set's scores of positives and negatives; NaN is left out."""
        values, replicates = [], []
        for number, sides in enumerate(sets):
            positive, negative = (scores[~np.isnan(scores)] for scores in sides)
            if not (len(positive) and len(negative)):
                continue
            values.append(auc(positive, negative))
            weights = [
                self.weights(2 * number + side, len(scores))[:_AUC_REPLICATES].astype(np.float64)
                for side, scores in enumerate((positive, negative))
            ]
            replicates.append(_weighted_auc(positive, negative, *weights))
        return _figure(values, replicates)


def jackknife(values: Sequence[float], left_out: Sequence[FloatArray]) -> Figure:
    """Compute a figure that is not a mean from its value on each set, and on each set without each of G groups.

    The jackknife serves counts of kinds (distinct n-grams), which drawing with replacement would bias by repeating
    samples.
    """
    spreads = [(len(each) - 1) / len(each) * float(((each - each.mean()) ** 2).sum()) for each in left_out]
    value = float(np.mean(values))
    # The sets are independent: the variance of their mean is the mean variance over their number.
    half = _Z * math.sqrt(float(np.mean(spreads)) / len(spreads))
    return Figure(value=value, low=value - half, high=value + half, per_seed=tuple(map(float, values)))


def auc(positive: FloatArray, negative: FloatArray) -> float:
    """Probability that a positive scores above a negative; equal scores count half.

    >>> auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ones = np.ones((1, len(positive))), np.ones((1, len(negative)))
    return float(_weighted_auc(positive, negative, *ones)[0])


def _weighted_auc(positive: FloatArray, negative: FloatArray, above_RN: FloatArray, below_RN: FloatArray) -> FloatArray:
    scores, group = np.unique(np.concatenate((positive, negative)), return_inverse=True)
    result = np.empty(len(above_RN))
    # Replicate by replicate, since all at once would need several arrays of R times both sets.
    for row, (above_N, below_N) in enumerate(zip(above_RN, below_RN, strict=True)):
        up = np.bincount(group[: len(positive)], weights=above_N, minlength=len(scores))
        down = np.bincount(group[len(positive) :], weights=below_N, minlength=len(scores))
        below = np.cumsum(down) - down / 2
        result[row] = (up @ below) / (up.sum() * down.sum())
    return result


def groups(size: int, number: int = 20) -> IntArray:
    """Assign samples to groups of similar sizes: [N]."""
    return np.arange(size) % min(number, max(size, 1))


def _figure(values: Sequence[float], replicates: Sequence[FloatArray]) -> Figure:
    if not values:
        return Figure(value=math.nan, low=math.nan, high=math.nan, per_seed=())
    mean_R = np.mean(replicates, axis=0)
    # A replicate may draw none of the few samples that count; if all do, only the value is known.
    drawn_R = mean_R[~np.isnan(mean_R)]
    low, high = np.percentile(drawn_R, [_LOW, _HIGH]) if len(drawn_R) else (np.mean(values), np.mean(values))
    return Figure(value=float(np.mean(values)), low=float(low), high=float(high), per_seed=tuple(map(float, values)))
