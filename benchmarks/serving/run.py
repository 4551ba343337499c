"""Run of the benchmark: in each round the engine, TorchServe and every peer, one at a time.

A server is started for its turn and ended after it, so that none disturbs another. All use the same archive, workers,
threads, batch size and requests, and the same delay except for `plan.DELAY_FACTORS`. Clients and server share the
cores; nothing is pinned.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.serving.archive import Archive, set_serving, unpack
from benchmarks.serving.calls import Call, LoadSettings, Phase
from benchmarks.serving.environments import ready_python
from benchmarks.serving.errors import ServerError
from benchmarks.serving.measures import Level, level
from benchmarks.serving.plan import Plan, Serving
from benchmarks.serving.processes import Place, Program, free_port, running
from benchmarks.serving.programs.settings import ServerSettings

TORCHSERVE: Final = "torchserve"
GATEWAY: Final = "gateway"
INTERLEAVED: Final = "interleaved"
"""Protocol of the gateway's clients that ask all arms of an experiment."""
OIP: Final = "oip"
"""Protocol of the gateway's clients that speak the Open Inference Protocol."""
HTTP: Final = "http"
"""Protocol of the gateway's clients that speak HTTP/JSON."""

_START_S: Final = 120.0
_LONE: Final = 500
"""Maximum number of requests for the engine one at a time."""
_SATURATING: Final = 256
"""Requests in one decode of the engine alone: many more sequences than slots."""
_SPARE_S: Final = 120.0
"""Time for calls in flight at the end of phases, beyond the phases themselves."""

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSpeed:
    """Speed of the engine alone."""

    samples_per_s: float
    lone_ms: float
    """Median time of one request at a time."""


@dataclass(slots=True, kw_only=True)
class Measured:
    """All measurements; lists have an entry per round."""

    plan: Plan
    archive: Archive
    engine: list[EngineSpeed] = field(default_factory=list)
    servers: dict[str, list[tuple[Level, ...]]] = field(default_factory=lambda: defaultdict(list))
    """Levels of each server, in the order of the plan's clients."""
    absent: dict[str, str] = field(default_factory=dict)
    """Servers that could not be measured, with the reasons."""
    open: tuple[Level, ...] = ()
    """Levels of TorchServe in the open loop, in the order of the plan's loads."""
    offered: tuple[float, ...] = ()
    """Offered loads of the open loop, in requests a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Folders and archive of the measurement."""

    folder: Path
    """Folder for temporary files of the run."""
    environments: Path
    """Folder of the peers' environments."""
    archive: Archive
    model: Path
    """Folder of the unpacked archive."""

    def place(self, serving: Serving) -> Place:
        """Return the folders and threads of programs."""
        return Place(folder=self.folder, model=self.model, threads=serving.threads)


def prepare_site(archive: Archive, folder: Path, environments: Path) -> Site:
    """Unpack the archive and return the site."""
    return Site(folder=folder, environments=environments, archive=archive, model=unpack(archive, folder / "model"))


def measure(plan: Plan, site: Site, note: Note) -> Measured:
    """Run the plan.

    Raises:
        ServerError: the engine or TorchServe cannot be measured; a peer that cannot be measured is only reported.
    """
    measured = Measured(plan=plan, archive=site.archive)
    pythons = _peers_pythons(plan, site, measured, note)
    for number in range(plan.rounds):
        turn = f"round {number + 1} of {plan.rounds}"
        note(f"{turn}: engine")
        before = measure_engine(plan, site, number)
        note(f"{turn}: TorchServe")
        for name, levels in measure_torchserve(plan, site, number).items():
            measured.servers[name].append(levels)
        note(f"{turn}: engine again")
        measured.engine.append(_mean(before, measure_engine(plan, site, number)))
        for peer, python in pythons.items():
            if peer not in measured.absent:
                note(f"{turn}: {peer}")
                _measure_peer(peer, python, site, number, measured)
    note("open loop")
    measure_open(plan, site, measured)
    return measured


def measure_engine(plan: Plan, site: Site, number: int) -> EngineSpeed:
    """Measure the engine alone on the requests of a round."""
    serving, asked = plan.serving, plan.asked
    busiest, lone = plan.first(number, len(plan.clients) - 1), plan.first(number)
    with tempfile.TemporaryDirectory(dir=site.folder) as folder:
        out = Path(folder) / "out.json"
        settings = {
            "model": str(site.model),
            "threads": serving.threads,
            "seconds": plan.seconds,
            "saturating": [
                [asked.payload(busiest + worker * _SATURATING + each) for each in range(_SATURATING)]
                for worker in range(serving.workers)
            ],
            "lone": [asked.payload(lone + each) for each in range(_LONE)],
            "out": str(out),
        }
        stored = Path(folder) / "settings.json"
        stored.write_text(json.dumps(settings), encoding="utf-8")  # longer than an argument may be
        with running("engine", str(stored), site.place(serving)) as program:
            found: dict[str, Any] = program.wait_for(out, _START_S + 4 * plan.seconds)
    return EngineSpeed(samples_per_s=found["samples_per_s"], lone_ms=statistics.median(found["lone_ms"]))


def _mean(before: EngineSpeed, after: EngineSpeed) -> EngineSpeed:
    """Average the engine's speed before and after a server, since the machine may become slower meanwhile."""
    return EngineSpeed(
        samples_per_s=(before.samples_per_s + after.samples_per_s) / 2, lone_ms=(before.lone_ms + after.lone_ms) / 2
    )


def measure_torchserve(plan: Plan, site: Site, number: int) -> dict[str, tuple[Level, ...]]:
    """Measure TorchServe directly, which forms the batches, then behind the gateway, which forms them itself."""
    return {TORCHSERVE: measure_direct(plan, site, number), GATEWAY: measure_gateway(plan, site, number)}


