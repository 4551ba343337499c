"""Rows of requests that a version failed, and of those that it did not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc
import pytest

from handlers.contract import CommentaryRequest, ContractError, ErrorCode, encode_answer
from serving.gateway.records import is_of_version, is_past
from serving.torchserve.faults import failure_in, translate
from serving.traffic.exposures import Role
from serving.traffic.policy import AssignedBy
from serving.workers.faults import Failure, InferenceError
from tests.serving.gateway.test_exposed import SPLIT, outcomes, rows
from tests.serving.loopback_gateway import Answer, bench, failure_of, until
from tests.serving.traffic.exposing import recorder


async def hang(_: CommentaryRequest) -> str:
    await asyncio.Event().wait()
    raise AssertionError


def failing(code: ErrorCode) -> Answer:
    async def answer(_: CommentaryRequest) -> str:
        return encode_answer(ContractError(code, "genres", "on purpose"))

    return answer


def test_a_request_that_its_version_fails_has_a_row_with_the_status(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(failing(ErrorCode.INTERNAL), recorder=recorder(tmp_path)) as it:
            it.table.set_policy("lcgan", SPLIT)
            await failure_of(it.generate(unit="u", request_id="r", genres=["zydeco"]))
            (row,) = rows(tmp_path)
            assert (row.role, row.code, row.outcome, row.mirrors) == (Role.FAILURE, "INTERNAL", None, None)
            assert (row.unit, row.request_id, row.genres) == ("u", "r", ("zydeco",))
            assert (row.assigned_by, row.policy_revision) == (AssignedBy.UNIT, SPLIT.revision)
            assert (row.sample_seeds, row.genres_used, row.decode_ms) == ((), (), 0)
            assert 0 < row.queue_ms < 5000
            assert await outcomes(it, row.version) == {}

    asyncio.run(scene())


def test_a_version_that_hangs_until_the_clients_deadline_has_failed_it(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(hang, recorder=recorder(tmp_path)) as it:
            code, _, _ = await failure_of(it.generate(timeout_s=0.5))
            assert code is grpc.StatusCode.DEADLINE_EXCEEDED
            await asyncio.wait_for(until(lambda: rows(tmp_path)), 5)
            (row,) = rows(tmp_path)
            assert (row.role, row.code) == (Role.FAILURE, "DEADLINE_EXCEEDED")
            assert 400 < row.queue_ms < 5000

    asyncio.run(scene())


def test_a_client_that_leaves_was_not_failed(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(hang, recorder=recorder(tmp_path)) as it:
            leaving = asyncio.create_task(it.generate(timeout_s=5))
            await until(lambda: it.backend.seen)
            leaving.cancel()
            await asyncio.sleep(0.3)
            assert rows(tmp_path) == []

    asyncio.run(scene())


def test_requests_at_fault_and_those_that_no_version_got_have_no_row(tmp_path: Path) -> None:
    async def scene() -> None:
        answer = failing(ErrorCode.INVALID_ARGUMENT)
        async with bench(answer, recorder=recorder(tmp_path), max_in_flight=1) as it:
            await failure_of(it.generate(num_samples=0))
            await failure_of(it.generate(version="9"))
            code, _, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            it.connection.inference = None
            code, _, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.UNAVAILABLE
            it.gateway.calls.asking.in_flight = 1
            code, _, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            it.gateway.calls.asking.in_flight = 0
            assert rows(tmp_path) == []

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("details", "code", "is_failure"),
    [
        ("Worker died.", grpc.StatusCode.RESOURCE_EXHAUSTED, True),
        ("Model lcgan has no worker to serve", grpc.StatusCode.INTERNAL, True),
        ("Prediction failed", grpc.StatusCode.UNAVAILABLE, True),
        ("worker did not respond in time", grpc.StatusCode.INTERNAL, True),
        ("failed to connect to all addresses", grpc.StatusCode.UNAVAILABLE, False),
    ],
)
def test_workers_that_die_or_are_away_are_the_versions_failure_and_torchserve_itself_is_not(
    details: str, code: grpc.StatusCode, is_failure: bool
) -> None:
    status, reason = translate(code, details)
    assert is_of_version(InferenceError(status, reason, failure=failure_in(code, details))) is is_failure


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "CANCELLED"])
def test_requests_at_fault_refused_or_left_are_not_of_the_version(code: str) -> None:
    assert not is_of_version(InferenceError(grpc.StatusCode[code], "whatever"))
    assert not is_of_version(
        InferenceError(grpc.StatusCode.UNAVAILABLE, "TorchServe is being stopped", failure=Failure.UNREACHABLE)
    )


def test_a_version_whose_own_queue_is_too_long_is_at_fault() -> None:
    full = InferenceError(grpc.StatusCode.RESOURCE_EXHAUSTED, "too long", failure=Failure.QUEUE_TOO_LONG)
    assert is_of_version(full)


@pytest.mark.parametrize(
    ("deadline_s", "elapsed_s", "past"), [(10, 10.0, True), (10, 9.95, True), (10, 9.5, False), (0.1, 0.05, False)]
)
def test_a_call_that_ends_at_its_deadline_was_not_left(deadline_s: float, elapsed_s: float, past: bool) -> None:
    assert is_past(deadline_s, elapsed_s) is past
