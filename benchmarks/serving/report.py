"""Report of the benchmark, as figures and as tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from benchmarks.serving.measures import Level, find_knee, median_level
from benchmarks.serving.run import GATEWAY, TORCHSERVE, Measured

_COLUMNS: Final = ("samples/s", "p50 ms", "p90", "p99", "max", "rows", "queue", "decode", "errors")
"""Columns of the tables: rows are the sequences of a batch; queue and decode are medians in milliseconds."""
TITLES: Final = {
    TORCHSERVE: "TorchServe",
    GATEWAY: "our gateway",
    "litserve": "LitServe",
    "rayserve": "Ray Serve",
    "bentoml": "BentoML",
    "grpc": "bare grpc.aio",
}


def figures(measured: Measured) -> dict[str, Any]:
    """Return all figures as numbers; a ratio is the median over rounds of the ratios within a round."""
    ours = saturated(measured.servers[TORCHSERVE])
    serving = measured.plan.serving
    peers = {f"vs_{peer}": _ratio(ours, measured, peer) for peer in measured.plan.peers}
    knee = knee_place(measured)
    rates = {name: saturated(rounds) for name, rounds in measured.servers.items()}
    return {
        "vs_engine": median_of(ours, [each.samples_per_s for each in measured.engine]),
        "overhead_ms_p50": overhead_ms(measured),
        **peers,
        "vs_gateway": _ratio(ours, measured, GATEWAY),
        "knee_rps": measured.offered[knee],
        "knee_p99_ms": measured.open[knee].p99_ms,
        "mean_batch_rows": _busiest(measured, TORCHSERVE).batch_rows,
        "samples_per_s": statistics.median(ours),
        "engine_samples_per_s": statistics.median(each.samples_per_s for each in measured.engine),
        "engine_lone_ms": statistics.median(each.lone_ms for each in measured.engine),
        "workers": serving.workers,
        "threads": serving.threads,
        "batch_size": serving.batch_size,
        "max_batch_delay_ms": serving.delay_ms,
        "model": f"{measured.archive.model}/{measured.archive.version}",
        "rounds": [
            {"engine": engine.samples_per_s, "engine_lone_ms": engine.lone_ms}
            | {name: rate[number] for name, rate in rates.items() if number < len(rate)}
            for number, engine in enumerate(measured.engine)
        ],
        "absent": measured.absent,
        "closed": {
            name: {str(clients): _plain(each) for clients, each in medians(measured, name)} for name in measured.servers
        },
        "open": [
            {"offered_rps": offered, **_plain(each)}
            for offered, each in zip(measured.offered, measured.open, strict=True)
        ],
    }


def saturated(rounds: Sequence[Sequence[Level]]) -> list[float]:
    """Return the samples a second at saturation of each round: the maximum over the numbers of clients."""
    return [max(each.samples_per_s for each in levels) for levels in rounds]


def median_of(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over rounds of the ratio of ours to theirs."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True))


def overhead_ms(measured: Measured) -> float:
    """Return the median latency for one client minus the engine's median time for the same requests, in ms."""
    rounds = zip(measured.servers[TORCHSERVE], measured.engine, strict=True)
    return statistics.median(levels[0].p50_ms - engine.lone_ms for levels, engine in rounds)


def medians(measured: Measured, name: str) -> list[tuple[int, Level]]:
    """Return the medians over rounds of a server, by number of clients."""
    by_clients = zip(*measured.servers[name], strict=True)
    return [(clients, median_level(levels)) for clients, levels in zip(measured.plan.clients, by_clients, strict=True)]


def knee_place(measured: Measured) -> int:
    """Return the index of the open loop's load at the knee of the median latency."""
    return find_knee(measured.offered, [level.p50_ms for level in measured.open])


def tables(measured: Measured) -> list[Table]:
    """Build the tables for the terminal."""
    return [_closed_table(measured), _open_table(measured)]


def _ratio(ours: Sequence[float], measured: Measured, name: str) -> float:
    rounds = measured.servers.get(name, [])
    theirs = saturated(rounds)
    # A peer that failed in a later round has fewer rounds.
    return median_of(ours[: len(theirs)], theirs) if theirs else math.nan


def _busiest(measured: Measured, name: str) -> Level:
    return max((each for _, each in medians(measured, name)), key=lambda each: each.samples_per_s)


def _plain(each: Level) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__dataclass_fields__}


def _closed_table(measured: Measured) -> Table:
    engine = statistics.median(each.samples_per_s for each in measured.engine)
    lone = statistics.median(each.lone_ms for each in measured.engine)
    table = Table(title=f"Closed loop: {measured.plan.serving}", box=None, pad_edge=False)
    table.add_column("", no_wrap=True)
    for name in ("clients", *_COLUMNS):
        table.add_column(name, justify="right")
    table.add_row("engine alone", "", f"{engine:.0f}")
    table.add_row("one at a time", "", "", f"{lone:.0f}")
    for name in (TORCHSERVE, GATEWAY, *measured.plan.peers):
        if name in measured.servers:
            for place, (clients, each) in enumerate(medians(measured, name)):
                table.add_row("" if place else TITLES[name], str(clients), *_cells(each))
    if measured.absent:
        table.caption = "\n".join(f"{TITLES[name]}: {reason}" for name, reason in measured.absent.items())
    return table


def _open_table(measured: Measured) -> Table:
    table = Table(title="Open loop: TorchServe, gRPC, Poisson arrivals", box=None, pad_edge=False)
    for name in ("offered/s", *_COLUMNS):
        table.add_column(name, justify="right")
    table.add_column("")
    knee = knee_place(measured)
    for place, (offered, each) in enumerate(zip(measured.offered, measured.open, strict=True)):
        table.add_row(f"{offered:.1f}", *_cells(each), "knee" if place == knee else "")
    return table


def _cells(each: Level) -> tuple[str, ...]:
    latencies = (each.p50_ms, each.p90_ms, each.p99_ms, each.max_ms)
    return (
        f"{each.samples_per_s:.0f}",
        *(f"{value:.0f}" for value in latencies),
        f"{each.batch_rows:.0f}",
        f"{each.queue_ms:.0f}",
        f"{each.decode_ms:.0f}",
        errors_in_words(each.errors),
    )


def errors_in_words(errors: Mapping[str, int]) -> str:
    """Format error codes with their counts.

    >>> errors_in_words({"UNAVAILABLE": 2})
    '2 UNAVAILABLE'
    """
    return ", ".join(f"{count} {code}" for code, count in sorted(errors.items())) or "-"
