"""Impatient clients and heavy requests beside others, on the real TorchServe; the handler sleeps as it decodes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from foundation.hashes import file_sha256
from serving.gateway.server import Gateway
from serving.gateway.settings import GatewaySettings
from serving.registry.archives import inspect_archive
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance
from serving.torchserve.registration import register_version
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.route import make_route
from serving.traffic.routes import RoutingTable
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from serving.workers.cores import CoreShares
from tests.serving.support import build_archive

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

_log = logging.getLogger(__name__)

WORKERS = {"one": 1, "two": 2}
RESPONSE_TIMEOUT_S = 6
LIGHT: dict[str, Any] = {"num_samples": 1, "best_of": 1, "artist": "decode 0.006"}
HEAVY: dict[str, Any] = {"num_samples": 64, "best_of": 4, "artist": "decode 0.001"}
LONG: dict[str, Any] = {"num_samples": 64, "best_of": 1, "artist": "decode 0.005"}


@dataclass
class Client:
    """Outcomes of one kind of clients."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def p50_s(self) -> float:
        return statistics.median(self.seconds)


@dataclass
class Met:
    """Observations of all scenes, which share a TorchServe."""

    alone: Client = field(default_factory=Client)
    beside_heavy: Client = field(default_factory=Client)
    heavy: Client = field(default_factory=Client)
    beside_killed: Client = field(default_factory=Client)
    asked_again: int = 0
    patient: Client = field(default_factory=Client)
    patient_wanted: int = 0
    crowd: Client = field(default_factory=Client)
    crowd_counts: AdmissionCounts = field(default_factory=AdmissionCounts)
    next_after_60_s: float = 0.0
    next_after_200_s: float = 0.0
    pids: list[tuple[int, ...]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Site:
    stub: commentary_pb2_grpc.CommentaryAsyncStub
    crowd_stub: commentary_pb2_grpc.CommentaryAsyncStub
    gateway: Gateway

    async def ask(
        self,
        client: Client,
        model: str,
        *,
        timeout_s: float = 20,
        patience_s: float | None = None,
        crowd: bool = False,
        **values: Any,
    ) -> None:
        started = time.perf_counter()
        stub = self.crowd_stub if crowd else self.stub
        call = stub.Generate(commentary_pb2.GenerateRequest(model=model, **values), timeout=timeout_s)
        leaving = asyncio.get_running_loop().call_later(patience_s, call.cancel) if patience_s else None
        try:
            await call
        except grpc.aio.AioRpcError as fault:
            client.failures.append(f"{fault.code().name}: {fault.details()}")
        except asyncio.CancelledError:
            client.failures.append("given up")
        else:
            client.seconds.append(time.perf_counter() - started)
        finally:
            if leaving is not None:
                leaving.cancel()


async def keep(asking: Callable[[], Awaitable[None]], *, clients: int, seconds: float, pause_s: float) -> None:
    """Ask with some clients at once, each with a pause between its requests."""
    until = time.monotonic() + seconds

    async def one() -> None:
        while time.monotonic() < until:
            await asking()
            await asyncio.sleep(pause_s)

    await asyncio.gather(*(one() for _ in range(clients)))


@contextlib.asynccontextmanager
async def _site(instance: Instance, store: Path) -> AsyncIterator[Site]:
    table = RoutingTable(tuple(WORKERS))
    shares = CoreShares(instance.threads_file, workers=1, cores=1)
    for model, workers in WORKERS.items():
        archive = store / f"{model}_1.mar"
        shares.add(model, "1")
        await register_version(instance, archive.name, model=model, version="1", workers=workers, timeout_s=60)
        info = inspect_archive(archive, model=model, version="1", sha256=file_sha256(archive))
        table.add(make_route(info, workers=workers))
        table.switch(model, "1")
    async with TorchServeInference(instance.inference_target, key=instance.keys.inference) as inference:
        gateway = Gateway(GatewaySettings(port=0), table=table, inference=lambda: inference)
        target = await gateway.start()
        try:
            # Connections of their own, as different programs have.
            own = (("grpc.use_local_subchannel_pool", 1),)
            async with (
                grpc.aio.insecure_channel(target, options=own) as first,
                grpc.aio.insecure_channel(target, options=own) as second,
            ):
                yield Site(
                    stub=commentary_pb2_grpc.CommentaryStub(first),
                    crowd_stub=commentary_pb2_grpc.CommentaryStub(second),
                    gateway=gateway,
                )
        finally:
            await gateway.stop()


async def _heavy_beside_light(site: Site, met: Met) -> None:
    async def light(client: Client) -> None:
        await site.ask(client, "two", **LIGHT)

    await keep(lambda: light(met.alone), clients=3, seconds=2, pause_s=0.02)
    await asyncio.gather(
        keep(lambda: light(met.beside_heavy), clients=3, seconds=4, pause_s=0.02),
        keep(lambda: site.ask(met.heavy, "two", **HEAVY), clients=8, seconds=4, pause_s=0),
    )


async def _killed_worker(site: Site, instance: Instance, met: Met) -> None:
    async def kill_one() -> None:
        await asyncio.sleep(0.7)
        (described,) = await instance.management.describe("two")
        psutil.Process(described.worker_pids[0]).kill()

    await asyncio.gather(
        keep(lambda: site.ask(met.beside_killed, "two", **LIGHT), clients=4, seconds=2.5, pause_s=0.01), kill_one()
    )
    met.asked_again = site.gateway.calls.counts.asked_again


async def _impatient_crowd(site: Site, met: Met) -> None:
    async def patient() -> None:
        met.patient_wanted += 1
        await site.ask(met.patient, "one", **LIGHT)

    async def hurried() -> None:
        await site.ask(met.crowd, "one", timeout_s=0.05, crowd=True, **LIGHT)

    async def leaving() -> None:
        await site.ask(met.crowd, "one", patience_s=0.04, crowd=True, **LIGHT)

    def crowd(seconds: float) -> list[Awaitable[None]]:
        return [keep(each, clients=14, seconds=seconds, pause_s=0.02) for each in (hurried, leaving)]

    await asyncio.gather(*crowd(1.5))
    before = dataclasses.replace(site.gateway.calls.counts)
    await asyncio.gather(keep(patient, clients=6, seconds=5, pause_s=0.05), *crowd(5))
    after = site.gateway.calls.counts
    met.crowd_counts = AdmissionCounts(
        **{each.name: getattr(after, each.name) - getattr(before, each.name) for each in dataclasses.fields(after)}
    )


async def _given_up(site: Site, instance: Instance, met: Met, number: int) -> float:
    """Give up calls of 64 samples after 0.3 s, and return the time that the next call for one sample takes."""
    given_up, next_one = Client(), Client()
    await asyncio.gather(*(site.ask(given_up, "one", timeout_s=0.3, crowd=True, **LONG) for _ in range(number)))
    assert len(given_up.failures) + len(given_up.seconds) == number
    await site.ask(next_one, "one", **LIGHT)
    assert next_one.failures == []
    (described,) = await instance.management.describe("one")
    met.pids.append(described.worker_pids)
    return next_one.p50_s


async def _meet(root: Path) -> Met:
    met = Met()
    settings = TorchServeSettings(model_store=root, log_dir=root / "logs")
    instance = await start_instance(settings)
    try:
        async with _site(instance, root) as site:
            await _heavy_beside_light(site, met)
            await _killed_worker(site, instance, met)
            await _impatient_crowd(site, met)
            met.next_after_60_s = await _given_up(site, instance, met, 60)
            met.next_after_200_s = await _given_up(site, instance, met, 200)
            await asyncio.sleep(RESPONSE_TIMEOUT_S)
            await site.ask(Client(), "one", **LIGHT)
            (described,) = await instance.management.describe("one")
            met.pids.append(described.worker_pids)
    finally:
        await stop_instance(instance, settings)
    return met


@pytest.fixture(scope="module")
def met(tmp_path_factory: pytest.TempPathFactory) -> Met:
    root = tmp_path_factory.mktemp("load")
    for model in WORKERS:
        build_archive(root, model, "1", batch_size=64, response_timeout_s=RESPONSE_TIMEOUT_S)
    met = asyncio.run(_meet(root))
    for name in ("alone", "beside_heavy", "heavy", "beside_killed", "patient", "crowd"):
        client: Client = getattr(met, name)
        p50 = f"p50 {1000 * client.p50_s:.0f} ms" if client.seconds else ""
        _log.info("%s: %d answered, %d failed, %s", name, len(client.seconds), len(client.failures), p50)
    _log.info("%s", met.crowd_counts)
    _log.info("after 60: %.3f s, after 200: %.3f s, pids %s", met.next_after_60_s, met.next_after_200_s, met.pids)
    return met


def test_light_requests_hardly_feel_heavy_ones_beside_them(met: Met) -> None:
    assert met.beside_heavy.failures == met.heavy.failures == []
    assert met.beside_heavy.p50_s < 3 * met.alone.p50_s + 0.02
    assert len(met.heavy.seconds) >= 6


def test_nobody_sees_that_one_of_two_workers_is_killed(met: Met) -> None:
    assert met.beside_killed.failures == []
    assert len(met.beside_killed.seconds) > 50
    assert met.asked_again <= 4


def test_patient_clients_are_answered_beside_a_crowd_that_gives_up(met: Met) -> None:
    assert len(met.patient.seconds) >= 0.95 * met.patient_wanted
    assert len(met.crowd.failures) > 200


def test_little_is_decoded_for_clients_that_are_gone(met: Met) -> None:
    # A busy machine delays cancellations; in the simulated time of the tests of `Crowd`, it is less than 5%.
    assert met.crowd_counts.sequences_wasted <= 0.2 * met.crowd_counts.sequences


def test_calls_that_were_given_up_keep_nobody_waiting(met: Met) -> None:
    assert met.next_after_60_s < 2
    assert met.next_after_200_s < 2


def test_calls_that_were_given_up_cost_no_worker_its_life(met: Met) -> None:
    assert len(set(met.pids)) == 1
