"""Plots of the report, as SVG with the page's text colour, for light and dark."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing

from training.cvae.held_out import HeldOutPoint
from training.evaluation.metrics import METRICS

_INK: Final = "#123456"
"""Stand-in for the page's text colour, replaced in the finished drawing."""
_COLOURS: Final = ("#c2527c", "#3d7ab5", "#3f9163", "#b07d1e", "#7d62b8", "#b3543a")
_STYLE: Final[Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "deephypebot", "font.size": 9.5, "text.color": _INK,
    "axes.edgecolor": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.titlesize": 10,
    "font.family": "sans-serif", "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """Figures of a model at one temperature."""

    temperature: float
    forward_ppl: float
    reverse_ppl: float
    distinct_2: float
    two_sample_auc: float

    def document(self) -> dict[str, Any]:
        """Return the document of report.json; figures that are not numbers are under `missing`, with the reason."""
        values: dict[str, float] = {name: getattr(self, name) for name in self.__slots__}
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        reasons = {metric.name: metric.missing for metric in METRICS if metric.name in values.keys() - known.keys()}
        return {**known, "missing": reasons}


def quality_diversity(curves: Mapping[str, Sequence[CurvePoint]], real: CurvePoint) -> str:
    """Draw two panels over temperature: quality against diversity, and the two-sample AUC."""
    with rc_context(_STYLE):
        drawing = Drawing(figsize=(9.2, 3.9))
        left, right = drawing.subplots(1, 2)
        for number, (name, points) in enumerate(curves.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            left.plot(
                [point.distinct_2 for point in points],
                [point.forward_ppl for point in points],
                marker="o", markersize=4, color=colour, label=name,
            )  # fmt: skip
            for point in (points[0], points[-1]) if points else ():
                left.annotate(
                    f"T {point.temperature:g}", (point.distinct_2, point.forward_ppl), xytext=(4, 4),
                    textcoords="offset points", fontsize=8, color=_INK,
                )  # fmt: skip
            right.plot(
                [point.temperature for point in points], [point.two_sample_auc for point in points], marker="o",
                markersize=4, color=colour, label=name,
            )  # fmt: skip
        left.plot(real.distinct_2, real.forward_ppl, marker="*", markersize=13, color=_INK, linestyle="", label="real")
        left.set(xlabel="distinct-2 (diversity)", ylabel="forward perplexity", title="Quality and diversity")
        left.set_yscale("log")
        right.axhline(real.two_sample_auc, color=_INK, linewidth=1, linestyle="--", label="real")
        right.axhline(0.70, color=_INK, linewidth=0.8, linestyle=":", label="goal")
        right.set(xlabel="temperature", ylabel="two-sample AUC", title="Distinguishable from real text")
        _finish(left)
        _finish(right)
        return _svg(drawing)


def over_training_time(
    points: Mapping[str, Sequence[tuple[float, Mapping[str, float]]]], real: Mapping[str, float]
) -> str:
    """Draw a panel per metric over training time, from (seconds, metric -> value) of each model in time order."""
    with rc_context(_STYLE):
        drawing = Drawing(figsize=(9.2, 3.4))
        panels = drawing.subplots(1, len(real), squeeze=False)[0]
        for axes, (metric, level) in zip(panels, real.items(), strict=True):
            for number, (name, curve) in enumerate(points.items()):
                axes.plot(
                    [seconds / 60 for seconds, _ in curve], [values[metric] for _, values in curve], marker="o",
                    markersize=4, color=_COLOURS[number % len(_COLOURS)], label=name,
                )  # fmt: skip
            axes.axhline(level, color=_INK, linewidth=1, linestyle="--", label="real")
            axes.set(xlabel="minutes of training", title=metric)
            axes.set_xscale("log")
            _finish(axes)
        return _svg(drawing)


def while_training(points: Mapping[str, Sequence[HeldOutPoint]]) -> str:
    """Draw held-out scores over training time: bits per character, and KL and mutual information of z."""
    with rc_context(_STYLE):
        drawing = Drawing(figsize=(9.2, 3.6))
        left, right = drawing.subplots(1, 2)
        for number, (name, curve) in enumerate(points.items()):
            colour = _COLOURS[number % len(_COLOURS)]
            minutes = [point.seconds / 60 for point in curve]
            style: dict[str, Any] = {"marker": "o", "markersize": 4, "color": colour}
            left.plot(minutes, [point.bits_per_character for point in curve], label=name, **style)
            right.plot(minutes, [point.kl for point in curve], **style)
            right.plot(minutes, [point.mutual_information for point in curve], linestyle="--", **style)
        # One entry for each kind of line; the legend on the left explains the colours.
        right.plot([], [], color=_INK, label="KL")
        right.plot([], [], color=_INK, linestyle="--", label="mutual information")
        left.set(xlabel="minutes of training", ylabel="bits per character (bound)", title="Held-out sentences")
        right.set(xlabel="minutes of training", ylabel="nats per sentence", title="Information in z about a sentence")
        _finish(left)
        _finish(right)
        return _svg(drawing)


def _finish(axes: Axes) -> None:
    axes.grid(alpha=0.25, color=_INK)
    axes.legend(frameon=False, fontsize=8, loc="upper right")


def _svg(drawing: Drawing) -> str:
    FigureCanvasSVG(drawing)
    drawing.tight_layout()
    out = io.StringIO()
    drawing.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # Without a size the drawing is as wide as the page allows; its proportions stay in the view box.
    return re.sub(r'<svg ([^>]*?)height="[^"]*" ([^>]*?)width="[^"]*"', r"<svg \1\2", svg, count=1)
