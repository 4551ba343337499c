"""Plots of a report, as shapes of an SVG whose template is in the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from experiments.report.values import Report

WIDE: Final = (880, 300)
NARROW: Final = (350, 250)
"""Width and height of a plot in pixels; the page shows the one that fits."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 14, 34
_LN10: Final = math.log(10)
_LOWEST: Final = -3.0
_HIGHEST: Final = 9.0
"""Powers of ten of the e-values between which the plot is cut."""
_NUM_COLOURS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Label of an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Line of one version."""

    path: str
    """Path of the SVG."""
    colour: int
    """Number of the version's colour."""
    is_dashed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """Horizontal line at which a decision falls."""

    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Shapes of one plot at one size."""

    name: str
    """Sentence for those who cannot see it."""
    y_name: str
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    bands: tuple[Line, ...]
    lines: tuple[Line, ...]
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """Scales of a plot."""

    width: int
    height: int
    songs: int
    low: float
    high: float

    def x(self, songs: float) -> float:
        return _LEFT + (self.width - _LEFT - _RIGHT) * songs / self.songs

    def y(self, value: float) -> float:
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.height - _BOTTOM - (self.height - _TOP - _BOTTOM) * share


def plot_acceptance(report: Report, size: tuple[int, int]) -> Plot | None:
    """Return acceptance over songs, by version, with its confidence sequence.

    Args:
        report: figures.
        size: width and height in pixels.

    Returns:
        The plot; None without whole songs.
    """
    arms = [(colour, arm) for colour, arm in enumerate(report.arms) if arm.curve]
    if not arms:
        return None
    frame = _frame(size, songs=max(arm.curve[-1].songs for _, arm in arms), low=0.0, high=1.0)
    bands = [
        Line(
            path=_path(
                frame,
                [(point.songs, point.low) for point in arm.curve]
                + [(point.songs, point.high) for point in reversed(arm.curve)],
            )
            + "Z",
            colour=colour % _NUM_COLOURS,
        )
        for colour, arm in arms
    ]
    lines = [
        Line(path=_path(frame, [(point.songs, point.value) for point in arm.curve]), colour=colour % _NUM_COLOURS)
        for colour, arm in arms
    ]
    return _plot(
        frame,
        name="Acceptance by version over songs, with confidence sequences",
        y_name="acceptance",
        y_ticks=[(share, f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        bands=bands,
        lines=lines,
    )


def plot_evidence(report: Report, size: tuple[int, int]) -> Plot | None:
    """Return the e-processes over songs on a logarithmic axis, with the threshold of a decision.

    Args:
        report: figures.
        size: width and height in pixels.

    Returns:
        The plot; None without whole songs.
    """
    treatments = [(colour, each) for colour, each in enumerate(report.treatments, start=1) if each.evidence]
    if not treatments:
        return None
    threshold = treatments[0][1].comparison.log_threshold / _LN10
    tops = [max(better, worse) / _LN10 for _, each in treatments for _, better, worse in each.evidence]
    lows = [min(better, worse) / _LN10 for _, each in treatments for _, better, worse in each.evidence]
    low, high = math.floor(max(_LOWEST, min(-1.0, *lows))), math.ceil(min(_HIGHEST, max(threshold + 0.4, *tops)))
    frame = _frame(size, songs=max(each.evidence[-1][0] for _, each in treatments), low=low, high=high)
    lines = [
        Line(
            path=_path(frame, [(0, 0.0)] + [(point[0], point[index] / _LN10) for point in each.evidence]),
            colour=colour % _NUM_COLOURS,
            is_dashed=index == 2,
        )
        for colour, each in treatments
        for index in (1, 2)
    ]
    step = math.ceil((high - low) / 6)
    return _plot(
        frame,
        name="E-values for better and for worse over songs",
        y_name="e-value",
        y_ticks=[(power, _power(power)) for power in range(low, high + 1, step)],
        lines=lines,
        thresholds=[(threshold, f"decision at {10**threshold:,.0f}")],
    )


def _frame(size: tuple[int, int], *, songs: int, low: float, high: float) -> _Frame:
    width, height = size
    return _Frame(width=width, height=height, songs=songs, low=low, high=high)


def _plot(
    frame: _Frame,
    *,
    name: str,
    y_name: str,
    y_ticks: Iterable[tuple[float, str]],
    lines: Sequence[Line],
    bands: Sequence[Line] = (),
    thresholds: Iterable[tuple[float, str]] = (),
) -> Plot:
    return Plot(
        name=name,
        y_name=y_name,
        width=frame.width,
        height=frame.height,
        left=_LEFT,
        right=frame.width - _RIGHT,
        top=_TOP,
        bottom=frame.height - _BOTTOM,
        x_ticks=tuple(Tick(at=round(frame.x(at), 1), text=f"{at:,}") for at in _steps(frame.songs)),
        y_ticks=tuple(Tick(at=round(frame.y(at), 1), text=text) for at, text in y_ticks),
        bands=tuple(bands),
        lines=tuple(lines),
        thresholds=tuple(Threshold(at=round(frame.y(at), 1), text=text) for at, text in thresholds),
    )


def _path(frame: _Frame, points: Sequence[tuple[float, float]]) -> str:
    if len(points) == 1:
        # A line of one point is not visible; one pixel to the left is.
        points = [(max(0.0, points[0][0] - frame.songs / 100), points[0][1]), *points]
    return "M" + "L".join(f"{frame.x(songs):.1f} {frame.y(value):.1f}" for songs, value in points)


def _steps(songs: int) -> list[int]:
    """Return round numbers of songs from 0, at most six.

    >>> _steps(43), _steps(400)
    ([0, 10, 20, 30, 40], [0, 100, 200, 300, 400])
    """
    for step in (size * 10**power for power in range(9) for size in (1, 2, 5)):
        if songs / step <= 5:
            return list(range(0, songs + 1, step))
    return [0]


def _power(power: int) -> str:
    r"""Return a power of ten, short enough for an axis.

    >>> _power(-2), _power(3), _power(7)
    ('0.01', '1,000', '10\u2077')
    """
    if power > 4:
        return f"10{chr(0x2070 + power)}"
    return f"{10**power:,}" if power >= 0 else f"{10.0**power:.{-power}f}"
