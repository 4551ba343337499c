"""Decisions of an experiment: what follows from its report. Pure: `experiments.watching` carries actions out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from experiments.definition import ActionKind, Experiment
from experiments.report.sentences import describe, explain
from experiments.report.values import Report, Treatment
from experiments.statistics.comparison import Verdict
from foundation.model_versions import VersionName


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Action that the evidence calls for."""

    kind: ActionKind
    reason: str
    """Sentence with the figures, without a full stop."""
    version: str = ""
    """Version that it concerns; empty for the end of the experiment."""


def decide(report: Report) -> tuple[Action, ...]:
    """Return the actions that follow, in the order in which they are to be carried out.

    A treatment beyond a limit of harm is taken off, whatever else is found. If none is left, the experiment stops. With
    `auto`, the best of the treatments that are better than the control is promoted, which stops the experiment as well;
    and if all that are left are worse, it stops with the control as it is. While the check of the sample ratio speaks,
    nothing is promoted. Nothing follows for an experiment that has stopped, nor for a treatment that was taken off
    before: actions are repeated without harm.

    Args:
        report: report of the experiment as it is now.
    """
    experiment = report.experiment
    if not experiment.is_running:
        return ()
    taken = tuple(_taken_off(report))
    off = {*experiment.taken_off, *(action.version for action in taken)}
    left = [each for each in report.treatments if each.version not in off]
    return (*taken, *_end(report, left, taken))


def winner(report: Report) -> Treatment | None:
    """Return the best of the treatments that are better than the control and within all limits; None without one."""
    off = report.experiment.taken_off
    better = [
        each
        for each in report.treatments
        if each.comparison.decision is Verdict.BETTER and not each.breaches and each.version not in off
    ]
    return max(better, key=lambda each: each.comparison.mean, default=None)


def _taken_off(report: Report) -> Iterator[Action]:
    experiment = report.experiment
    for each in report.treatments:
        if each.breaches and each.version not in experiment.taken_off:
            first = min(each.breaches, key=lambda breach: breach.observations)
            reason = f"{_name(experiment, each.version)} was taken off: {explain(first)}"
            yield Action(kind=ActionKind.TAKE_OFF, version=each.version, reason=reason)


def _end(report: Report, left: Sequence[Treatment], taken: Sequence[Action]) -> Iterator[Action]:
    experiment = report.experiment
    control = _name(experiment, experiment.control)
    if not left:
        reasons = [*experiment.taken_off.values(), *(action.reason for action in taken)]
        yield Action(kind=ActionKind.STOP, reason=f"{control} stays, no treatment is left; {'; '.join(reasons)}")
    elif not experiment.auto or (report.ratio is not None and report.ratio.is_suspect):
        return
    elif (best := winner(report)) is not None:
        reason = (
            f"{_name(experiment, best.version)} was promoted: its samples are accepted more often than those of "
            f"{control}, by {describe(best.comparison)}"
        )
        yield Action(kind=ActionKind.PROMOTE, version=best.version, reason=reason)
    elif all(each.comparison.decision is Verdict.WORSE for each in left):
        told = " and ".join(f"{_name(experiment, each.version)} by {describe(each.comparison)}" for each in left)
        reason = f"{control} stays: samples of the others are accepted less often, those of {told}"
        yield Action(kind=ActionKind.STOP, reason=reason)


def _name(experiment: Experiment, version: str) -> str:
    return str(VersionName(model=experiment.model, version=version))
