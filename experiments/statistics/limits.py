"""Limits of harm: whether a treatment is beyond the control by more than is allowed, read after every observation.

Each limit is a bet against "the treatment is at most so much worse than the control" (`betting.MeanTest`). Observations
are differences of one treatment's observation and one of the control's from about the same time, so what happens to
both, such as a slow hour of the host, cancels. A limit speaks when its e-value reaches 1 / alpha once.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from experiments.statistics.betting import check_alpha, log_e_process
from experiments.statistics.errors import StatisticsError

TOLERANCE: Final = 0.05
"""Share of answers beyond the limit of time, more than the control's, up to which a version is not called slow."""
_WINDOW: Final = 200
"""Answers of the control of which the 95th percentile is taken: the latest ones, since hosts have slow hours."""
_LEAST: Final = 20
"""Answers of the control before the percentile is used."""


class Limit(StrEnum):
    """Kind of harm."""

    FAILURES = "failures"
    SLOWNESS = "slowness"
    COPIES = "copies"
    ACCEPTANCE = "acceptance"


NUM_LIMITS: Final = len(Limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """Limit that a treatment is beyond."""

    limit: Limit
    excess: float
    """Mean difference to the control when the limit spoke, in the direction of harm, as a share from -1 to 1."""
    allowed: float
    """Difference that is allowed, likewise."""
    observations: int
    """Number of differences after which the limit spoke."""
    log_e: float
    """Natural logarithm of the e-value at that moment."""
    slowdown: float | None = None
    """95th percentile of the treatment's time of an answer over that of the control's; only of slowness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedAnswer:
    """Time of one answer."""

    is_treatment: bool
    """Whether the treatment answered; otherwise the control did."""
    total_ms: float
    """Time in milliseconds."""


def alpha_each(alpha: float, *, treatments: int) -> float:
    """Return the level of one limit of one treatment (Bonferroni).

    Args:
        alpha: bound on the probability that any limit ever stops a treatment that is within all of them.
        treatments: number of treatments.

    Returns:
        alpha by the number of limits and treatments.

    Raises:
        StatisticsError: alpha or the number is out of range.
    """
    check_alpha(alpha)
    if treatments < 1:
        raise StatisticsError(f"the number of treatments must be at least 1, got {treatments}")
    return alpha / (NUM_LIMITS * treatments)


def find_excess(limit: Limit, differences: Sequence[float], *, allowed: float, alpha: float) -> Breach | None:
    """Return the breach of a limit, if the differences exceed what is allowed.

    Args:
        limit: kind of harm, for the breach.
        differences: treatment less control, in the direction of harm, from -1 to 1, in order of time.
        allowed: mean difference that is allowed, from -1 to 1, both exclusive.
        alpha: bound on the probability that it ever speaks of a treatment within the limit.

    Returns:
        The breach at the first moment at which it showed; None without one.

    Raises:
        StatisticsError: an argument is out of range.
    """
    check_alpha(alpha)
    log_e_N = log_e_process(list(differences), allowed, -1.0, 1.0)
    beyond_N = log_e_N >= -math.log(alpha)
    if not bool(beyond_N.any()):
        return None
    first = int(np.argmax(beyond_N))
    return Breach(
        limit=limit,
        excess=float(np.mean(np.asarray(differences[: first + 1]))),
        allowed=allowed,
        observations=first + 1,
        log_e=float(log_e_N[first]),
    )


def find_failures(
    treatment: Sequence[bool], control: Sequence[bool], *, max_increase: float, alpha: float
) -> Breach | None:
    """Return the breach if the treatment fails more of its requests than the control, by more than is allowed.

    Args:
        treatment: whether each request of the treatment failed, in order of time.
        control: likewise; the i-th is set against the i-th of the treatment.
        max_increase: share of failed requests, more than the control's, that is allowed.
        alpha: bound on the probability that it ever speaks of a treatment within the limit.

    Returns:
        The breach; None without one.

    Raises:
        StatisticsError: an argument is out of range.
    """
    differences = [float(failed) - float(other) for failed, other in zip(treatment, control, strict=False)]
    return find_excess(Limit.FAILURES, differences, allowed=max_increase, alpha=alpha)


def find_slowness(answers: Iterable[TimedAnswer], *, max_slowdown: float, alpha: float) -> Breach | None:
    """Return the breach if the treatment is slower than the control, by more than is allowed.

    The i-th answer of the treatment is set against the i-th of the control. Half of the capital bets against "at most
    `TOLERANCE` more of the treatment's answers are slow than of the control's", where an answer is slow if it took more
    than `max_slowdown` times the 95th percentile of the control's latest answers before it. The other half bets against
    "at most half of the treatment's answers took more than `max_slowdown` times as long as the control's", which tells
    while the percentile is not known yet, or is high because of a busy hour.

    Args:
        answers: times of the answers of both, in order of time.
        max_slowdown: time of an answer, over the control's, that is allowed; more than 1.
        alpha: bound on the probability that it ever speaks of a treatment for which both claims are true.

    Returns:
        The breach; None without one.

    Raises:
        StatisticsError: an argument is out of range.
    """
    check_alpha(alpha)
    if not max_slowdown > 1:
        raise StatisticsError(f"max_slowdown must be more than 1, got {max_slowdown:g}")
    pairs = _pair(answers, max_slowdown=max_slowdown)
    if not pairs:
        return None
    # Pairs from before the percentile was known stand at the beginning, and bet nothing.
    shares = [pair.excess for pair in pairs if pair.excess is not None]
    by_share_N = np.concatenate((np.zeros(len(pairs) - len(shares)), log_e_process(shares, TOLERANCE, -1.0, 1.0)))
    longer = [float(pair.treatment_ms > max_slowdown * pair.control_ms) for pair in pairs]
    log_e_N = np.logaddexp(by_share_N, log_e_process(longer, 0.5, 0.0, 1.0)) - math.log(2)
    beyond_N = log_e_N >= -math.log(alpha)
    if not bool(beyond_N.any()):
        return None
    first = int(np.argmax(beyond_N))
    seen = pairs[: first + 1]
    times = np.array([(pair.treatment_ms, pair.control_ms) for pair in seen])
    slower, slow = np.percentile(times, 95, axis=0)
    return Breach(
        limit=Limit.SLOWNESS,
        excess=float(np.mean([pair.excess or 0.0 for pair in seen])),
        allowed=TOLERANCE,
        observations=first + 1,
        log_e=float(log_e_N[first]),
        slowdown=float(slower / max(slow, 1e-9)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Answers of the treatment and the control of about the same time."""

    treatment_ms: float
    control_ms: float
    excess: float | None
    """Whether the treatment's was slow less whether the control's was; None while the percentile is not known."""


def _pair(answers: Iterable[TimedAnswer], *, max_slowdown: float) -> list[_Pair]:
    latest: deque[float] = deque()
    ordered: list[float] = []
    sides: tuple[list[tuple[float, bool | None]], list[tuple[float, bool | None]]] = ([], [])
    for answer in answers:
        is_slow = None
        if len(ordered) >= _LEAST:
            # The percentile is of earlier answers only, so each bet is made before its observation.
            is_slow = answer.total_ms > max_slowdown * ordered[math.ceil(0.95 * len(ordered)) - 1]
        sides[answer.is_treatment].append((answer.total_ms, is_slow))
        if not answer.is_treatment:
            latest.append(answer.total_ms)
            insort(ordered, answer.total_ms)
            if len(latest) > _WINDOW:
                del ordered[bisect_left(ordered, latest.popleft())]
    return [
        _Pair(
            treatment_ms=treatment_ms,
            control_ms=control_ms,
            excess=None if ours is None or theirs is None else float(ours) - float(theirs),
        )
        for (control_ms, theirs), (treatment_ms, ours) in zip(*sides, strict=False)
    ]
