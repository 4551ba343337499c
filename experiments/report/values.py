"""Values of a report: everything that its page shows and its JSON document holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from experiments.definition import Experiment
from experiments.statistics.comparison import Comparison
from experiments.statistics.limits import Breach


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Value after a number of songs, with its interval."""

    songs: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """Figures of one version."""

    version: str
    is_control: bool
    calls: int
    """Requests that it answered or failed."""
    failures: int
    median_ms: float | None
    """Median time of an answer in milliseconds; None without answers."""
    p95_ms: float | None
    """95th percentile of the time of an answer in milliseconds; None without answers."""
    songs: int
    """Whole songs with samples of it."""
    samples: int
    """Its samples in whole songs."""
    accepted: int
    """Those of them that were accepted."""
    acceptance: Point | None
    """Mean over whole songs of the share of its samples that were accepted; None without whole songs."""
    edits: int
    """Accepted samples of whole songs whose text the curator changed."""
    reasons: Mapping[str, int]
    """Rejections in whole songs by reason."""
    flags: Mapping[str, int]
    """Its samples in whole songs by flag."""
    curve: tuple[Point, ...]
    """Acceptance over songs, at most a few hundred points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """Comparison of one version with the control."""

    version: str
    comparison: Comparison
    breaches: tuple[Breach, ...]
    """Limits of harm that it is beyond."""
    evidence: tuple[tuple[int, float, float], ...]
    """Number of songs, log e-value for better, log e-value for worse; at most a few hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioCheck:
    """Check that versions got the shares of the units that they should have."""

    observed: Mapping[str, int]
    shares: Mapping[str, float]
    log_e: float
    is_suspect: bool
    """Whether the shares are wrong (level 5% over all looks) or a unit has another version than its hash says."""
    mismatches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Songs of one genre, or verdicts of one curator."""

    name: str
    songs: int
    samples: Mapping[str, int]
    """Judged samples by version."""
    accepted: Mapping[str, int]
    """Accepted samples by version."""
    differences: Mapping[str, Point]
    """Difference to the control by treatment; only of genres."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """Interleaved requests that a version neither answered nor failed: it was not live, had no room, or refused them.

    They do not count as its failures: nobody waits for it, the other arms answer, and it may be loading.
    """

    version: str
    missed: int
    """Number of these requests."""
    requests: int
    """Number of all requests while the version took part."""
    is_now: bool
    """Whether the latest requests are among them, so that no song is compared at present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SongCounts:
    """Songs by how far their verdicts have come."""

    whole: int
    half: int
    """Songs with a verdict and a sample that waits: they do not count yet."""
    waiting: int
    """Songs without any verdict."""
    incomplete: int
    """Songs without samples of one of the versions that took part when they were asked for (interleaved design)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All figures of an experiment at one moment."""

    experiment: Experiment
    updated_at: datetime
    recommendation: str
    """Sentence that says what to do."""
    arms: tuple[Arm, ...]
    """Figures by version, the control first."""
    treatments: tuple[Treatment, ...]
    ratio: RatioCheck | None
    """None in the interleaved design, where nothing is dealt out."""
    songs: SongCounts
    absences: tuple[Absence, ...]
    """Versions that missed requests."""
    genres: tuple[Slice, ...]
    curators: tuple[Slice, ...]
    agreement: str
    """Sentence on the curators."""
    notes: tuple[str, ...]

    @property
    def state(self) -> str:
        """`running` or `stopped`."""
        return "running" if self.experiment.stopped is None else "stopped"

    def to_mapping(self) -> dict[str, Any]:
        """Return the document `report.json`: strings, numbers, lists and objects."""
        experiment = self.experiment
        return {
            "name": experiment.name,
            "model": experiment.model,
            "design": experiment.design.value,
            "state": self.state,
            "recommendation": self.recommendation,
            "updated_at": _iso(self.updated_at),
            "started": _iso(experiment.started),
            "stopped": None if experiment.stopped is None else _iso(experiment.stopped),
            "outcome": experiment.outcome,
            "auto": experiment.auto,
            "alpha": experiment.alpha,
            "songs": _plain(self.songs),
            "absences": [_plain(each) for each in self.absences],
            "arms": [{**_plain(arm), "role": "control" if arm.is_control else "treatment"} for arm in self.arms],
            "treatments": [_plain(treatment) for treatment in self.treatments],
            "ratio": None if self.ratio is None else _plain(self.ratio),
            "genres": [_plain(each) for each in self.genres],
            "curators": [_plain(each) for each in self.curators],
            "agreement": self.agreement,
            "notes": list(self.notes),
            "actions": [{**_plain(each), "at": _iso(each.at)} for each in experiment.actions],
        }


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _plain(value: Any) -> Any:
    """Return a value as JSON knows it; numbers that are not finite become null."""
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