def measure_gateway(plan: Plan, site: Site, number: int) -> tuple[Level, ...]:
    """Measure TorchServe behind the gateway."""
    phases = plan.closed(number)
    with server_of(GATEWAY, site, plan.serving) as server:
        return levels_of(load(GATEWAY, server, phases, plan, site), phases)


def measure_direct(plan: Plan, site: Site, number: int) -> tuple[Level, ...]:
    """Measure TorchServe directly only."""
    phases = plan.closed(number)
    with server_of(TORCHSERVE, site, plan.serving) as server:
        return levels_of(load("grpc", server, phases, plan, site), phases)


def measure_open(plan: Plan, site: Site, measured: Measured) -> None:
    """Measure TorchServe in open loops, up to loads above the throughput of its closed loops."""
    capacity = statistics.median(max(each.requests_per_s for each in levels) for levels in measured.servers[TORCHSERVE])
    phases = plan.open(capacity)
    with server_of(TORCHSERVE, site, plan.serving) as server:
        measured.open = levels_of(load("grpc", server, phases, plan, site), phases)
    measured.offered = tuple(phase.rate for phase in phases)


def _peers_pythons(plan: Plan, site: Site, measured: Measured, note: Note) -> dict[str, Path | None]:
    """Return the interpreter of each peer that can be installed."""
    pythons: dict[str, Path | None] = {}
    for peer in plan.peers:
        if peer == "grpc":
            pythons[peer] = None
            continue
        note(f"environment of {peer}")
        try:
            pythons[peer] = ready_python(peer, site.environments)
        except ServerError as fault:
            measured.absent[peer] = str(fault)
    return pythons


def _measure_peer(peer: str, python: Path | None, site: Site, number: int, measured: Measured) -> None:
    plan = measured.plan
    phases = plan.closed(number)
    try:
        with server_of(peer, site, plan.serving_of(peer), python) as server:
            protocol = "bare_grpc" if peer == "grpc" else peer
            calls = load(protocol, server, phases, plan, site, python=python)
    except ServerError as fault:
        measured.absent[peer] = str(fault)
    else:
        measured.servers[peer].append(levels_of(calls, phases))


_MODULES: Final = {
    TORCHSERVE: "torchserve",
    GATEWAY: "gateway",
    "grpc": "peers.bare_grpc",
    "litserve": "peers.behind_litserve",
    "rayserve": "peers.behind_rayserve",
    "bentoml": "peers.behind_bentoml",
}
_ADDRESS_KINDS: Final = {
    "grpc": "grpc",
    GATEWAY: "gateway",
    INTERLEAVED: "gateway",
    OIP: "gateway",
    "bare_grpc": "grpc",
}
"""Kind of a server's address by protocol; http for protocols that are not listed."""


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers, with its addresses by kind."""

    program: Program
    addresses: dict[str, str]

    def address(self, protocol: str) -> str:
        """Return the address for a protocol of the load generator."""
        return self.addresses[_ADDRESS_KINDS.get(protocol, "http")]

    def keys(self, protocol: str) -> str:
        """Return the folder of the keys that a protocol needs; empty without any."""
        return self.addresses.get("grpc_keys", "") if protocol == "grpc" else ""


@contextlib.contextmanager
def server_of(
    name: str,
    site: Site,
    serving: Serving,
    python: Path | None = None,
    **special: Any,
) -> Iterator[RunningServer]:
    """Run a server for the length of the block; it may still load its model at the start.

    Args:
        name: name of the server.
        site: folders and archive.
        serving: its settings.
        python: interpreter; by default the current one.
        special: further `ServerSettings`, for the gateway alone.
    """
    scratch = Path(tempfile.mkdtemp(prefix="server-", dir=site.folder))
    settings = ServerSettings(
        model=site.model,
        archive=set_serving(site.archive, serving, scratch / "store"),
        scratch=scratch,
        ready=scratch / "ready.json",
        port=free_port(),
        workers=serving.workers,
        threads=serving.threads,
        batch_size=serving.batch_size,
        delay_ms=serving.delay_ms,
        **special,
    )
    place = site.place(serving)
    with running(_MODULES[name], settings.to_json(), place, python=python, scratch=scratch) as program:
        try:
            yield RunningServer(program, program.wait_for(settings.ready, _START_S))
        except ServerError as fault:
            raise ServerError(f"{fault}\nthe output of {name}: {program.last_output()}") from fault


def load(
    protocol: str, server: RunningServer, phases: Sequence[Phase], plan: Plan, site: Site, *, python: Path | None = None
) -> list[list[Call]]:
    """Run the phases after a warm-up, and return the calls of each."""
    warmed = (plan.warm(), *phases)
    with tempfile.TemporaryDirectory(dir=site.folder) as folder:
        out = Path(folder) / "calls.json"
        settings = LoadSettings(
            protocol=protocol,
            address=server.address(protocol),
            keys=server.keys(protocol),
            out=str(out),
            phases=warmed,
            asked=plan.asked,
            model=site.archive.model,
            version=site.archive.version,
            ca=server.addresses.get("ca", ""),
            token_file=server.addresses.get("token_file", ""),
        )
        longest = settings.patience_s + sum(phase.total_s for phase in warmed) + _SPARE_S
        with running("load", settings.to_json(), site.place(plan.serving), python=python) as program:
            found = program.wait_for(out, longest)
    return [[Call(**call) for call in calls] for calls in found[1:]]


def levels_of(calls: Sequence[Sequence[Call]], phases: Sequence[Phase]) -> tuple[Level, ...]:
    """Return the figures of each phase."""
    return tuple(level(each, phase) for each, phase in zip(calls, phases, strict=True))
