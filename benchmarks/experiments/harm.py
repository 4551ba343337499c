"""Simulated days of a version beside the control: an identical one, one at its limits, and sabotaged ones.

Both share what the host does: hours with eight times the load, bursts of failures. Times are lognormal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.random import Generator

from benchmarks.experiments.curators import EACH, paired_differences
from experiments.definition import Guardrails
from experiments.statistics.betting import Floats
from experiments.statistics.limits import (
    Breach,
    Limit,
    TimedAnswer,
    alpha_each,
    find_excess,
    find_failures,
    find_slowness,
)

LIMITS: Final = Guardrails()
_ALPHA: Final = alpha_each(LIMITS.alpha, treatments=1)
GOAL: Final = 200
"""Requests of a sabotaged version within which it should be stopped."""
_JUDGED: Final = 100
"""Songs of a day that are judged."""
_SPREAD: Final = 0.5
"""Standard deviation of the logarithm of the time of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sabotage:
    """Faults of a version."""

    slowdown: float = 1.0
    failures: float = 0.0
    """Share of failed requests, more than the control's."""
    copies: float = 0.0
    """Share of copied samples, more than the control's."""
    acceptance: float = 0.5
    """Its acceptance; the control's is 0.5."""
    max_error_increase: float = LIMITS.max_error_increase
    """Limit of failures under which it runs."""


HARM: Final[Mapping[str, Sabotage]] = {
    "three_times_slower": Sabotage(slowdown=3.0),
    "failures_20": Sabotage(failures=0.2),
    "failures_20_if_5_are_allowed": Sabotage(failures=0.2, max_error_increase=0.05),
    "copies": Sabotage(copies=0.5),
}


def false_rollbacks(generator: Generator, *, days: int, requests: int) -> dict[str, float]:
    """Return the shares of days on which a version is stopped that should not be.

    Args:
        generator: source of randomness.
        days: number of simulated days.
        requests: requests of each version on a day.

    Returns:
        Share for an identical version, and for one that is exactly at its limits of failures and copies.
    """
    same, edge = Sabotage(), Sabotage(failures=LIMITS.max_error_increase, copies=LIMITS.max_copy_increase)
    return {
        "identical": float(np.mean([bool(simulate_day(generator, same, requests)) for _ in range(days)])),
        "at_the_limits": float(np.mean([bool(simulate_day(generator, edge, requests)) for _ in range(days)])),
    }


def detection(generator: Generator, *, runs: int, requests: int) -> dict[str, dict[str, float]]:
    """Return after how many of its requests each sabotaged version is stopped.

    Args:
        generator: source of randomness.
        runs: number of runs for each.
        requests: requests of each version in a run.

    Returns:
        By fault: median and 99th percentile of the requests, share of runs that stopped it within `GOAL`.
    """
    return {name: _detect(generator, fault, runs=runs, requests=requests) for name, fault in HARM.items()}


def simulate_day(generator: Generator, fault: Sabotage, requests: int) -> dict[Limit, int]:
    """Return the limits that spoke on a simulated day.

    Args:
        generator: source of randomness.
        fault: faults of the version.
        requests: requests of each version.

    Returns:
        Number of the version's requests after which each limit spoke.
    """
    busy = _hours(generator, requests)
    base = np.where(busy > 4, 0.05, 0.005)
    theirs, ours = (generator.random(requests) < base + more for more in (0.0, fault.failures))
    times = [busy * generator.lognormal(4, _SPREAD, requests) * slower for slower in (1.0, fault.slowdown)]
    copied, control_copied = (generator.binomial(EACH, 0.03 + more, requests) / EACH for more in (fault.copies, 0.0))
    (losses,) = -paired_differences(generator, runs=1, songs=min(_JUDGED, requests), rates=(fault.acceptance, 0.5))
    found: tuple[Breach | None, ...] = (
        find_failures(ours.tolist(), theirs.tolist(), max_increase=fault.max_error_increase, alpha=_ALPHA),
        find_slowness(_answers(times, ours, theirs), max_slowdown=LIMITS.max_slowdown, alpha=_ALPHA),
        find_excess(Limit.COPIES, (copied - control_copied).tolist(), allowed=LIMITS.max_copy_increase, alpha=_ALPHA),
        find_excess(Limit.ACCEPTANCE, losses.tolist(), allowed=LIMITS.max_acceptance_loss, alpha=_ALPHA),
    )
    return {breach.limit: breach.observations for breach in found if breach is not None}


def _detect(generator: Generator, fault: Sabotage, *, runs: int, requests: int) -> dict[str, float]:
    firsts = [min(simulate_day(generator, fault, requests).values(), default=math.inf) for _ in range(runs)]
    return {
        "requests_median": float(np.median(firsts)),
        "requests_p99": float(np.quantile(firsts, 0.99, method="higher")),
        "found": float((np.asarray(firsts) <= GOAL).mean()),
    }


def _hours(generator: Generator, requests: int) -> Floats:
    """Return how busy the host is at each request: 1, and in some stretches up to 8."""
    busy = np.ones(requests)
    for _ in range(3):
        start = int(generator.integers(requests))
        busy[start : start + max(1, requests // 12)] = generator.uniform(2, 8)
    return busy


def _answers(times: list[Floats], ours: np.ndarray, theirs: np.ndarray) -> list[TimedAnswer]:
    """Return the answers of both in order of time; failed requests have none."""
    control_ms, treatment_ms = times
    answers = []
    for index in range(control_ms.size):
        if not theirs[index]:
            answers.append(TimedAnswer(is_treatment=False, total_ms=float(control_ms[index])))
        if not ours[index]:
            answers.append(TimedAnswer(is_treatment=True, total_ms=float(treatment_ms[index])))
    return answers
