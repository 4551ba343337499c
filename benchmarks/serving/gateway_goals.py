"""Goals of the gateway: its throughput and latency beside TorchServe alone, the cost of its parts, its memory.

The gateway runs with all of its parts: admission, batches, exposures, metrics, drift. In each round TorchServe, the
gateway, its variants (`variants`: without drift, with traces, TLS, tokens, a shadow, ...) and a bare grpc.aio server
take their turns, with the same archive, workers and requests. Traces go to a collector that keeps nothing, or to an
address where none listens.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rich.table import Table

from benchmarks.serving.calls import Asked, Phase
from benchmarks.serving.errors import ServerError
from benchmarks.serving.measures import Level
from benchmarks.serving.parts import part_costs
from benchmarks.serving.plan import Plan
from benchmarks.serving.report import TITLES, median_of, saturated
from benchmarks.serving.run import (
    GATEWAY,
    TORCHSERVE,
    Note,
    Site,
    levels_of,
    load,
    measure_direct,
    server_of,
)
from benchmarks.serving.variants import (
    GRPC,
    INTERLEAVED_ARMS,
    SHADOWED,
    UNWATCHED,
    VARIANTS,
    protocol_of,
    special_settings,
)

_MIB: Final = 2**20
_MANY_CLIENTS: Final = 64
_MEMORY_PHASE_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure with the value that it should reach."""

    figure: str
    goal: float
    at_most: bool
    what: str

    def is_met(self, value: float) -> bool:
        """Return whether a value reaches the goal."""
        return value <= self.goal if self.at_most else value >= self.goal


GOALS: Final = (
    Goal(figure="vs_torchserve", goal=0.95, at_most=False, what="samples/s at saturation, of TorchServe alone"),
    Goal(figure="vs_grpc", goal=1.0, at_most=False, what="samples/s at saturation, of a bare grpc.aio server"),
    Goal(figure="added_ms_p50", goal=1.0, at_most=True, what="p50 of one client, beyond TorchServe alone, ms"),
    Goal(figure="shadow_ms_p50", goal=0.3, at_most=True, what="p50 of one client, added by a shadow, ms"),
    Goal(figure="traced_rate", goal=0.97, at_most=False, what="samples/s at saturation with traces, of those without"),
    Goal(figure="traced_ms_p50", goal=0.2, at_most=True, what="p50 of one client, added by traces, ms"),
    Goal(figure="away_rate", goal=0.97, at_most=False, what="samples/s likewise, where no collector takes the spans"),
    Goal(figure="away_ms_p50", goal=0.2, at_most=True, what="p50 likewise, where no collector takes the spans, ms"),
    Goal(figure="tls_rate", goal=0.95, at_most=False, what="samples/s at saturation with TLS, of those without"),
    Goal(figure="tokens_rate", goal=0.95, at_most=False, what="samples/s likewise, with tokens and limits of clients"),
    Goal(figure="oip_rate", goal=0.95, at_most=False, what="samples/s by the Open Inference Protocol, of the typed"),
    Goal(figure="http_rate", goal=0.95, at_most=False, what="samples/s by HTTP/JSON, of those by gRPC"),
    Goal(figure="pool_rate", goal=0.95, at_most=False, what="samples/s, workers in the pool, of those in TorchServe"),
    Goal(figure="together_rate", goal=0.95, at_most=False, what="samples/s, traces, TLS, tokens, log, HTTP door open"),
    Goal(figure="growth_mib", goal=8.0, at_most=True, what="growth of the gateway's memory over the requests, MiB"),
)


@dataclass(slots=True, kw_only=True)
class Measured:
    """All measurements of the gateway."""

    servers: dict[str, list[tuple[Level, ...]]] = field(default_factory=dict)
    """Levels of each server by round, in the order of the plan's clients."""
    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    """Processor time of each gateway's process for a request at saturation, by round."""
    family_cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    """The same of the gateway's process and all below it, its workers included."""
    ready_s: dict[str, list[float]] = field(default_factory=dict)
    """Time of each gateway from its start until its workers were ready, by round."""
    family_mib: dict[str, list[float]] = field(default_factory=dict)
    """Memory of each gateway's process and all below it after its load (PSS, so that shared pages count once)."""
    parts_us: dict[str, float] = field(default_factory=dict)
    memory_mib: list[float] = field(default_factory=list)
    """Resident memory of the gateway's process after each part of the long run."""
    memory_requests: int = 0


