"""A service of its own process, what is done to it under load, and what was seen of it."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from serving.client import CommentaryClient
from serving.registry.client import Registry
from tests.faults.inspecting import GATEWAY, Household, alive, left_behind, look_at, parts_of
from tests.faults.load import (
    ONCE,
    RETRYING,
    Kind,
    Load,
    counts,
    health_periods,
    longest_gap_s,
    running_load,
    settled_s,
    wait_for,
)
from tests.faults.models import Table, build_version, table_of
from tests.faults.reporting import CALLS, Row, health_text
from tests.serving.support import EchoRegistry, ServiceProcess, free_port, launch_service, wait_ready

QUIET_S: Final = 2.0
"""Time for which every call must succeed before a fault, and after one, to count as normal."""
_BEFORE_S: Final = 1.5


@dataclass(kw_only=True)
class House:
    """A service that follows a registry of its own, with one model; it can be killed and started again."""

    registry: EchoRegistry
    folder: Path
    model: str
    tables: dict[str, Table]
    workers: int = 2
    options: tuple[str, ...] = ()
    port: int = field(default_factory=free_port)
    service: ServiceProcess | None = None
    temporary: Path | None = None
    """The service's TMPDIR; its folder if it is None."""
    follow: str = ""
    """Address of the registry that the service follows; empty for the database itself."""

    @property
    def database(self) -> Path:
        return Path(self.registry.uri.removeprefix("sqlite:///"))

    @property
    def control(self) -> Registry:
        return Registry(self.registry.uri)

    @property
    def running(self) -> ServiceProcess:
        assert self.service is not None, "the service does not run"
        return self.service

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def register(self, **config: Any) -> str:
        """Register one more version that writes sentences of its own, and decode its texts here."""
        version = self.registry.register(self.model, build=build_version, **config)
        self.tables[version] = table_of(version)
        return version

    def start(self, *, wait: bool = True) -> None:
        (self.folder / "ready.json").unlink(missing_ok=True)
        process = launch_service(
            self.follow or self.registry.uri,
            self.folder,
            [self.model],
            *("--port", str(self.port), "--workers", str(self.workers), *self.options),
            temporary=self.temporary,
        )
        if wait:
            self.service = wait_ready(process, self.folder)
        else:
            self.service = ServiceProcess(process=process, folder=self.folder, ready={"target": self.target})

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        status = self.running.stop(number, timeout_s=40)
        self.service = None
        return status

    def is_well(self) -> bool:
        """Whether the service runs, serves and lacks no worker."""
        if self.service is None or self.service.process.poll() is not None:
            return False
        with CommentaryClient(self.target, model=self.model) as client:
            try:
                (described,) = client.describe(self.model, timeout_s=3)
            except Exception:  # noqa: BLE001 - whatever it is, it is not well
                return False
            return (
                client.is_serving()
                and bool(described.versions)
                and all(each.workers_ready >= self.workers for each in described.versions)
            )

    def worker_pids(self) -> list[int]:
        return [part.pid for part in parts_of(self.running.process.pid) if part.role == "worker"]

    def pids(self) -> list[int]:
        return [part.pid for part in parts_of(self.running.process.pid)]

    def close(self) -> None:
        """End the service however it is."""
        if self.service is None:
            return
        pids = self.pids()
        self.service.process.terminate()
        with contextlib.suppress(Exception):
            self.service.process.wait(30)
        self.service.process.kill()
        self.service.process.wait()
        for pid in alive(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.service = None


def make_house(shared: EchoRegistry, root: Path, model: str, **settings: Any) -> House:
    """A house with version 1 as champion, and a copy of the shared registry."""
    root.mkdir(parents=True, exist_ok=True)
    database = root / "registry.db"
    shutil.copyfile(shared.uri.removeprefix("sqlite:///"), database)
    uri = f"sqlite:///{database}"
    client = type(shared.client)(tracking_uri=uri, registry_uri=uri)
    own = EchoRegistry(uri=uri, client=client, experiment_id=shared.experiment_id, folder=root / "archives")
    house = House(registry=own, folder=root / "s", model=model, tables={}, **settings)
    own.alias(model, "champion", house.register())
    return house


@dataclass(kw_only=True)
class Observation:
    """One fault under load."""

    house: House
    load: Load
    row: Row
    kinds: tuple[Kind, ...]
    struck_s: float = 0.0
    """Moment of the fault, or of its end, from which the time until normal counts."""
    fault_s: float = 0.0
    """Moment at which the fault began."""

    def strike(self) -> None:
        """Note that the fault begins now."""
        self.fault_s = self.struck_s = self.load.now_s()

    def heal(self) -> None:
        """Note that the cause is removed now."""
        self.struck_s = self.load.now_s()

    def wait_normal(self, timeout_s: float = 60) -> None:
        """Wait until every call succeeds, health says so and no worker is missing, for two seconds."""
        time.sleep(max(0.0, QUIET_S - self.load.now_s() + self.struck_s))
        wait_for(lambda: self.load.is_quiet(self.kinds, for_s=QUIET_S), timeout_s=timeout_s, what="a return to normal")

    def last(self, seconds: float) -> None:
        """Let the load go on for some time."""
        time.sleep(seconds)

    def note(self, text: str) -> None:
        self.row.notes.append(text)

    @property
    def serving_throughout(self) -> bool:
        return not health_periods(self.load.looks, since_s=self.fault_s)

    def failures(self, kind: Kind) -> dict[str, int]:
        """Failed calls of one kind since the fault, by code."""
        by_code = counts(self.load.failures(kind.name)).get(kind.name, {})
        return dict(by_code)


@contextlib.contextmanager
def observing(
    house: House, row: Row, *, kinds: tuple[Kind, ...] = (ONCE, RETRYING), versions_change: bool = False
) -> Iterator[Observation]:
    """Run the load around a block that injects a fault; fill the row, and check what holds for every fault.

    Where `versions_change`, other versions are live at the end, and workers and descriptors cannot be compared.
    """
    wait_for(house.is_well, timeout_s=60, what="a service that is well before the fault")
    before = look_at(house.running.process.pid, house.folder)
    began = time.monotonic()
    with running_load(house.target, house.model, house.tables, workers=house.workers, kinds=kinds) as load:
        observation = Observation(house=house, load=load, row=row, kinds=kinds)
        wait_for(
            lambda: load.is_quiet(kinds, for_s=_BEFORE_S, complete=False), timeout_s=30, what="an undisturbed load"
        )
        observation.strike()
        try:
            yield observation
        finally:
            _fill(row, observation, until_s=load.now_s())
            row.seconds = time.monotonic() - began
    row.left = _left(house, before, versions_change=versions_change)
    assert load.wrong == [], load.wrong[:3]
    assert row.left == [], row.left


def _fill(row: Row, observation: Observation, *, until_s: float) -> None:
    load, since_s = observation.load, observation.fault_s
    calls = [call for call in load.calls if call.ended_s >= since_s]
    row.calls = counts(calls)
    row.gap_s = longest_gap_s(load.calls, since_s=since_s, until_s=until_s)
    row.wrong = len(load.wrong)
    row.health = health_text(health_periods(load.looks, since_s=since_s))
    row.normal_s = settled_s(load.calls, load.looks, since_s=observation.struck_s)
    load.write(CALLS / f"{row.name}.jsonl")


def _left(house: House, before: Household, *, versions_change: bool) -> list[str]:
    """Say what is left, once what still ends has ended."""
    if house.service is None:
        return []
    for attempt in itertools.count():
        after = look_at(house.running.process.pid, house.folder)
        left = left_behind(before, after, versions_change=versions_change)
        if not left or attempt == 20:
            return left
        time.sleep(0.5)
    raise AssertionError


def gateway_rss_mb(house: House) -> float:
    """Resident memory of the gateway."""
    return next(part.rss_mb for part in parts_of(house.running.process.pid) if part.role == GATEWAY)
