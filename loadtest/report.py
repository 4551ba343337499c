"""Report of a run, read from locust's CSV files.

Times are those of whole calls at the client, failed ones included, in milliseconds. Locust rounds times from 100 ms up
to two digits before it computes percentiles.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from loadtest.errors import ReportError
from loadtest.tally import TALLY_SUFFIX

_TOTAL: Final = "Aggregated"
_Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Figures of the requests of one name, such as "Generate lcgan"."""

    name: str
    requests: int
    failures: int
    p50_ms: float
    """Median time; NaN, as are the other times, if no request ended."""
    p95_ms: float
    p99_ms: float
    max_ms: float
    requests_per_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Part of the run with a constant number of users."""

    users: int
    seconds: float
    requests_per_s: float
    failures_per_s: float
    p50_ms: float
    """Median at the end of the level, over the last 10 s; NaN if no request ended."""
    p95_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Figures of one run of the load test."""

    requests: int
    """Requests that ended, with or without success."""
    failures: int
    p50_ms: float
    """Median time; NaN, as are the other times, if no request ended."""
    p95_ms: float
    p99_ms: float
    max_ms: float
    requests_per_s: float
    samples: int
    """Samples in correct answers."""
    tokens: int
    samples_per_s: float
    tokens_per_s: float
    errors: Mapping[str, int]
    """Number of failures by kind: the name of the gRPC status code, or WRONG_ANSWER."""
    models: tuple[Figures, ...]
    """Figures for each model and pinned version."""
    levels: tuple[Level, ...]
    """Load and latency over the run, one entry each time the number of users changed."""


def read_report(prefix: Path) -> Report:
    """Read the files that locust and the tally wrote behind `--csv prefix`.

    Raises:
        ReportError: a file is missing or damaged.
    """
    stats = _read(prefix, "_stats.csv")
    history = _read(prefix, "_stats_history.csv")
    failures = _read(prefix, "_failures.csv")
    tally = _read(prefix, TALLY_SUFFIX)
    try:
        total = next(row for row in stats if row["Name"] == _TOTAL)
        return Report(
            **_figures(total),
            samples=int(tally[0]["Samples"]),
            tokens=int(tally[0]["Tokens"]),
            samples_per_s=float(tally[0]["Samples/s"]),
            tokens_per_s=float(tally[0]["Tokens/s"]),
            errors=_count_errors(failures),
            models=tuple(Figures(name=row["Name"], **_figures(row)) for row in stats if row["Name"] != _TOTAL),
            levels=tuple(_levels([row for row in history if row["Name"] == _TOTAL])),
        )
    except (KeyError, ValueError, TypeError, IndexError, StopIteration) as cause:
        raise ReportError(f"the files {prefix}_*.csv are not those of a load test: {cause!r}") from cause


def report_table(report: Report) -> Table:
    """Build a table with a line per model, a line for all, and the errors below."""
    table = Table(title="Load test", caption=_caption(report), caption_justify="left")
    table.add_column("asked")
    for heading in ("requests", "failed", "req/s", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(heading, justify="right")
    for figures in report.models:
        table.add_row(figures.name.removeprefix("Generate "), *_cells(figures))
    table.add_section()
    table.add_row("all", *_cells(report), style="bold")
    return table


def levels_table(report: Report) -> Table:
    """Build a table of latency over load, a line per level, for step and spike runs."""
    table = Table(title="Load and latency")
    for heading in ("users", "seconds", "req/s", "failed/s", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    for level in report.levels:
        rates = (f"{level.seconds:.0f}", f"{level.requests_per_s:.1f}", f"{level.failures_per_s:.1f}")
        table.add_row(str(level.users), *rates, _ms(level.p50_ms), _ms(level.p95_ms))
    return table


def _read(prefix: Path, suffix: str) -> list[dict[str, str]]:
    path = prefix.with_name(prefix.name + suffix)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as cause:
        raise ReportError(f"cannot read {path}: {cause}") from cause


def _figures(row: _Row) -> dict[str, Any]:
    return {
        "requests": int(row["Request Count"]),
        "failures": int(row["Failure Count"]),
        "p50_ms": _milliseconds(row["50%"]),
        "p95_ms": _milliseconds(row["95%"]),
        "p99_ms": _milliseconds(row["99%"]),
        "max_ms": _milliseconds(row["100%"]),
        "requests_per_s": float(row["Requests/s"]),
    }


def _milliseconds(cell: str) -> float:
    return math.nan if cell == "N/A" else float(cell)


def _count_errors(rows: Iterable[_Row]) -> dict[str, int]:
    errors: Counter[str] = Counter()
    for row in rows:
        errors[row["Error"]] += int(row["Occurrences"])
    return dict(errors.most_common())


def _levels(rows: list[dict[str, str]]) -> Iterable[Level]:
    """Compute the levels. Rates come from running totals: locust's own cover the last 10 s, across levels."""
    seconds = [(before, after) for before, after in pairwise(rows) if int(after["User Count"])]
    for users, pairs in groupby(seconds, key=lambda pair: int(pair[1]["User Count"])):
        level = list(pairs)
        first, last = level[0][0], level[-1][1]
        length = max(int(last["Timestamp"]) - int(first["Timestamp"]), 1)
        requests = int(last["Total Request Count"]) - int(first["Total Request Count"])
        failures = int(last["Total Failure Count"]) - int(first["Total Failure Count"])
        yield Level(
            users=users,
            seconds=length,
            requests_per_s=requests / length,
            failures_per_s=failures / length,
            p50_ms=_milliseconds(last["50%"]),
            p95_ms=_milliseconds(last["95%"]),
        )


def _cells(figures: Figures | Report) -> tuple[str, ...]:
    counts = (str(figures.requests), str(figures.failures), f"{figures.requests_per_s:.1f}")
    return (*counts, _ms(figures.p50_ms), _ms(figures.p95_ms), _ms(figures.p99_ms))


def _ms(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.0f}"


def _caption(report: Report) -> str:
    rates = f"{report.samples_per_s:.1f} samples/s, {report.tokens_per_s:.0f} tokens/s"
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.errors.items())
    return f"{rates}; errors: {kinds or 'none'}"
