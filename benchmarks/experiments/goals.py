"""All simulations of experiments, with the goals that they should reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rich.table import Table

from benchmarks.experiments.assignment import ratio_faults
from benchmarks.experiments.curators import false_decisions, verdicts_needed
from benchmarks.experiments.harm import HARM, detection, false_rollbacks

_SEED: Final = 15
Figures = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Figure with the value that it should not exceed, or reach."""

    path: tuple[str, ...]
    """Names that lead to the figure."""
    title: str
    at_most: float | None = None
    """None for figures that are shown beside others and have no goal, or have `at_least`."""
    at_least: float | None = None

    def value(self, figures: Mapping[str, Any]) -> float:
        """Return the figure."""
        found: Any = figures
        for name in self.path:
            found = found[name]
        return float(found)

    def is_met(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)


GOALS: Final = (
    Goal(path=("no_difference", "paired_betting"), title="false decisions, paired, by betting", at_most=0.05),
    Goal(path=("no_difference", "sticky_betting"), title="false decisions, sticky, by betting", at_most=0.05),
    Goal(path=("no_difference", "paired_z_test"), title="false decisions, paired, z-test at every look"),
    Goal(path=("no_difference", "sticky_z_test"), title="false decisions, sticky, z-test at every look"),
    Goal(path=("difference", "paired_verdicts"), title="verdicts to tell 55% from 45%, paired"),
    Goal(path=("difference", "sticky_verdicts"), title="verdicts to tell 55% from 45%, sticky, 4 samples a song"),
    Goal(path=("difference", "sticky_short_verdicts"), title="verdicts to tell 55% from 45%, sticky, 2 samples a song"),
    Goal(path=("difference", "paired_over_sticky"), title="paired over sticky, 4 samples a song", at_most=0.6),
    Goal(path=("difference", "paired_over_sticky_short"), title="paired over sticky, 2 samples a song", at_most=0.6),
    Goal(path=("ratio", "units_median"), title="units until 48 to 52 is found, median", at_most=5000),
    Goal(path=("ratio", "found"), title="48 to 52 found within 5,000 units"),
    Goal(path=("ratio", "false_alarms"), title="equal shares called faulty within 5,000 units", at_most=0.05),
    Goal(path=("rollbacks", "identical"), title="days on which an identical version is stopped", at_most=0.01),
    Goal(path=("rollbacks", "at_the_limits"), title="days on which a version at its limits is stopped", at_most=0.01),
    *(
        Goal(
            path=("harm", name, "found"), title=f"{name.replace('_', ' ')}: stopped within 200 requests", at_least=0.99
        )
        for name in HARM
    ),
    *(
        Goal(path=("harm", name, f"requests_{part}"), title=f"{name.replace('_', ' ')}: requests until then, {part}")
        for name in HARM
        for part in ("median", "p99")
    ),
)


def simulate(*, runs: int, songs: int = 400, seed: int = _SEED) -> Figures:
    """Run all simulations.

    Args:
        runs: number of runs of each, and of days.
        songs: songs of an experiment without a difference.
        seed: seed of all randomness.

    Returns:
        Figures by simulation.
    """
    streams = np.random.default_rng(seed).spawn(5)
    return {
        "no_difference": false_decisions(streams[0], runs=runs, songs=songs),
        "difference": verdicts_needed(streams[1], runs=runs, songs=1500),
        "ratio": ratio_faults(streams[2], runs=runs, units=5000),
        "rollbacks": false_rollbacks(streams[3], days=runs, requests=400),
        "harm": detection(streams[4], runs=runs, requests=400),
    }


def table_of(figures: Figures, *, runs: int) -> Table:
    """Return the figures beside their goals.

    Args:
        figures: result of `simulate`.
        runs: number of runs, for the title.

    Returns:
        Table for the terminal.
    """
    table = Table("", "figure", "goal", "", title=f"Experiments, {runs:,} runs of each", box=None, pad_edge=False)
    for goal in GOALS:
        value = goal.value(figures)
        limit = "" if goal.at_most is None else f"at most {goal.at_most:g}"
        limit = limit if goal.at_least is None else f"at least {goal.at_least:g}"
        mark = "" if not limit else "met" if goal.is_met(value) else "missed"
        table.add_row(goal.title, f"{value:,.0f}" if value > 2 else f"{value:.3f}", limit, mark)
    return table
