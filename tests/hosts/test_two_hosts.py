"""Two hosts follow one registry: what a client of both sees while an alias moves, a split begins and a host is cut off.

`make hosts` runs it. Each test prints what it saw; docs/guides/hosts.md has the figures of a run.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mlflow
import pytest

from serving.client import CommentaryClient, LiveModel
from serving.registry.versions import WEIGHT_TAG
from serving.traffic.exposures import Exposure
from serving.traffic.reading import ExposureFiles
from tests.experiments.tracking_server import tracking_server
from tests.hosts.load import NUM_THREADS, load_on
from tests.hosts.network import Host, Network, name_server, network, why_not
from tests.serving.support import EchoRegistry, ask, free_port, launch_service, wait_ready, wait_until
from tests.serving.test_exposures_cli import run

pytestmark = [
    pytest.mark.integration,
    pytest.mark.fault,
    pytest.mark.timeout(600),
]

MODEL = "rho"
PORT = 50051
UNITS = [f"listener-{number}" for number in range(200)]
_LIVE_S = 10.0
"""Time within which a moved alias answers on every host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Two hosts with a service each, and the registry that both follow."""

    network: Network
    registry: EchoRegistry
    folders: tuple[Path, ...]
    target: str
    """Both hosts, by their name."""

    @property
    def targets(self) -> list[str]:
        return [f"{host.address}:{PORT}" for host in self.network.hosts]

    @property
    def exposures(self) -> list[Path]:
        return [folder / "exposures" for folder in self.folders]

    def live(self, target: str) -> LiveModel:
        with CommentaryClient(target, model=MODEL) as client:
            (model,) = client.describe(MODEL)
        return model


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("hosts")
    (folder / "workspace").mkdir()
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network("one", "two"))
        uri = stack.enter_context(tracking_server(folder / "workspace", free_port(), host=net.address))
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        registry = EchoRegistry(
            uri=uri, client=client, experiment_id=client.create_experiment("serving"), folder=folder
        )
        registry.alias(MODEL, "champion", registry.register(MODEL, signs=True))
        folders = tuple(folder / host.name for host in net.hosts)
        running = [
            launch_service(
                uri,
                place,
                [MODEL],
                *("--host", host.address, "--port", str(PORT), "--insecure-listen", "--poll", "1"),
                through=host.through,
            )
            for host, place in zip(net.hosts, folders, strict=True)
        ]
        for process in running:
            stack.callback(process.wait)
            stack.callback(process.kill)
        for process, place in zip(running, folders, strict=True):
            wait_ready(process, place)
        names = stack.enter_context(name_server(net.address, "gateway.test", [host.address for host in net.hosts]))
        yield Site(
            network=net,
            registry=registry,
            folders=folders,
            target=f"dns://{net.address}:{names.port}/gateway.test:{PORT}",
        )
        for process in running:
            process.terminate()
        assert [process.wait(60) for process in running] == [0, 0]


def exposures(site: Site) -> list[Exposure]:
    return list(ExposureFiles(folders=[folder for folder in site.exposures if folder.is_dir()]))


def answering(site: Site, since: int) -> Counter[str]:
    """Answers by host, of the exposures after so many."""
    return Counter(each.host for each in exposures(site)[since:])


def has_champion(site: Site, target: str, version: str) -> bool:
    return site.live(target).champion == version


def has_shares(site: Site, target: str, shares: dict[str, float]) -> bool:
    return {each.version: each.share for each in site.live(target).versions if each.share} == shares


@pytest.mark.parametrize("kind", ["dns", "ipv4"])
def test_calls_are_dealt_out_to_both_hosts(site: Site, kind: str) -> None:
    target = site.target if kind == "dns" else f"ipv4:{','.join(site.targets)}"
    before = len(exposures(site))
    with CommentaryClient(target, model=MODEL) as client:

        def both_answer() -> bool:
            client.generate(ask())
            return len(answering(site, before)) == 2

        wait_until(both_answer)
        start = len(exposures(site))
        for _ in range(40):
            client.generate(ask())
    assert answering(site, start) == {"one": 20, "two": 20}


def test_a_moved_alias_is_live_on_both_hosts_and_fails_no_call(site: Site, tell: Callable[[str], None]) -> None:
    second = site.registry.register(MODEL, signs=True)
    with load_on(site.target, MODEL, UNITS, timeout_s=10) as load:
        time.sleep(2)
        moved = time.monotonic()
        site.registry.alias(MODEL, "champion", second)
        took = {}
        for host, target in zip(site.network.hosts, site.targets, strict=True):
            wait_until(partial(has_champion, site, target, second), timeout_s=30)
            took[host.name] = time.monotonic() - moved
        live = time.monotonic()
        time.sleep(2)
    seconds = ", ".join(f"{name} {taken:.1f} s" for name, taken in took.items())
    tell(f"alias moved: live on {seconds}; {load.summary()}")
    assert max(took.values()) < _LIVE_S
    assert (load.faults, load.num_wrong) == ({}, 0)
    assert {call.version for call in load.since(live)} == {second}


def test_both_hosts_give_a_unit_the_same_arm(site: Site, tell: Callable[[str], None]) -> None:
    for version, weight in (("1", "50"), ("2", "50")):
        site.registry.client.set_model_version_tag(MODEL, version, WEIGHT_TAG, weight)
    for target in site.targets:
        wait_until(partial(has_shares, site, target, {"1": 0.5, "2": 0.5}))
    assert len({site.live(target).policy_revision for target in site.targets}) == 1
    arms = []
    for target in site.targets:
        with CommentaryClient(target, model=MODEL) as client:
            arms.append({unit: client.generate(ask(unit=unit)).model.version for unit in UNITS})
    tell(f"split: {len(UNITS)} units, arms {dict(Counter(arms[0].values()))} on both hosts")
    assert arms[0] == arms[1]
    assert set(arms[0].values()) == {"1", "2"}


def test_a_host_that_is_cut_off_under_load_takes_no_call_with_it(site: Site, tell: Callable[[str], None]) -> None:
    lost: Host = site.network.hosts[1]
    before = len(exposures(site))
    with load_on(site.target, MODEL, UNITS, timeout_s=10) as load:
        time.sleep(3)
        cut = time.monotonic()
        lost.cut_off()
        time.sleep(20)
        seen = len(load.calls)
        lost.connect()
        connected = time.monotonic()
        wait_until(lambda: lost.name in answering(site, before + seen), timeout_s=60)
        back = time.monotonic()
        time.sleep(3)
    tell(f"host cut off for {connected - cut:.0f} s: {load.summary()}; back {back - connected:.1f} s after the wire")
    assert (load.faults, load.num_wrong) == ({}, 0)
    # Those that it had in flight wait until it is given up, and are asked elsewhere.
    slow = [call for call in load.calls if call.ended - call.began > 1]
    assert len(slow) <= 2 * NUM_THREADS
    assert load.longest_gap_s() < 5


def test_the_exposures_of_both_hosts_merge_to_one_record(site: Site, tmp_path: Path) -> None:
    before = len(exposures(site))
    asked = {}
    with CommentaryClient(site.target, model=MODEL) as client:
        for number in range(60):
            answer = client.generate(ask(request_id=f"merge-{number}", unit=UNITS[number]))
            asked[f"merge-{number}"] = answer.model.version
    out = tmp_path / "all.jsonl"
    # A folder that is named twice, as two backups of a host bring it, counts once.
    run("export", *site.exposures, site.exposures[0], "--out", out)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == before + 60
    assert {row["request_id"]: row["version"] for row in rows if row["request_id"] in asked} == asked
    assert {row["host"] for row in rows} == {"one", "two"}
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    arms: dict[str, set[str]] = {}
    for row in rows[-60:]:
        arms.setdefault(row["unit"], set()).add(row["version"])
    assert all(len(each) == 1 for each in arms.values())
