"""Picture of the funnel."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.corpus.funnel import Funnel, Step
from training.files import atomic_path

_COLOURS: Final = {"in": "#4a6fa5", "dropped": "#b3446c", "changed": "#b8a04a", "kept": "#4a8f5b"}


def plot_funnel(funnel: Funnel, path: Path) -> None:
    """Draw what was read, changed, dropped and kept by each step: posts on the left, sentences on the right.

    Raises:
        OutputError: the file cannot be written.
    """
    shown = [step for step in funnel.steps if step.count or step.effect in {"in", "kept"}]
    posts = [step for step in shown if step.unit != "sentences"]
    sentences = [step for step in shown if step.unit == "sentences"]
    figure = Figure(figsize=(14, 1.5 + 0.24 * max(len(posts), len(sentences))))
    left, right = figure.subplots(1, 2)
    _bars(left, posts, "rows and posts")
    _bars(right, sentences, "sentences")
    figure.legend(
        handles=[left.barh([0], [0], color=colour, label=effect) for effect, colour in _COLOURS.items()],
        loc="lower center",
        ncols=len(_COLOURS),
        frameon=False,
    )
    # Without pyplot, which keeps global state and looks for a screen.
    FigureCanvasAgg(figure)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def _bars(axes: Axes, steps: list[Step], title: str) -> None:
    """Draw a bar per step, on a logarithmic scale: a step often drops a thousandth of what is kept."""
    counts = [step.count for step in steps]
    bars = axes.barh(
        [step.name for step in steps], [max(count, 0.5) for count in counts], color=[_COLOURS[s.effect] for s in steps]
    )
    axes.bar_label(bars, labels=[f" {count:,}" for count in counts], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(0.5, 8 * max([1, *counts]))
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="y", labelsize=9, length=0)
