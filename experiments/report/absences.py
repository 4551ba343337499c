"""Versions that take part in an interleaved experiment and have neither answers nor failures of some requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from experiments.definition import ActionKind, Experiment
from experiments.evidence import Call, Evidence
from experiments.report.values import Absence
from serving.traffic.experiment import ExperimentDesign

_LATEST: Final = 5
"""Latest requests without a version from which it is away now."""


def find_absences(evidence: Evidence) -> tuple[Absence, ...]:
    """Return the versions that missed requests, in the order of the arms; none in the sticky design.

    Args:
        evidence: evidence of the experiment.
    """
    experiment = evidence.experiment
    if experiment.design is not ExperimentDesign.INTERLEAVED:
        return ()
    calls: dict[tuple[str, int], list[Call]] = {}
    for call in sorted(evidence.calls, key=lambda each: each.time):
        calls.setdefault(call.request, []).append(call)
    ends = take_off_times(experiment)
    return tuple(_absences(experiment.versions, list(calls.values()), ends))


def take_off_times(experiment: Experiment) -> Mapping[str, datetime]:
    """Return the versions that were taken off, each with the time from which it is not asked any more."""
    return {each.version: each.at for each in experiment.actions if each.kind is ActionKind.TAKE_OFF}


def tell_absence(absence: Absence) -> str:
    """Return a sentence on the requests that a version missed."""
    return (
        f"{absence.missed:,} of {absence.requests:,} requests have neither an answer nor a failure of version "
        f"{absence.version}: it was not live, had no room, or refused them. They do not count as its failures."
    )


def _absences(
    versions: Sequence[str], requests: Sequence[Sequence[Call]], ends: Mapping[str, datetime]
) -> Iterator[Absence]:
    for version in versions:
        end = ends.get(version)
        asked = [calls for calls in requests if end is None or calls[0].time < end]
        missed = [all(call.version != version for call in calls) for calls in asked]
        if any(missed):
            is_now = end is None and len(missed) >= _LATEST and all(missed[-_LATEST:])
            yield Absence(version=version, missed=sum(missed), requests=len(asked), is_now=is_now)
