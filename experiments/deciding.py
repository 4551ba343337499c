"""Decisions of an experiment: what follows from its evidence. Pure: `experiments.watching` carries actions out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from experiments.definition import ActionKind, Experiment
from experiments.evidence import Evidence
from experiments.report.pairing import acceptance_differences, find_breaches
from experiments.statistics.comparison import Comparison, Verdict, compare
from experiments.statistics.limits import Breach, Limit
from foundation.model_versions import VersionName

_HARM: Final = {
    Limit.FAILURES: "failed {excess:.0%} more of its requests than the control ({allowed:.0%} is allowed)",
    Limit.SLOWNESS: (
        "gave {excess:.0%} more answers than the control that took longer than {slowdown:g} times the control's 95th "
        "percentile ({allowed:.0%} is allowed)"
    ),
    Limit.COPIES: "had {excess:.0%} more copies of training text than the control ({allowed:.0%} is allowed)",
    Limit.ACCEPTANCE: "had {excess:.0%} fewer of its samples accepted than the control ({allowed:.0%} is allowed)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Action that the evidence calls for."""

    kind: ActionKind
    reason: str
    """Sentence with the figures."""
    version: str = ""
    """Version that it concerns; empty for the end of the experiment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Statistics of one treatment, on which decisions rest."""

    version: str
    comparison: Comparison
    breaches: tuple[Breach, ...]


def find(evidence: Evidence) -> tuple[Findings, ...]:
    """Return the statistics of each treatment, in the order of the definition."""
    experiment = evidence.experiment
    return tuple(
        Findings(
            version=version,
            comparison=compare(
                acceptance_differences(evidence, version),
                alpha=experiment.alpha,
                treatments=len(experiment.treatments),
            ),
            breaches=find_breaches(evidence, version),
        )
        for version in experiment.treatments
    )


def decide(experiment: Experiment, findings: tuple[Findings, ...]) -> tuple[Action, ...]:
    """Return the actions that follow, in the order in which they are to be carried out.

    A treatment beyond a limit of harm is taken off, whatever else is found. If none is left, the experiment stops. With
    `auto`, the best of the treatments that are better than the control is promoted, which stops the experiment as well;
    and if all that are left are worse, it stops with the control as it is. Nothing follows for an experiment that has
    stopped, nor for a treatment that was taken off before: actions are repeated without harm.

    Args:
        experiment: the experiment as it is now.
        findings: statistics of its treatments (`find`).
    """
    if not experiment.is_running:
        return ()
    taken = tuple(_taken_off(experiment, findings))
    off = {*experiment.taken_off, *(action.version for action in taken)}
    left = tuple(each for each in findings if each.version not in off)
    return (*taken, *_end(experiment, left, taken))


def winner(experiment: Experiment, findings: tuple[Findings, ...]) -> Findings | None:
    """Return the best of the treatments that are better than the control and within all limits; None without one."""
    better = [
        each
        for each in findings
        if each.comparison.decision is Verdict.BETTER and not each.breaches and each.version not in experiment.taken_off
    ]
    return max(better, key=lambda each: each.comparison.mean, default=None)


def harm(experiment: Experiment, version: str, breach: Breach) -> str:
    """Return the sentence that says which limit a version is beyond, and by how much."""
    told = _HARM[breach.limit].format(
        excess=breach.excess, allowed=breach.allowed, slowdown=experiment.guardrails.max_slowdown
    )
    pairs = "songs" if breach.limit in (Limit.ACCEPTANCE, Limit.COPIES) else "pairs of requests"
    return f"{_name(experiment, version)} {told}, after {breach.observations} {pairs}"


def _taken_off(experiment: Experiment, findings: tuple[Findings, ...]) -> Iterator[Action]:
    for each in findings:
        if each.breaches and each.version not in experiment.taken_off:
            first = min(each.breaches, key=lambda breach: breach.observations)
            yield Action(kind=ActionKind.TAKE_OFF, version=each.version, reason=harm(experiment, each.version, first))


def _end(experiment: Experiment, left: tuple[Findings, ...], taken: tuple[Action, ...]) -> Iterator[Action]:
    if not left:
        reasons = [action.reason for action in taken] or list(experiment.taken_off.values())
        yield Action(
            kind=ActionKind.STOP,
            reason=f"no treatment is left, {_name(experiment, experiment.control)} stays: {'; '.join(reasons)}",
        )
    elif experiment.auto and (best := winner(experiment, left)) is not None:
        yield Action(kind=ActionKind.PROMOTE, version=best.version, reason=_better(experiment, best))
    elif experiment.auto and all(each.comparison.decision is Verdict.WORSE for each in left):
        names = " and ".join(_name(experiment, each.version) for each in left)
        verb = "is" if len(left) == 1 else "are"
        yield Action(
            kind=ActionKind.STOP,
            reason=f"{names} {verb} worse than {_name(experiment, experiment.control)}, which stays",
        )


def _better(experiment: Experiment, best: Findings) -> str:
    found = best.comparison
    return (
        f"{_name(experiment, best.version)} is better than {_name(experiment, experiment.control)}: "
        f"{100 * found.mean:+.1f} points of acceptance ({100 * found.low:+.1f} to {100 * found.high:+.1f}) over "
        f"{found.songs} songs"
    )


def _name(experiment: Experiment, version: str) -> str:
    return str(VersionName(model=experiment.model, version=version))
