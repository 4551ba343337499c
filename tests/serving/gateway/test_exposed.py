"""Exposures, figures and shadows of a gateway whose answers a loopback server chooses."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from handlers.contract import CommentaryRequest, ContractError, ErrorCode, encode_answer
from serving.traffic.exposures import Exposure, Role, ShadowOutcome
from serving.traffic.policy import Arm, AssignedBy, TrafficPolicy
from serving.traffic.reading import ExposureFiles
from serving.traffic.route import make_route
from serving.v1 import commentary_pb2
from serving.wire import live_models_from_message
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, route, until
from tests.serving.traffic.exposing import recorder

SPLIT = TrafficPolicy(model="lcgan", arms=(Arm(version="1", share=0.5), Arm(version="2", share=0.5)), salt="s")
SHADOWED = TrafficPolicy(model="lcgan", arms=(Arm(version="2", share=1.0),), shadows=("3",))


def rows(folder: Path) -> list[Exposure]:
    return list(ExposureFiles(folders=[folder]))


def test_each_answer_has_a_row_when_its_client_gets_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path)) as it:
            it.table.set_policy("lcgan", SPLIT)
            for number in range(20):
                answer = await it.generate(unit=f"user {number}", request_id=str(number), genres=["zydeco"])
                row = rows(tmp_path)[-1]
                assert [arm.exposure_id for arm in answer.arms] == [row.id]
                assert (row.request_id, row.unit) == (str(number), f"user {number}")
                assert (row.version, row.archive_sha256) == (answer.model.version, answer.model.archive_sha256)
                assert (row.assigned_by, row.policy_revision) == (AssignedBy.UNIT, SPLIT.revision)
                assert row.genres_unknown == ("zydeco",)
                assert row.queue_ms == pytest.approx(answer.timings.queue_ms, abs=0.001)
                assert row.decode_ms == pytest.approx(answer.timings.decode_ms, abs=0.001)
            await it.generate(version="1")
            assert rows(tmp_path)[-1].assigned_by is AssignedBy.PIN
            assert {row.version for row in rows(tmp_path)} == {"1", "2"}

    asyncio.run(scene())


def test_a_folder_that_cannot_be_written_fails_no_request(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path / "file")) as it:
            for _ in range(5):
                await it.generate()
            registry = it.gateway.metrics.registry
            assert registry.get_sample_value("deephypebot_gateway_exposures_lost_total") == 5
            assert registry.get_sample_value("deephypebot_gateway_exposures_total") == 0

    asyncio.run(scene())


async def outcomes(it: Bench, version: str) -> dict[str, int]:
    described = await it.stub.Describe(commentary_pb2.DescribeRequest(model="lcgan"))
    (model,) = live_models_from_message(described)
    (found,) = (each for each in model.versions if each.version == version)
    return {name: number for name, number in found.shadow_outcomes.items() if number}


def test_a_shadow_gets_the_same_request_and_seed_and_its_answer_only_a_row(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path)) as it:
            it.table.add(route("3"))
            it.table.set_policy("lcgan", SHADOWED)
            answer = await it.generate(genres=["dream pop"], unit="u", request_id="r")
            assert answer.model.version == "2"
            await asyncio.wait_for(until(lambda: len(rows(tmp_path)) == 2), 5)
            (_, first, asked), (_, second, copied) = it.backend.seen
            assert (first, second) == ("2", "3")
            assert copied == asked
            assert asked.seed is not None
            own, shadow = rows(tmp_path)
            assert (own.role, own.version, own.seed) == (Role.ANSWER, "2", asked.seed)
            assert (shadow.role, shadow.outcome, shadow.mirrors) == (Role.SHADOW, ShadowOutcome.ANSWERED, own.id)
            assert (shadow.version, shadow.seed, shadow.request_id) == ("3", asked.seed, "r")
            assert await outcomes(it, "3") == {"answered": 1}

    asyncio.run(scene())


def test_pinned_requests_are_not_copied_and_a_shadow_can_be_pinned(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path)) as it:
            it.table.add(route("3"))
            it.table.set_policy("lcgan", SHADOWED)
            assert (await it.generate(version="3")).model.version == "3"
            assert (await it.generate(version="1")).model.version == "1"
            await asyncio.sleep(0.05)
            assert [row.role for row in rows(tmp_path)] == [Role.ANSWER] * 2

    asyncio.run(scene())


@pytest.mark.parametrize("fault", ["fails", "hangs"])
def test_no_client_notices_that_a_shadow_fails_or_hangs(fault: str, tmp_path: Path) -> None:
    benches: list[Bench] = []

    async def answer(asked: CommentaryRequest) -> str:
        if benches[0].backend.seen[-1][1] == "3":
            if fault == "hangs":
                await asyncio.Event().wait()
            return encode_answer(ContractError(ErrorCode.INTERNAL, "", "on purpose"))
        return await answer_well(asked)

    async def scene() -> None:
        async with bench(answer, recorder=recorder(tmp_path)) as it:
            benches.append(it)
            it.table.add(route("3"))
            it.table.set_policy("lcgan", SHADOWED)
            for _ in range(40):
                assert (await it.generate(timeout_s=5)).model.version == "2"
                await asyncio.sleep(0.003)
            seen = await outcomes(it, "3")
            assert seen.keys() <= {"failed", "dropped_full"}
            assert seen["failed" if fault == "fails" else "dropped_full"] > 5
            registry = it.gateway.metrics.registry
            labels = {"grpc_method": "Generate", "grpc_code": "OK"}
            assert registry.get_sample_value("grpc_server_handled_total", labels) == 40
            two = {"model": "lcgan", "version": "2"}
            assert registry.get_sample_value("deephypebot_gateway_errors_total", two) == 0
            assert registry.get_sample_value("deephypebot_gateway_answers_total", two) == 40
            assert it.gateway.calls.in_flight == 0

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("workers", "cores", "outcome"), [(2, 16, "answered"), (2, 2, "dropped_busy"), (1, 16, "dropped_busy")]
)
def test_a_copy_is_dropped_while_it_would_slow_a_client_down(
    workers: int, cores: int, outcome: str, tmp_path: Path
) -> None:
    release = asyncio.Event()

    async def answer(asked: CommentaryRequest) -> str:
        if asked.artist == "slow":
            await release.wait()
        return await answer_well(asked)

    async def scene() -> None:
        async with bench(answer, recorder=recorder(tmp_path)) as it:
            it.gateway.calls.pressure._num_cores = cores
            it.table.add(make_route(route("2").info, workers=workers))
            it.table.add(route("3"))
            it.table.set_policy("lcgan", SHADOWED)
            decoding = asyncio.create_task(it.generate(artist="slow"))
            await until(lambda: it.backend.seen)
            await it.generate()
            figures = it.gateway._figures.of("lcgan", "3")
            await asyncio.wait_for(until(lambda: any(figures.shadows.values())), 5)
            assert await outcomes(it, "3") == {outcome: 1}
            release.set()
            await decoding

    asyncio.run(scene())


def test_figures_of_versions_are_described_and_failures_of_the_client_are_none_of_theirs(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path)) as it:
            for _ in range(3):
                await it.generate()
            await failure_of(it.generate(num_samples=0))
            it.backend.failure = (grpc.StatusCode.UNKNOWN, "whatever")
            await failure_of(it.generate())
            described = await it.stub.Describe(commentary_pb2.DescribeRequest(model="lcgan"))
            one, two = live_models_from_message(described)[0].versions
            assert (one.answers, one.errors, one.latency_p50_ms) == (0, 0, 0)
            assert (two.answers, two.errors) == (3, 1)
            assert 0 < two.latency_p50_ms <= two.latency_p95_ms

    asyncio.run(scene())
