"""Comparison of a treatment with the control by the differences of whole songs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from experiments.statistics.betting import Floats, Side, check_alpha, confidence_sequence, log_e_process
from experiments.statistics.errors import StatisticsError

_DRAWS: Final = 10_000
_SEED: Final = 20240215


class Verdict(StrEnum):
    """Result of a comparison. Once it is not `UNDECIDED`, further songs do not change it.

    Other verdicts on the songs that led to it may: see `compare`.
    """

    BETTER = "better"
    """The treatment is better than the control."""
    WORSE = "worse"
    """The treatment is worse than the control."""
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Evidence on the mean difference of treatment and control, in acceptance (from -1 to 1)."""

    songs: int
    """Number of differences: songs in the paired design, pairs of songs in the sticky one."""
    mean: float
    """Mean of the differences; 0 without any."""
    low: float
    """Lower end of the confidence sequence."""
    high: float
    """Upper end of the confidence sequence."""
    log_e_better: float
    """Logarithm of the e-value for "better", after the last song."""
    log_e_worse: float
    """Logarithm of the e-value for "worse", after the last song."""
    log_threshold: float
    """Logarithm of the e-value at which a decision falls: log(2 / alpha)."""
    decision: Verdict
    """Decision by the first e-value that reached the threshold; later songs do not change it."""
    decided_at: int | None
    """Number of songs at which the decision fell; None while it is open."""
    probability_better: float
    """Probability that the mean is positive, by the Bayesian bootstrap. It decides nothing and has no guarantee."""


def compare(differences: Sequence[float] | Floats, *, alpha: float, treatments: int = 1) -> Comparison:
    """Compare by the differences of whole songs, in the order in which they were completed.

    Everything is computed from the differences as they are now. More of them at the end never change a decision. If
    earlier ones changed or moved, as after an undo, an e-value may never have reached the threshold.

    Two one-sided tests, for better and for worse, have alpha / 2 each. With several treatments each comparison has
    alpha / `treatments` (Bonferroni), so the probability of any false decision in the experiment is at most alpha.

    Args:
        differences: acceptance of the treatment less that of the control, from -1 to 1. In the paired design they are
            of the same song; in the sticky design, of the i-th whole song of each.
        alpha: bound on the probability of a false decision, ever.
        treatments: number of treatments that share alpha.

    Returns:
        The comparison.

    Raises:
        StatisticsError: alpha, the number of treatments or a difference is out of range.
    """
    check_alpha(alpha)
    if treatments < 1:
        raise StatisticsError(f"the number of treatments must be at least 1, got {treatments}")
    each = alpha / treatments
    differences_N = np.asarray(differences, dtype=np.float64)
    better_N = log_e_process(differences_N, 0.0, -1.0, 1.0)
    worse_N = log_e_process(differences_N, 0.0, -1.0, 1.0, Side.LESS)
    lower_N, upper_N = confidence_sequence(differences_N, low=-1.0, high=1.0, alpha=each)
    log_threshold = math.log(2 / each)
    decision, decided_at = _decide(better_N, worse_N, log_threshold)
    return Comparison(
        songs=differences_N.size,
        mean=float(differences_N.mean()) if differences_N.size else 0.0,
        low=_last(lower_N, -1.0),
        high=_last(upper_N, 1.0),
        log_e_better=_last(better_N, 0.0),
        log_e_worse=_last(worse_N, 0.0),
        log_threshold=log_threshold,
        decision=decision,
        decided_at=decided_at,
        probability_better=probability_positive(differences_N),
    )


def probability_positive(differences: Sequence[float] | Floats) -> float:
    """Return the probability that the mean difference is positive, by the Bayesian bootstrap.

    The weights of the songs are drawn from a Dirichlet distribution (Rubin, "The Bayesian bootstrap", Annals of
    Statistics 9 (1981)). Half an imagined song at each end of the range keeps one song from being certain (Ferguson,
    "A Bayesian analysis of some nonparametric problems", Annals of Statistics 1 (1973)). The seed is fixed, so the same
    songs give the same number.

    Args:
        differences: differences of whole songs, from -1 to 1, in any order.

    Returns:
        Probability; 0.5 without songs.
    """
    array = np.asarray(differences, dtype=np.float64)
    if not array.size:
        return 0.5
    values_V, counts_V = np.unique(array, return_counts=True)
    # Weights of equal songs are added: their sum is gamma distributed, too.
    values_V = np.concatenate((values_V, [-1.0, 1.0]))
    shapes_V = np.concatenate((counts_V, [0.5, 0.5]))
    generator = np.random.default_rng(_SEED)
    sums = generator.standard_gamma(shapes_V, size=(_DRAWS, shapes_V.size)) @ values_V
    return float(np.mean(sums > 0))


def _decide(better_N: Floats, worse_N: Floats, log_threshold: float) -> tuple[Verdict, int | None]:
    """Return the first decision, and after how many songs it fell."""
    firsts = [
        (int(np.argmax(process_N >= log_threshold)) + 1, verdict)
        for process_N, verdict in ((better_N, Verdict.BETTER), (worse_N, Verdict.WORSE))
        if bool(np.any(process_N >= log_threshold))
    ]
    if not firsts:
        return Verdict.UNDECIDED, None
    song, verdict = min(firsts)
    return verdict, song


def _last(values: Floats, default: float) -> float:
    return float(values[-1]) if values.size else default
