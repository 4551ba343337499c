"""Reports of experiments, which another program writes into the workspace."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedArm:
    """Figures of one arm of an experiment."""

    version: str
    role: str
    songs: int
    samples: int
    accepted: int
    share: float | None
    """Share of its judged samples that were accepted, from 0 to 1; None without any."""
    low: float | None
    """Lower end of the confidence sequence of the share; None without any."""
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentReport:
    """Head of a report: what the experiment found so far, in one sentence and by arm."""

    name: str
    model: str
    design: str
    state: str
    recommendation: str
    updated_at: datetime
    """Aware time."""
    arms: tuple[ReportedArm, ...]
    has_page: bool
    """Whether the whole report is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableReport:
    """Report that cannot be read, with the reason."""

    name: str
    reason: str


class ExperimentReports(ABC):
    """Reports of a workspace's experiments. Called from several threads at once."""

    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is no report, readable or not."""

    @abstractmethod
    def all(self) -> Sequence[ExperimentReport | UnreadableReport]:
        """Return the reports, the newest first; those that cannot be read come last."""

    @abstractmethod
    def page(self, name: str) -> bytes | None:
        """Return the whole report of an experiment, an HTML document; None if there is none."""
