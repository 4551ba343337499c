"""Sentences of a report: the recommendation, and what a breach of a limit says."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.definition import Experiment
from experiments.report.values import Absence, Arm, RatioCheck, Treatment
from experiments.statistics.comparison import Comparison, Verdict
from experiments.statistics.limits import Breach, Limit
from serving.traffic.experiment import ExperimentDesign


def recommend(
    experiment: Experiment,
    arms: Sequence[Arm],
    treatments: Sequence[Treatment],
    ratio: RatioCheck | None,
    absences: Sequence[Absence] = (),
) -> str:
    """Return the sentence that says what to do. Harm goes first, then faults of the data, then what is better.

    Args:
        experiment: definition.
        arms: figures by version.
        treatments: comparisons with the control.
        ratio: check of the sample ratio, if there is one.
        absences: versions that missed requests.

    Returns:
        One sentence.
    """
    if experiment.stopped is not None and experiment.outcome:
        return experiment.outcome
    left = [each for each in treatments if each.version not in experiment.taken_off]
    fault = _fault(experiment, left, ratio, absences)
    return fault or _difference(experiment, left) or _go_on(experiment, arms, left)


def _fault(
    experiment: Experiment, left: Sequence[Treatment], ratio: RatioCheck | None, absences: Sequence[Absence]
) -> str:
    """Return what has to be done before any comparison; empty if nothing is wrong."""
    for treatment in left:
        if treatment.breaches:
            return f"Take version {treatment.version} off: {explain(treatment.breaches[0])}."
    if ratio is not None and ratio.is_suspect:
        return f"Trust no figure before the assignment is repaired: {explain_ratio(ratio)}."
    for absence in absences:
        if absence.is_now and experiment.is_running:
            return (
                f"Bring version {absence.version} back: the latest requests have no samples of it, so no song is "
                "compared; `deephypebot models list` says what became of it."
            )
    return ""


def _difference(experiment: Experiment, left: Sequence[Treatment]) -> str:
    """Return what follows from a difference that was found; empty if none was."""
    better = [each for each in left if each.comparison.decision is Verdict.BETTER]
    if better:
        best = max(better, key=lambda each: each.comparison.mean)
        return (
            f"Promote version {best.version}: its samples are accepted more often than those of version "
            f"{experiment.control}, by {describe(best.comparison, songs=_counted(experiment))}."
        )
    if left and all(each.comparison.decision is Verdict.WORSE for each in left):
        worst = left[0]
        return (
            f"Keep version {experiment.control}: samples of version {worst.version} are accepted less often, by "
            f"{describe(worst.comparison, songs=_counted(experiment))}."
        )
    return ""


def explain(breach: Breach) -> str:
    """Return the words that say what a version did, without a full stop.

    Args:
        breach: limit that it is beyond.

    Returns:
        A clause.
    """
    more, allowed = points(breach.excess), points(breach.allowed)
    seen = f"(seen in {breach.observations} {_unit(breach)}, {allowed} are allowed)"
    match breach.limit:
        case Limit.FAILURES:
            return f"its share of failed requests is {more} higher than the control's {seen}"
        case Limit.SLOWNESS:
            return (
                f"the 95th percentile of the time of its answers is {breach.slowdown or 0:.1f} times the control's "
                f"(seen in {breach.observations} requests)"
            )
        case Limit.COPIES:
            return f"its share of samples copied from the training text is {more} higher than the control's {seen}"
        case Limit.ACCEPTANCE:
            return f"its share of accepted samples is {more} lower than the control's {seen}"


def explain_ratio(ratio: RatioCheck) -> str:
    """Return the words that say what is wrong with the assignment, without a full stop.

    Args:
        ratio: check of the sample ratio.

    Returns:
        A clause.
    """
    if ratio.mismatches:
        return f"{ratio.mismatches:,} units were answered by another version than the one that their hash gives"
    total = sum(ratio.observed.values())
    shares = ", ".join(
        f"version {version} has {ratio.observed.get(version, 0) / total:.1%} of the units instead of {share:.1%}"
        for version, share in ratio.shares.items()
    )
    return f"of {total:,} units, {shares}"


def describe(comparison: Comparison, *, songs: str = "songs") -> str:
    """Return a difference with its interval and the number of songs.

    Args:
        comparison: comparison with the control.
        songs: word for what is counted.

    Returns:
        Words such as "8.6 points (2.2 to 16.6, 246 songs)".
    """
    sign = -1 if comparison.decision is Verdict.WORSE else 1
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    return f"{points(sign * comparison.mean)} ({100 * low:.1f} to {100 * high:.1f}, {comparison.songs:,} {songs})"


def points(share: float) -> str:
    """Return a difference of shares in percentage points.

    >>> points(0.086), points(0.01)
    ('8.6 points', '1.0 points')
    """
    return f"{100 * share:.1f} points"


def _go_on(experiment: Experiment, arms: Sequence[Arm], treatments: Sequence[Treatment]) -> str:
    prefix = "Nothing was decided" if experiment.stopped is not None else "Go on"
    if not treatments:
        return f"{prefix}: every treatment was taken off."
    if not any(treatment.comparison.songs for treatment in treatments):
        missing = [arm.version for arm in arms if not arm.songs and any(other.songs for other in arms)]
        reason = f"no whole song has samples of version {missing[0]}" if missing else "no song is judged whole yet"
        return f"{prefix}: {reason}."
    open_ones = [each for each in treatments if each.comparison.decision is Verdict.UNDECIDED]
    shown = (open_ones or list(treatments))[0]
    low, high = 100 * shown.comparison.low, 100 * shown.comparison.high
    return (
        f"{prefix}: after {shown.comparison.songs:,} {_counted(experiment)}, the acceptance of version {shown.version} "
        f"less that of version {experiment.control} is between {low:+.1f} and {high:+.1f} points."
    )


def _counted(experiment: Experiment) -> str:
    return "pairs of songs" if experiment.design is ExperimentDesign.STICKY else "songs"


def _unit(breach: Breach) -> str:
    return "songs" if breach.limit in {Limit.COPIES, Limit.ACCEPTANCE} else "requests"
