"""Tables of the command `deephypebot experiment`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from experiments.definition import Experiment
from experiments.report.values import Arm, Report

if TYPE_CHECKING:
    from experiments.replaying import Compared


def experiments(found: Sequence[Experiment]) -> Table:
    """Return a row for each experiment."""
    table = Table("name", "model", "versions", "design", "started (UTC)", "state")
    for each in found:
        state = "runs" if each.is_running else f"ended: {each.outcome or 'by hand'}"
        table.add_row(
            each.name,
            each.model,
            " against ".join(each.versions),
            each.design.value,
            f"{each.started:%Y-%m-%d %H:%M}",
            state,
        )
    return table


def arms(report: Report) -> Table:
    """Return a row for each arm of an experiment."""
    table = Table("version", "role", "requests", "failed", "p95", "songs", "samples", "accepted", "acceptance")
    for column in table.columns[2:]:
        column.justify = "right"
    for arm in report.arms:
        table.add_row(
            f"{report.experiment.model}/{arm.version}",
            _role(report, arm),
            f"{arm.calls:,}",
            f"{arm.failures:,}",
            "-" if arm.p95_ms is None else f"{arm.p95_ms:.0f} ms",
            f"{arm.songs:,}",
            f"{arm.samples:,}",
            f"{arm.accepted:,}",
            _acceptance(arm),
        )
    return table


def songs(report: Report) -> str:
    """Return the songs by how far their verdicts have come, as one line."""
    counts = report.songs
    return (
        f"songs: {counts.whole:,} judged whole, {counts.half:,} half, {counts.waiting:,} waiting"
        f"{f', {counts.incomplete:,} without samples of one version' if counts.incomplete else ''}"
    )


def replayed(found: Compared) -> tuple[Table | str, ...]:
    """Return tables of a replay: a row for each version, and the ranking if there is one."""
    answers = Table("version", "answers", "left out", "served by itself", "texts compared", "different")
    for each in found.replays:
        check = found.checks[each.version]
        numbers = (len(each.answers), len(each.left_out), check.exposures, check.texts, len(check.different))
        answers.add_row(each.version, *(f"{number:,}" for number in numbers))
    reasons = Counter(left.reason for each in found.replays for left in each.left_out)
    notes = [f"left out {count:,}: {reason}" for reason, count in reasons.most_common(5)]
    if not found.ranking:
        return answers, *notes
    ranking = Table("version", "mean value", "interval of 95%", "less the first", "interval of 95%", "units")
    for value in found.ranking:
        ranking.add_row(
            value.version,
            f"{value.value:.3f}",
            f"{value.low:.3f} to {value.high:.3f}",
            f"{value.difference:+.3f}",
            f"{value.difference_low:+.3f} to {value.difference_high:+.3f}",
            f"{value.units:,}",
        )
    return answers, *notes, ranking


def _role(report: Report, arm: Arm) -> str:
    if arm.version in report.experiment.taken_off:
        return "taken off"
    return "control" if arm.is_control else "treatment"


def _acceptance(arm: Arm) -> str:
    if (found := arm.acceptance) is None:
        return "-"
    return f"{found.value:.1%} ({100 * found.low:.1f} to {100 * found.high:.1f})"
