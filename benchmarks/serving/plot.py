"""Plot of the throughput-latency curve, in the style of the training plots."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.serving.errors import BenchError
from benchmarks.serving.report import knee_place
from benchmarks.serving.run import Measured

_COLOURS: Final = {"p50_ms": "#4a6fa5", "p99_ms": "#b3446c"}
_FOLLOWS: Final = 0.95
"""Answered share of the offered load from which on a server keeps up."""


def plot_curve(measured: Measured, path: Path) -> None:
    """Plot latency over offered load, with the knee marked and the loads beyond saturation shaded.

    Raises:
        BenchError: the file cannot be written.
    """
    figure = Figure(figsize=(7, 4))
    # A canvas without pyplot, which keeps global state and looks for a screen.
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in _COLOURS.items():
        values = [getattr(level, name) for level in measured.open]
        axes.plot(measured.offered, values, label=name.removesuffix("_ms"), color=colour, marker="o", linewidth=1.4)
    knee = knee_place(measured)
    axes.axvline(measured.offered[knee], color="0.4", linestyle="--", linewidth=1)
    axes.annotate(
        f" knee: {measured.offered[knee]:.0f} requests/s",
        (measured.offered[knee], 0.03),
        xycoords=("data", "axes fraction"),
    )
    if (behind := _first_behind(measured)) is not None:
        axes.axvspan(behind, measured.offered[-1], color="0.9", label="answers fall behind")
    asked = measured.plan.asked
    axes.set(
        title=f"TorchServe over gRPC: {measured.plan.serving}",
        xlabel=f"offered load: requests/s of {asked.samples} samples, Poisson arrivals",
        ylabel="latency, ms",
        yscale="log",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    figure.tight_layout()
    try:
        figure.savefig(path, format="png", dpi=110, metadata={"Software": None})
    except OSError as cause:
        raise BenchError(f"{path} cannot be written: {cause.strerror}; give another file with --plot") from cause


def _first_behind(measured: Measured) -> float | None:
    """Return the lowest load from which on no load is answered in full: at a low load that can happen by chance."""
    first = None
    for offered, level in reversed(tuple(zip(measured.offered, measured.open, strict=True))):
        if level.requests_per_s >= _FOLLOWS * offered:
            break
        first = offered
    return first
