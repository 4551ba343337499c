"""Plots of a training, as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.files import atomic_path

_HIGHLIGHT = "#b3446c"
_OTHER = "#4a6fa5"


def _save(figure: Figure, path: Path) -> None:
    # Without pyplot, which keeps global state and looks for a display.
    FigureCanvasAgg(figure)
    figure.tight_layout()
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def plot_curves(
    points: Mapping[str, Sequence[tuple[float, float]]], path: Path, *, title: str, ylabel: str, xlabel: str = "step"
) -> None:
    """Plot named curves of (step, value) points, or over another x-axis."""
    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    for name, curve in points.items():
        if curve:
            steps, values = zip(*curve, strict=True)
            axes.plot(steps, values, label=name, marker="o" if len(curve) < 20 else None, linewidth=1.4)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(alpha=0.3)
    # A training of a few steps has logged no points, and an empty legend raises a warning.
    if axes.lines:
        axes.legend(loc="upper right")
    _save(figure, path)


def plot_coherence(coherence: Mapping[int, float], chosen: int, path: Path) -> None:
    """Plot coherence by number of topics, with the chosen number highlighted."""
    figure = Figure(figsize=(6, 3.5))
    axes = figure.add_subplot()
    numbers = sorted(coherence)
    colours = [_HIGHLIGHT if number == chosen else _OTHER for number in numbers]
    axes.bar([str(number) for number in numbers], [coherence[number] for number in numbers], color=colours)
    axes.set(title="Topic coherence", xlabel="topics", ylabel="c_npmi")
    _save(figure, path)


def plot_topic_shares(shares: Mapping[str, Sequence[float]], names: Sequence[str], desired: int, path: Path) -> None:
    """Plot the share of each topic among samples, in bars per model, with the desired topic labelled."""
    figure = Figure(figsize=(8, 0.55 * len(names) * max(len(shares), 1) / 2 + 2))
    axes = figure.add_subplot()
    height = 0.8 / max(len(shares), 1)
    for number, (model, values) in enumerate(shares.items()):
        places = [row + number * height for row in range(len(names))]
        axes.barh(places, values, height=height, label=model, color=_OTHER if number == 0 else _HIGHLIGHT)
    axes.set_yticks(
        [row + 0.4 - height / 2 for row in range(len(names))],
        [f"{name} (desired)" if row == desired else name for row, name in enumerate(names)],
    )
    axes.invert_yaxis()
    axes.set(title="Topics of samples", xlabel="share of samples")
    axes.legend(loc="upper right")
    _save(figure, path)


def plot_points(
    points: Mapping[str, tuple[float, float]],
    path: Path,
    *,
    title: str,
    xlabel: str,
    ylabel: str,
    levels: Mapping[str, float] | None = None,
) -> None:
    """Plot named points, and named horizontal lines to compare them with."""
    figure = Figure(figsize=(7, 4.2))
    axes = figure.add_subplot()
    for name, (across, up) in points.items():
        axes.plot(across, up, marker="o", linestyle="", color=_OTHER)
        # Above its point, a name is least likely to overlap another.
        axes.annotate(name, (across, up), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8)
    for name, height in (levels or {}).items():
        axes.axhline(height, color=_HIGHLIGHT, linewidth=1.2, linestyle="--", label=name)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.margins(x=0.12, y=0.12)
    axes.grid(alpha=0.3)
    if levels:
        axes.legend(fontsize=8, loc="upper right")
    _save(figure, path)
