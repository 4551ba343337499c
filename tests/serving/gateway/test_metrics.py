from __future__ import annotations

import asyncio
import platform
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from foundation.version import project_version
from handlers.contract import CommentaryRequest
from serving.gateway.metrics import GatewayMetrics
from serving.v1 import commentary_pb2
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, until


def handled(it: Bench) -> dict[tuple[str, str], float]:
    (family,) = (family for family in it.gateway.metrics.registry.collect() if family.name == "grpc_server_handled")
    return {
        (sample.labels["grpc_method"], sample.labels["grpc_code"]): sample.value
        for sample in family.samples
        if sample.name == "grpc_server_handled_total" and sample.value
    }


def value(it: Bench, name: str, **labels: str) -> float | None:
    return it.gateway.metrics.registry.get_sample_value(name, labels)


def test_calls_are_counted_by_method_and_code_and_timed() -> None:
    async def scene() -> None:
        async with bench() as it:
            await it.generate()
            await it.generate()
            await it.stub.Describe(commentary_pb2.DescribeRequest())
            await it.health()
            await failure_of(it.generate(num_samples=0))
            await failure_of(it.generate(version="9"))
            it.connection.inference = None
            await failure_of(it.generate())
            assert handled(it) == {
                ("Generate", "OK"): 2,
                ("Generate", "INVALID_ARGUMENT"): 1,
                ("Generate", "NOT_FOUND"): 1,
                ("Generate", "UNAVAILABLE"): 1,
                ("Describe", "OK"): 1,
                ("Check", "OK"): 1,
            }
            assert value(it, "grpc_server_handling_seconds_count", grpc_method="Generate") == 5
            assert 0 < (value(it, "grpc_server_handling_seconds_sum", grpc_method="Generate") or 0) < 5

    asyncio.run(scene())


def test_shed_requests_are_counted_and_those_in_flight_shown() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer, max_in_flight=2) as it:
            accepted = [asyncio.create_task(it.generate()) for _ in range(2)]
            await until(lambda: len(it.backend.seen) == 2)
            assert value(it, "deephypebot_gateway_in_flight") == 2
            await failure_of(it.generate())
            # The client may hear of its refusal a moment before the call has ended in the gateway.
            await asyncio.wait_for(until(lambda: handled(it) == {("Generate", "RESOURCE_EXHAUSTED"): 1}), 5)
            release.set()
            await asyncio.gather(*accepted)
            assert value(it, "deephypebot_gateway_in_flight") == 0
            assert handled(it) == {("Generate", "RESOURCE_EXHAUSTED"): 1, ("Generate", "OK"): 2}
            assert value(it, "deephypebot_gateway_shed_total", reason="refused_full") == 1
            assert value(it, "deephypebot_gateway_shed_total", reason="expired_waiting") == 0

    asyncio.run(scene())


def test_a_call_that_its_client_cancels_is_counted_as_cancelled() -> None:
    async def scene() -> None:
        release = asyncio.Event()

        async def answer(request: CommentaryRequest) -> str:
            await release.wait()
            return await answer_well(request)

        async with bench(answer, drain_s=0) as it:
            call = asyncio.create_task(it.generate())
            await until(lambda: it.backend.seen)
            call.cancel()
            await asyncio.wait_for(until(lambda: handled(it)), 5)
            assert handled(it) == {("Generate", "CANCELLED"): 1}
            assert value(it, "deephypebot_gateway_in_flight") == 1  # it is decoded all the same
            release.set()
            await asyncio.wait_for(until(lambda: value(it, "deephypebot_gateway_in_flight") == 0), 5)

    asyncio.run(scene())


