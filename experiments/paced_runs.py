"""Logging of reports to MLflow at a bounded pace: with traffic, a report changes with every pass of a watch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from experiments.definition import Experiment
from experiments.report.values import Report
from experiments.runs import ExperimentRuns, figures

EVERY: Final = timedelta(minutes=10)
"""Time between two logs of an experiment whose figures change."""
_OF_EACH_REQUEST: Final = ("calls/", "p95_ms/")
"""Figures that move with every request; they alone do not make a report worth a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Logged:
    """State of a report that MLflow has."""

    experiment: Experiment
    figures: Mapping[str, float]
    at: datetime


class PacedRuns:
    """Runs of experiments for a watch.

    A report is logged at once if it is the first of this process, or if the experiment was changed: a version was taken
    off, or it ended. If figures other than those of each request changed, it is logged, but not within `EVERY` of the
    last time. The latest report waits until then.

    Args:
        open_runs: opens the runs.
        now: clock, in UTC.
    """

    def __init__(self, open_runs: Callable[[], ExperimentRuns], *, now: Callable[[], datetime]) -> None:
        self._open = open_runs
        self._now = now
        self._logged: dict[str, _Logged] = {}
        self._waiting: dict[str, tuple[Report, Sequence[Path]]] = {}

    def log(self, report: Report, files: Sequence[Path]) -> None:
        """Log a report, or let it wait, or leave it out because nothing changed that matters.

        Args:
            report: report as it is now.
            files: its files.

        Raises:
            RegistryError, TrackingError: see `ExperimentRuns`; the report waits.
        """
        self._waiting[report.experiment.name] = (report, files)
        self._log_if_due(report.experiment.name)

    def log_waiting(self) -> None:
        """Log the reports that have waited long enough.

        Raises:
            RegistryError, TrackingError: see `ExperimentRuns`; the reports wait.
        """
        for name in tuple(self._waiting):
            self._log_if_due(name)

    def _log_if_due(self, name: str) -> None:
        report, files = self._waiting[name]
        present = _Logged(experiment=report.experiment, figures=_that_matter(report), at=self._now())
        last = self._logged.get(name)
        if last is not None and last.experiment == present.experiment:
            if last.figures == present.figures:
                del self._waiting[name]
                return
            if present.at - last.at < EVERY:
                return
        self._open().log_report(report, files)
        self._logged[name] = present
        del self._waiting[name]


def _that_matter(report: Report) -> Mapping[str, float]:
    return {name: value for name, value in figures(report).items() if not name.startswith(_OF_EACH_REQUEST)}
