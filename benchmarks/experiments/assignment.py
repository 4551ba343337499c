"""Simulated assignment of units: a planted fault in the shares, and none."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.random import Generator

from experiments.statistics.shares import ALPHA, log_e_sequence

_HALVES: Final = {"1": 0.5, "2": 0.5}


def ratio_faults(generator: Generator, *, runs: int, units: int) -> dict[str, float]:
    """Return how soon an assignment of 48 to 52 is found where equal shares were planned.

    Args:
        generator: source of randomness.
        runs: number of experiments.
        units: units of each.

    Returns:
        Median of the units until it is found (infinite if most runs do not find it), share of runs that find it, and
        share of runs with equal shares in which a fault is found.
    """
    planted = [_units_until_found(generator, share=0.48, units=units) for _ in range(runs)]
    right = [_units_until_found(generator, share=0.5, units=units) for _ in range(runs)]
    return {
        "units_median": float(np.median(planted)),
        "found": float(np.isfinite(planted).mean()),
        "false_alarms": float(np.isfinite(right).mean()),
    }


def _units_until_found(generator: Generator, *, share: float, units: int) -> float:
    versions = np.where(generator.random(units) < share, "1", "2").tolist()
    found = log_e_sequence(versions, _HALVES) >= -math.log(ALPHA)
    return float(found.argmax()) + 1 if found.any() else math.inf
