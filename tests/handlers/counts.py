"""Counts of what was drawn, beside what was to be expected."""

from __future__ import annotations

import numpy as np
import torch


def p_value(observed: np.ndarray, expected: np.ndarray) -> float:
    """Pearson's chi-square test of counts against their expectation."""
    statistic = torch.tensor(((observed - expected) ** 2 / expected).sum())
    half_freedom = torch.tensor((len(expected) - 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half_freedom, statistic / 2))