def measure_goals(plan: Plan, site: Site, note: Note, *, memory_requests: int, servers: Sequence[str]) -> Measured:
    """Measure everything.

    Args:
        plan: numbers of clients, lengths and rounds.
        site: folders and archive.
        note: is told what is being measured.
        memory_requests: requests of the long run; 0 for none.
        servers: names of the servers to measure, in the order of their turns.

    Raises:
        ServerError: a server cannot be measured.
    """
    measured = Measured()
    note("parts")
    measured.parts_us = part_costs()
    for number in range(plan.rounds):
        for name in servers:
            note(f"round {number + 1} of {plan.rounds}: {TITLES.get(name, name)}")
            measured.servers.setdefault(name, []).append(_levels(name, plan, site, number, measured))
    if memory_requests:
        note(f"memory over {memory_requests} requests")
        _measure_memory(plan, site, memory_requests, measured)
    return measured


def _levels(name: str, plan: Plan, site: Site, number: int, measured: Measured) -> tuple[Level, ...]:
    if name == TORCHSERVE:
        return measure_direct(plan, site, number)
    phases, protocol = plan.closed(number), protocol_of(name)
    if name == GRPC:
        with server_of(GRPC, site, plan.serving) as server:
            return levels_of(load(protocol, server, phases, plan, site), phases)
    # A shadow is dropped whenever clients wait: at saturation there is nothing to measure of it.
    phases = phases[:1] if name == SHADOWED else phases
    with special_settings(name, site) as special, server_of(GATEWAY, site, plan.serving, **special) as server:
        before, family_before = _cpu_s(server.program.itself()), _family_cpu_s(server.program.itself())
        calls = load(protocol, server, phases, plan, site)
        answered = sum(map(len, calls)) + _warm_calls(plan, calls, phases)
        spent = 1000 * (_cpu_s(server.program.itself()) - before) / answered
        measured.cpu_ms.setdefault(name, []).append(spent)
        family_spent = 1000 * (_family_cpu_s(server.program.itself()) - family_before) / answered
        measured.family_cpu_ms.setdefault(name, []).append(family_spent)
        measured.ready_s.setdefault(name, []).append(float(server.addresses["ready_s"]))
        measured.family_mib.setdefault(name, []).append(_family_mib(server.program.itself()))
    return levels_of(calls, phases)


def _warm_calls(plan: Plan, calls: Sequence[Sequence[object]], phases: Sequence[Phase]) -> float:
    """Return about how many calls the warm-up had, which the load generator does not return."""
    return plan.warm_s * len(calls[-1]) / phases[-1].total_s


def _cpu_s(process: Any) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _family_cpu_s(process: Any) -> float:
    """Return the processor time of a process and all that live below it."""
    return sum(map(_cpu_s, [process, *process.children(recursive=True)]))


def _family_mib(process: Any) -> float:
    """Return the memory of a process and all below it."""
    family = [process, *process.children(recursive=True)]
    return sum(float(each.memory_full_info().pss) for each in family) / _MIB


def _measure_memory(plan: Plan, site: Site, requests: int, measured: Measured) -> None:
    """Send many small requests to one gateway, and note its memory on the way."""
    small = replace(plan, asked=Asked(samples=1, max_tokens=1), warm_s=1.0)
    phase = Phase(clients=_MANY_CLIENTS, settle_s=0.0, seconds=min(_MEMORY_PHASE_S, 10 * plan.seconds))
    with server_of(GATEWAY, site, plan.serving) as server:
        while measured.memory_requests < requests:
            (calls,) = load(GATEWAY, server, [phase], small, site)
            failed = sorted({call.code for call in calls if call.code != "OK"})
            if failed or not calls:
                raise ServerError(f"requests of the long run failed: {', '.join(failed) or 'none was answered'}")
            measured.memory_requests += len(calls)
            measured.memory_mib.append(server.program.itself().memory_info().rss / _MIB)


