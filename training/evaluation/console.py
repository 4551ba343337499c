"""Options and output of `evaluate` on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from training.errors import SettingError
from training.evaluation.goals import deciding
from training.evaluation.metrics import METRICS
from training.evaluation.report import Report, gaps

_SHOWN = (
    "made_up_words", "slor", "unseen_bigrams", "desired_share_classifier", "distinct_2_of_real",
    "opening_shared_of_real",
)  # fmt: skip


def parse_named_files(option: str, values: Sequence[str]) -> dict[str, Path]:
    """Parse NAME=FILE values of an option.

    Raises:
        SettingError: an option has another form, or a name is given twice.
    """
    found: dict[str, Path] = {}
    for value in values:
        name, separator, path = value.partition("=")
        if not (separator and name.strip() and path.strip()):
            raise SettingError(f"{option} takes NAME=FILE, got {value!r}")
        if name.strip() in found:
            raise SettingError(f"{option} {name.strip()} is given twice")
        found[name.strip()] = Path(path.strip())
    return found


def goals_table(report: Report) -> Table:
    """Table of the main figures and the number of goals met, a line per row; its caption explains dashes."""
    metrics = [metric for metric in METRICS if metric.name in _SHOWN]
    table = Table(title="Quality", title_justify="left", caption_justify="left")
    table.add_column("row", overflow="fold", min_width=18)
    for metric in metrics:
        table.add_column(metric.title, justify="right")
    table.add_column("goals", justify="right")
    for row in report.rows:
        found = deciding(report.goals[row.row.name])
        cells = [
            "–" if metric.name in row.missing else metric.shown(row.figures[metric.name].value) for metric in metrics
        ]
        met = f"{sum(goal.met for goal in found)} of {len(found)}" if found else ""
        table.add_row(row.row.name, *cells, met)
    table.caption = "\n".join(escape(f"– {gap}") for gap in gaps(metrics, report.rows)) or None
    return table
