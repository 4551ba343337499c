"""Differences of a treatment and the control, in the order in which they were known: what the statistics bet on."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from experiments.evidence import Call, Evidence, JudgedSong
from experiments.statistics.limits import (
    Breach,
    Limit,
    TimedAnswer,
    alpha_each,
    find_excess,
    find_failures,
    find_slowness,
)
from serving.traffic.experiment import ExperimentDesign

COPY = "copy"
"""Flag of a sample that contains a long run of words of the training text (`bot.domain.candidates.Flag.COPY`)."""


def acceptance_differences(evidence: Evidence, treatment: str) -> tuple[float, ...]:
    """Return acceptance of the treatment less that of the control, for whole songs by the time of the last verdict.

    In the interleaved design both are of the same song. In the sticky design the i-th whole song of the treatment is
    set against the i-th of the control.

    Args:
        evidence: evidence of the experiment.
        treatment: version.

    Returns:
        Differences, from -1 to 1.
    """
    whole = [song for song in evidence.songs if song.is_whole]
    return _differences(evidence, treatment, whole, lambda song, version: song.acceptance(version))


def copy_differences(evidence: Evidence, treatment: str) -> tuple[float, ...]:
    """Return the share of copies among the treatment's samples less that among the control's, song by song.

    Verdicts do not matter; songs come in the order in which they were asked for.

    Args:
        evidence: evidence of the experiment.
        treatment: version.

    Returns:
        Differences, from -1 to 1.
    """
    songs = sorted(evidence.songs, key=lambda song: (song.created_at, song.place))
    return _differences(evidence, treatment, songs, _share_of_copies)


def find_breaches(evidence: Evidence, treatment: str) -> tuple[Breach, ...]:
    """Return the limits of harm that a treatment is beyond, by the guardrails of its experiment.

    Args:
        evidence: evidence of the experiment.
        treatment: version.

    Returns:
        Breaches; none if the treatment is within all limits as far as is known.
    """
    limits = evidence.experiment.guardrails
    alpha = alpha_each(limits.alpha, treatments=len(evidence.experiment.treatments))
    calls = sorted(evidence.calls, key=lambda call: call.time)
    ours, theirs = _of(calls, treatment), _of(calls, evidence.experiment.control)
    answers = (
        TimedAnswer(is_treatment=call.version == treatment, total_ms=call.total_ms)
        for call in calls
        if not call.failed and call.version in {treatment, evidence.experiment.control}
    )
    losses = [-difference for difference in acceptance_differences(evidence, treatment)]
    copies = copy_differences(evidence, treatment)
    found = (
        find_failures(
            [call.failed for call in ours],
            [call.failed for call in theirs],
            max_increase=limits.max_error_increase,
            alpha=alpha,
        ),
        find_slowness(answers, max_slowdown=limits.max_slowdown, alpha=alpha),
        find_excess(Limit.COPIES, copies, allowed=limits.max_copy_increase, alpha=alpha),
        find_excess(Limit.ACCEPTANCE, losses, allowed=limits.max_acceptance_loss, alpha=alpha),
    )
    return tuple(breach for breach in found if breach is not None)


def _differences(
    evidence: Evidence,
    treatment: str,
    songs: Iterable[JudgedSong],
    value: Callable[[JudgedSong, str], float | None],
) -> tuple[float, ...]:
    ours: list[float] = []
    theirs: list[float] = []
    for song in songs:
        own, other = value(song, treatment), value(song, evidence.experiment.control)
        if evidence.experiment.design is ExperimentDesign.STICKY:
            ours += [own] if own is not None else []
            theirs += [other] if other is not None else []
        elif own is not None and other is not None:
            ours.append(own)
            theirs.append(other)
    return tuple(own - other for own, other in zip(ours, theirs, strict=False))


def _share_of_copies(song: JudgedSong, version: str) -> float | None:
    copies = [COPY in sample.flags for sample in song.samples if sample.version == version]
    return sum(copies) / len(copies) if copies else None


def _of(calls: Iterable[Call], version: str) -> list[Call]:
    return [call for call in calls if call.version == version]
