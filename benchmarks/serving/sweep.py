"""Sweep over batch size, delay and number of workers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Table

from benchmarks.serving.measures import Level
from benchmarks.serving.plan import Plan, Serving, SweepPlan
from benchmarks.serving.run import TORCHSERVE, Note, Site, measure_direct


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One combination of settings and its figures, as medians over rounds."""

    serving: Serving
    samples_per_s: float
    """Samples a second at saturation."""
    p50_ms: float
    """Median latency with one client."""
    batch_rows: float
    """Mean number of sequences in a batch at saturation."""


def sweep(sweep_plan: SweepPlan, plan: Plan, site: Site, note: Note) -> tuple[Tried, ...]:
    """Measure every combination once per round, so that a disturbance affects one round of each, not all of one.

    Raises:
        ServerError: TorchServe cannot be measured.
    """
    servings = sweep_plan.servings()
    found: dict[Serving, list[Sequence[Level]]] = {serving: [] for serving in servings}
    for number in range(plan.rounds):
        for place, serving in enumerate(servings, 1):
            note(f"round {number + 1} of {plan.rounds}: {place} of {len(servings)}, {serving}")
            found[serving].append(measure_direct(replace(plan, serving=serving), site, number))
    return tuple(_tried(serving, levels) for serving, levels in found.items())


def best(tried: Sequence[Tried], *, slack: float = 0.03) -> Tried:
    """Return the combination with the lowest latency for one client, of those within `slack` of the highest rate."""
    fastest = max(each.samples_per_s for each in tried)
    return min((each for each in tried if each.samples_per_s >= (1 - slack) * fastest), key=lambda each: each.p50_ms)


def sweep_table(tried: Sequence[Tried]) -> Table:
    """Build the table for the terminal, with the best combination marked."""
    table = Table(title=f"{TORCHSERVE}: ways to serve", box=None, pad_edge=False)
    for name in (
        "workers",
        "threads",
        "batchSize",
        "maxBatchDelay",
        "samples/s",
        "of the best",
        "p50 ms",
        "batch rows",
    ):
        table.add_column(name, justify="right")
    table.add_column("")
    fastest, chosen = max(each.samples_per_s for each in tried), best(tried)
    for each in tried:
        serving = each.serving
        table.add_row(
            *(str(value) for value in (serving.workers, serving.threads, serving.batch_size, serving.delay_ms)),
            f"{each.samples_per_s:.0f}",
            f"{each.samples_per_s / fastest:.2f}",
            f"{each.p50_ms:.0f}",
            f"{each.batch_rows:.0f}",
            "best" if each is chosen else "",
        )
    return table


def sweep_figures(tried: Sequence[Tried]) -> dict[str, Any]:
    """Return the figures as numbers."""
    chosen = best(tried)
    return {"best": _plain(chosen), "tried": [_plain(each) for each in tried]}


def _tried(serving: Serving, rounds: Sequence[Sequence[Level]]) -> Tried:
    return Tried(
        serving=serving,
        samples_per_s=statistics.median(max(level.samples_per_s for level in levels) for levels in rounds),
        p50_ms=statistics.median(levels[0].p50_ms for levels in rounds),
        batch_rows=statistics.median(levels[-1].batch_rows for levels in rounds),
    )


def _plain(each: Tried) -> dict[str, Any]:
    serving = each.serving
    return {
        "workers": serving.workers,
        "threads": serving.threads,
        "batch_size": serving.batch_size,
        "max_batch_delay_ms": serving.delay_ms,
        "samples_per_s": each.samples_per_s,
        "p50_ms_one_client": each.p50_ms,
        "batch_rows": each.batch_rows,
    }