def figures(measured: Measured) -> dict[str, Any]:
    """Return all figures as numbers; a ratio is the median over rounds of the ratios within a round."""
    rates = {name: saturated(rounds) for name, rounds in measured.servers.items()}
    lone = {name: [levels[0].p50_ms for levels in rounds] for name, rounds in measured.servers.items()}
    found: dict[str, Any] = {}
    if TORCHSERVE in rates:
        found["vs_torchserve"] = median_of(rates[GATEWAY], rates[TORCHSERVE])
        found["added_ms_p50"] = _median_difference(lone[GATEWAY], lone[TORCHSERVE])
    if GRPC in rates:
        found["vs_grpc"] = median_of(rates[GATEWAY], rates[GRPC])
    if SHADOWED in lone:
        found["shadow_ms_p50"] = _median_difference(lone[SHADOWED], lone[GATEWAY])
    if UNWATCHED in rates:
        found["drift_rate"] = median_of(rates[GATEWAY], rates[UNWATCHED])
        found["drift_p50"] = median_of(lone[GATEWAY], lone[UNWATCHED])
    if INTERLEAVED_ARMS in rates:
        found["interleaved_rate"] = median_of(rates[INTERLEAVED_ARMS], rates[GATEWAY])
        found["interleaved_p50"] = median_of(lone[INTERLEAVED_ARMS], lone[GATEWAY])
    for each in VARIANTS.values():
        if each.figure and each.server in rates:
            found[f"{each.figure}_rate"] = median_of(rates[each.server], rates[GATEWAY])
            found[f"{each.figure}_ms_p50"] = _median_difference(lone[each.server], lone[GATEWAY])
    if measured.memory_mib:
        found["growth_mib"] = measured.memory_mib[-1] - measured.memory_mib[0]
        found["memory_mib"] = measured.memory_mib[-1]
        found["memory_requests"] = measured.memory_requests
    return found | {
        "gateway_cpu_ms": statistics.median(measured.cpu_ms[GATEWAY]),
        "cpu_ms": {name: statistics.median(values) for name, values in measured.cpu_ms.items()},
        "family_cpu_ms": {name: statistics.median(values) for name, values in measured.family_cpu_ms.items()},
        "ready_s": {name: statistics.median(values) for name, values in measured.ready_s.items()},
        "family_mib": {name: statistics.median(values) for name, values in measured.family_mib.items()},
        "parts_us": measured.parts_us,
        "samples_per_s": {name: statistics.median(values) for name, values in rates.items()},
        "p50_ms": {name: statistics.median(values) for name, values in lone.items()},
        "errors": sum(
            sum(each.errors.values()) for rounds in measured.servers.values() for levels in rounds for each in levels
        ),
    }


def _median_difference(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(mine - other for mine, other in zip(ours, theirs, strict=True))


def tables(measured: Measured) -> list[Table]:
    """Build the tables for the terminal: the goals, the servers, and the cost of the parts."""
    found = figures(measured)
    goals = Table(title="Goals of the gateway", box=None, pad_edge=False)
    for heading in ("figure", "measured", "goal", "", "what it is"):
        goals.add_column(heading)
    for goal in GOALS:
        if (value := found.get(goal.figure)) is not None:
            limit = f"{'<=' if goal.at_most else '>='} {goal.goal:g}"
            goals.add_row(goal.figure, f"{value:.2f}", limit, "met" if goal.is_met(value) else "missed", goal.what)
    servers = Table(title="Servers", box=None, pad_edge=False)
    headings = ("server", "samples/s", "p50 of one client, ms", "processor time of a request, ms")
    for heading in (*headings, "with its workers, ms", "ready after, s", "memory with workers, MiB", "beside"):
        servers.add_column(heading)
    for name, rate in found["samples_per_s"].items():
        shown = "" if name == SHADOWED else f"{rate:.0f}"
        spent = f"{found['cpu_ms'][name]:.2f}" if name in found["cpu_ms"] else ""
        ready = f"{found['ready_s'][name]:.1f}" if name in found["ready_s"] else ""
        memory = f"{found['family_mib'][name]:.0f}" if name in found["family_mib"] else ""
        lone = f"{found['p50_ms'][name]:.1f}"
        family = f"{found['family_cpu_ms'][name]:.2f}" if name in found["family_cpu_ms"] else ""
        servers.add_row(TITLES.get(name, name), shown, lone, spent, family, ready, memory, _beside(name, found))
    costs = Table(title="Processor time of the gateway, microseconds a request", box=None, pad_edge=False)
    for heading in ("part", "us"):
        costs.add_column(heading)
    for name, cost in found["parts_us"].items():
        costs.add_row(name.replace("_", " "), f"{cost:.1f}")
    costs.add_row("all, grpc.aio and asyncio included", f"{1000 * found['gateway_cpu_ms']:.0f}")
    return [goals, servers, costs]


def _beside(name: str, found: dict[str, Any]) -> str:
    if name == UNWATCHED:
        return f"with drift: {found['drift_rate']:.3f} of its samples/s, {found['drift_p50']:.3f} of its p50"
    if name == INTERLEAVED_ARMS:
        return f"{found['interleaved_rate']:.3f} of the gateway's, {found['interleaved_p50']:.3f} of its p50"
    return ""
