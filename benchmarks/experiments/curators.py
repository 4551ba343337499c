"""Simulated verdicts: false decisions where there is no difference, and verdicts needed where there is one.

Songs differ: a song has a chance of acceptance that is drawn from a beta distribution, and its samples share it. The
correlation between the verdicts of one song is `CORRELATION`. A version that differs moves the logit of each chance.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.random import Generator

from experiments.statistics.betting import Floats, Side, log_e_process

CORRELATION: Final = 0.3
ALPHA: Final = 0.05
EACH: Final = 2
"""Samples of each version in a song of the paired design."""
_THRESHOLD: Final = math.log(2 / ALPHA)
_FIRST_LOOK: Final = 5
"""Songs before the first look of the z-tests, which one song would mislead at once."""
_Z: Final = 1.959964


def false_decisions(generator: Generator, *, runs: int, songs: int) -> dict[str, float]:
    """Return the shares of runs without a difference in which a difference is found, with a look after every song.

    Nothing changes between the verdicts of one song, so a look after every verdict finds the same.

    Args:
        generator: source of randomness.
        runs: number of experiments.
        songs: songs of each; half of them of each version in the sticky design.

    Returns:
        Share of false decisions by design and test.
    """
    paired = paired_differences(generator, runs=runs, songs=songs, rates=(0.5, 0.5))
    treated, control = sticky_shares(generator, runs=runs, songs=songs // 2, rates=(0.5, 0.5), each=2 * EACH)
    return {
        "paired_betting": float(decided(paired).any(axis=1).mean()),
        "paired_z_test": float((np.abs(_paired_z(paired)) > _Z).any(axis=1).mean()),
        "sticky_betting": float(decided(treated - control).any(axis=1).mean()),
        "sticky_z_test": float((np.abs(_proportion_z(treated, control, 2 * EACH)) > _Z).any(axis=1).mean()),
    }


def verdicts_needed(
    generator: Generator, *, runs: int, songs: int, rates: tuple[float, float] = (0.55, 0.45)
) -> dict[str, float]:
    """Return the median number of verdicts until "better" is found, by design, and their ratios.

    Args:
        generator: source of randomness.
        runs: number of experiments.
        songs: songs after which a run ends, found or not; in the sticky design, songs of each version.
        rates: acceptance of the treatment and of the control.

    Returns:
        Medians of verdicts, shares of runs that found it, and the paired design's verdicts over those of the sticky
        design: with as many samples a song, and with as many samples of each version in a song.
    """
    paired = _first_better(paired_differences(generator, runs=runs, songs=songs, rates=rates))
    figures = {
        "paired_verdicts": float(np.median(paired)) * 2 * EACH,
        "paired_songs": float(np.median(paired)),
        "paired_found": float(np.isfinite(paired).mean()),
    }
    for name, each in (("sticky", 2 * EACH), ("sticky_short", EACH)):
        treated, control = sticky_shares(generator, runs=runs, songs=songs, rates=rates, each=each)
        pairs = _first_better(treated - control)
        figures[f"{name}_verdicts"] = float(np.median(pairs)) * 2 * each
        figures[f"{name}_songs"] = float(np.median(pairs)) * 2
        figures[f"{name}_found"] = float(np.isfinite(pairs).mean())
        figures[f"paired_over_{name}"] = figures["paired_verdicts"] / figures[f"{name}_verdicts"]
    return figures


def paired_differences(generator: Generator, *, runs: int, songs: int, rates: tuple[float, float]) -> Floats:
    """Return differences in acceptance of songs with `EACH` samples of both versions.

    Args:
        generator: source of randomness.
        runs: number of experiments.
        songs: songs of each.
        rates: acceptance of the treatment and of the control.

    Returns:
        Differences by run and song.
    """
    chances = song_chances(generator, (runs, songs))
    treated, control = (generator.binomial(EACH, _moved(chances, rate)) / EACH for rate in rates)
    return np.asarray(treated - control)


def sticky_shares(
    generator: Generator, *, runs: int, songs: int, rates: tuple[float, float], each: int
) -> tuple[Floats, Floats]:
    """Return acceptance of songs with samples of one version.

    Args:
        generator: source of randomness.
        runs: number of experiments.
        songs: songs of each version.
        rates: acceptance of the treatment and of the control.
        each: samples of a song.

    Returns:
        Shares by run and song, of the treatment and of the control.
    """
    treated, control = (
        generator.binomial(each, _moved(song_chances(generator, (runs, songs)), rate)) / each for rate in rates
    )
    return np.asarray(treated), np.asarray(control)


def song_chances(generator: Generator, shape: tuple[int, ...]) -> Floats:
    """Return chances of acceptance by song, 0.5 in the mean.

    Args:
        generator: source of randomness.
        shape: shape of the result.

    Returns:
        Chances.
    """
    # The correlation of two samples of a song is 1 / (a + b + 1).
    each_side = (1 / CORRELATION - 1) / 2
    return generator.beta(each_side, each_side, size=shape)


def decided(differences: Floats) -> np.ndarray:
    """Return whether "better" or "worse" is found at each song, as `experiments.statistics.comparison` does.

    Args:
        differences: differences by run and song.

    Returns:
        Decisions by run and song.
    """
    better = log_e_process(differences, 0.0, -1.0, 1.0) >= _THRESHOLD
    worse = log_e_process(differences, 0.0, -1.0, 1.0, Side.LESS) >= _THRESHOLD
    return np.asarray(better | worse)


def _first_better(differences: Floats) -> Floats:
    """Return the number of songs until "better" is found; infinite if it is not."""
    found = log_e_process(differences, 0.0, -1.0, 1.0) >= _THRESHOLD
    return np.where(found.any(axis=1), found.argmax(axis=1) + 1.0, np.inf)


def _moved(chances: Floats, rate: float) -> Floats:
    """Return chances whose logits are moved so that their mean is a rate."""
    if rate == 0.5:
        return chances
    # A fixed sample of songs, so that the shift is the same for every call.
    sample = song_chances(np.random.default_rng(0), (200_000,))
    low, high = -20.0, 20.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if _shifted(sample, middle).mean() < rate else (low, middle)
    return _shifted(chances, low)


def _shifted(chances: Floats, shift: float) -> Floats:
    odds = math.exp(shift)
    return np.asarray(chances * odds / (1 - chances + chances * odds))


def _paired_z(differences: Floats) -> Floats:
    """Return the z statistic of the mean difference after every song from the first look on."""
    count = np.arange(1, differences.shape[1] + 1)
    mean = np.cumsum(differences, axis=1) / count
    variance = np.cumsum(differences**2, axis=1) / count - mean**2
    z = mean / np.sqrt(np.maximum(variance, 1e-12) * (1 / count))
    return np.asarray(z[:, _FIRST_LOOK - 1 :])


def _proportion_z(treated: Floats, control: Floats, each: int) -> Floats:
    """Return the two-proportion z statistic of verdicts, as if they were independent, from the first look on."""
    count = each * np.arange(1, treated.shape[1] + 1)
    ours, theirs = each * np.cumsum(treated, axis=1) / count, each * np.cumsum(control, axis=1) / count
    pooled = (ours + theirs) / 2
    z = (ours - theirs) / np.sqrt(np.maximum(2 * pooled * (1 - pooled), 1e-12) / count)
    return np.asarray(z[:, _FIRST_LOOK - 1 :])