@pytest.mark.parametrize("whose", ["client", "gateway"])
def test_a_call_whose_deadline_passes_is_counted_as_such(whose: str) -> None:
    async def scene() -> None:
        limits = {"client": (1.0, 30.0), "gateway": (None, 0.2)}
        timeout_s, max_deadline_s = limits[whose]
        async with bench(slots=0, max_deadline_s=max_deadline_s) as it:
            code, *_ = await failure_of(it.generate(timeout_s=timeout_s))
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            await asyncio.wait_for(until(lambda: handled(it)), 5)
            assert handled(it) == {("Generate", "DEADLINE_EXCEEDED"): 1}

    asyncio.run(scene())


def test_an_exception_that_nothing_translates_is_counted_as_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with bench() as it:

            def fail(*_: Any) -> None:
                raise RuntimeError

            monkeypatch.setattr(it.gateway.calls, "_resolve", fail)
            code, *_ = await failure_of(it.generate())
            assert code is grpc.StatusCode.UNKNOWN
            assert handled(it) == {("Generate", "UNKNOWN"): 1}

    asyncio.run(scene())


@pytest.mark.parametrize(("ended", "code"), [(-0.01, "DEADLINE_EXCEEDED"), (None, "CANCELLED"), (9.0, "UNKNOWN")])
def test_an_answer_to_a_call_that_is_over_is_counted_as_its_client_saw_it(ended: float | None, code: str) -> None:
    """The gateway's own deadline can pass in the same moment as the client's: gRPC then refuses to send the status."""

    class Context:
        def time_remaining(self) -> float | None:
            return ended

        def cancelled(self) -> bool:
            return ended is None

    async def answer(*_: object) -> object:
        raise RuntimeError('Failed "execute_batch"')

    metrics = GatewayMetrics(lambda: 0)
    with pytest.raises(RuntimeError):
        asyncio.run(metrics._measured(answer, "Generate")(None, Context()))
    labels = {"grpc_method": "Generate", "grpc_code": code}
    assert metrics.registry.get_sample_value("grpc_server_handled_total", labels) == 1


def test_unknown_methods_and_requests_that_cannot_be_read_leave_no_new_label() -> None:
    async def scene() -> None:
        async with bench() as it:
            for method in ("/deephypebot.v1.Commentary/Generate2", "/x/y"):
                code, *_ = await failure_of(_call(it, method))
                assert code is grpc.StatusCode.UNIMPLEMENTED
            assert handled(it) == {}

    async def _call(it: Bench, method: str) -> object:
        channel: Any = it.channel
        return await channel.unary_unary(method)(b"")

    asyncio.run(scene())


def test_two_gateways_count_apart_and_nothing_is_global() -> None:
    async def scene() -> None:
        async with bench() as first, bench() as second:
            await first.generate()
            assert handled(first) == {("Generate", "OK"): 1}
            assert handled(second) == {}

    before = {family.name for family in REGISTRY.collect()}
    asyncio.run(scene())
    assert {family.name for family in REGISTRY.collect()} == before


def test_the_build_is_described() -> None:
    async def scene() -> None:
        async with bench() as it:
            labels = {"version": project_version(), "python": platform.python_version()}
            assert value(it, "deephypebot_gateway_build_info", **labels) == 1

    asyncio.run(scene())


def test_counts_of_other_parts_are_read_when_they_are_asked_for() -> None:
    metrics = GatewayMetrics(lambda: 0)
    assert metrics.registry.get_sample_value("deephypebot_gateway_exposures_total") == 0
    counted = {"lcgan": 3, "cvae": 0}
    metrics.counts.name_source("gateway_exposures", lambda: counted["lcgan"])
    metrics.counts.name_source("sync_switches", lambda: counted)
    counted["lcgan"] = 4
    assert metrics.registry.get_sample_value("deephypebot_gateway_exposures_total") == 4
    assert metrics.registry.get_sample_value("deephypebot_sync_switches_total", {"model": "lcgan"}) == 4
    assert metrics.registry.get_sample_value("deephypebot_sync_switches_total", {"model": "cvae"}) == 0
    with pytest.raises(KeyError):
        metrics.counts.name_source("no_such_count", lambda: 0)
