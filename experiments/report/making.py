"""Report of an experiment from its evidence."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, TypeVar

import numpy as np

from experiments.definition import Experiment
from experiments.evidence import Evidence, JudgedSample, JudgedSong, UnitCounts
from experiments.report.absences import find_absences, take_off_times, tell_absence
from experiments.report.pairing import acceptance_differences, find_breaches
from experiments.report.sentences import recommend
from experiments.report.slices import agreement, by_curator, by_genre
from experiments.report.values import Arm, Point, RatioCheck, Report, SongCounts, Treatment
from experiments.statistics.betting import Side, confidence_sequence, log_e_process
from experiments.statistics.comparison import compare
from experiments.statistics.shares import ALPHA as RATIO_ALPHA
from experiments.statistics.shares import log_e_counts
from serving.traffic.experiment import ExperimentDesign

_MAX_POINTS: Final = 200
_Item = TypeVar("_Item")
NO_REASON: Final = "no reason given"


def make_report(evidence: Evidence, *, now: datetime | None = None) -> Report:
    """Compute all figures of an experiment.

    Args:
        evidence: evidence of the experiment.
        now: time of the report; the present if it is not given.

    Returns:
        The report.
    """
    experiment = evidence.experiment
    whole = tuple(song for song in evidence.songs if song.is_whole)
    arms = tuple(_arm(evidence, whole, version) for version in experiment.versions)
    treatments = tuple(_treatment(evidence, version) for version in experiment.treatments)
    ratio = None if evidence.units is None else _ratio(evidence.units)
    absences = find_absences(evidence)
    curators = by_curator(evidence)
    return Report(
        experiment=experiment,
        updated_at=now or datetime.now(UTC),
        recommendation=recommend(experiment, arms, treatments, ratio, absences),
        arms=arms,
        treatments=treatments,
        ratio=ratio,
        songs=_count(evidence),
        absences=absences,
        genres=by_genre(evidence),
        curators=curators,
        agreement=agreement(experiment, curators),
        notes=(*evidence.notes, *map(tell_absence, absences)),
    )


def _arm(evidence: Evidence, whole: Sequence[JudgedSong], version: str) -> Arm:
    calls = [call for call in evidence.calls if call.version == version]
    times = [call.total_ms for call in calls if not call.failed]
    # Whole songs alone: a count by version that moves with one verdict would tell whose sample it was about.
    judged = [sample for song in whole for sample in song.samples if sample.version == version]
    acceptances = [share for song in whole if (share := song.acceptance(version)) is not None]
    curve = _acceptance_curve(acceptances, alpha=evidence.experiment.alpha)
    return Arm(
        version=version,
        is_control=version == evidence.experiment.control,
        calls=len(calls),
        failures=sum(call.failed for call in calls),
        median_ms=_percentile(times, 50),
        p95_ms=_percentile(times, 95),
        songs=len(acceptances),
        samples=len(judged),
        accepted=sum(sample.accepted is True for sample in judged),
        acceptance=curve[-1] if curve else None,
        edits=sum(sample.accepted is True and sample.edited_text is not None for sample in judged),
        reasons=_count_reasons(judged),
        flags=dict(Counter(flag for sample in judged for flag in sorted(set(sample.flags))).most_common()),
        curve=_thin(curve),
    )


def _acceptance_curve(acceptances: Sequence[float], *, alpha: float) -> list[Point]:
    lower_N, upper_N = confidence_sequence(acceptances, low=0.0, high=1.0, alpha=alpha)
    means_N = np.cumsum(acceptances) / np.arange(1, len(acceptances) + 1)
    return [
        Point(songs=index + 1, value=float(mean), low=float(low), high=float(high))
        for index, (mean, low, high) in enumerate(zip(means_N, lower_N, upper_N, strict=True))
    ]


def _count_reasons(samples: Sequence[JudgedSample]) -> dict[str, int]:
    rejected = [sample.reason or NO_REASON for sample in samples if sample.accepted is False]
    return dict(Counter(rejected).most_common())


def _treatment(evidence: Evidence, version: str) -> Treatment:
    differences = acceptance_differences(evidence, version)
    better_N = log_e_process(differences, 0.0, -1.0, 1.0)
    worse_N = log_e_process(differences, 0.0, -1.0, 1.0, Side.LESS)
    points = [
        (index + 1, float(better), float(worse))
        for index, (better, worse) in enumerate(zip(better_N, worse_N, strict=True))
    ]
    experiment = evidence.experiment
    return Treatment(
        version=version,
        comparison=compare(differences, alpha=experiment.alpha, treatments=len(experiment.treatments)),
        breaches=find_breaches(evidence, version),
        evidence=_thin(points),
    )


def _ratio(units: UnitCounts) -> RatioCheck:
    log_e = log_e_counts(units.observed, units.shares)
    return RatioCheck(
        observed=units.observed,
        shares=units.shares,
        log_e=log_e,
        is_suspect=log_e >= -math.log(RATIO_ALPHA) or units.mismatches > 0,
        mismatches=units.mismatches,
    )


def _count(evidence: Evidence) -> SongCounts:
    songs = evidence.songs
    begun = [any(sample.accepted is not None for sample in song.samples) for song in songs]
    is_interleaved = evidence.experiment.design is ExperimentDesign.INTERLEAVED
    return SongCounts(
        whole=sum(song.is_whole for song in songs),
        half=sum(is_begun and not song.is_whole for song, is_begun in zip(songs, begun, strict=True)),
        waiting=len(songs) - sum(begun),
        incomplete=sum(_is_incomplete(song, evidence.experiment) for song in songs) if is_interleaved else 0,
    )


def _is_incomplete(song: JudgedSong, experiment: Experiment) -> bool:
    """Whether a song lacks samples of a version that took part when they were written."""
    ends = take_off_times(experiment)
    return any(
        version not in song.versions
        for version in experiment.versions
        if version not in ends or song.created_at < ends[version]
    )


def _percentile(times: Sequence[float], percent: int) -> float | None:
    return float(np.percentile(times, percent)) if times else None


def _thin(points: Sequence[_Item]) -> tuple[_Item, ...]:
    """Return evenly spaced points, the first and the last among them."""
    if len(points) <= _MAX_POINTS:
        return tuple(points)
    indices = np.unique(np.linspace(0, len(points) - 1, _MAX_POINTS).round().astype(int))
    return tuple(points[index] for index in indices)
