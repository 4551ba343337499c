"""Details of refusals, as the status library of gRPC reads them."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from handlers.contract import CONTRACT, CommentaryRequest
from serving.gateway.details import status_details
from serving.gateway.refusals import cut
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client
from serving.traffic.route import make_route
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from tests.serving.loopback_gateway import answer_well, bench, route, until

Details = dict[str, Any]


def details_of(failure: Any) -> Details:
    """Details of a failed call by the names of their messages."""
    status = rpc_status.from_call(failure)
    assert status is not None
    assert (status.code, status.message) == (failure.code().value[0], failure.details())
    kinds: tuple[type[Message], ...] = (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
    )
    found: Details = {}
    for detail in status.details:
        for kind in kinds:
            message = kind()
            if detail.Is(message.DESCRIPTOR):
                detail.Unpack(message)
                found[kind.__name__] = message
    return found


async def refusal(target: str, token: str = "", **values: Any) -> Details:
    """Details of a call by a stock client."""

    def call() -> Details:
        with grpc.insecure_channel(target) as channel:
            stub = commentary_pb2_grpc.CommentaryStub(channel)
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            with pytest.raises(grpc.RpcError) as caught:
                stub.Generate(commentary_pb2.GenerateRequest(**values), timeout=5, metadata=metadata)
            return details_of(caught.value)

    return await asyncio.to_thread(call)


def test_a_wrong_value_is_a_bad_request_that_names_its_field() -> None:
    async def scene() -> None:
        async with bench() as it:
            details = await refusal(it.target, temperature=float("nan"))
            assert set(details) == {"ErrorInfo", "BadRequest"}
            (violation,) = details["BadRequest"].field_violations
            assert violation.field == "temperature"
            assert violation.description.startswith("temperature: ")
            assert (details["ErrorInfo"].reason, details["ErrorInfo"].domain) == ("REQUEST_INVALID", "deephypebot")

    asyncio.run(scene())


def test_a_model_that_is_not_live_has_a_reason() -> None:
    async def scene() -> None:
        async with bench() as it:
            details = await refusal(it.target, model="none 🎧")
            assert set(details) == {"ErrorInfo"}
            assert details["ErrorInfo"].reason == "MODEL_NOT_LIVE"

    asyncio.run(scene())


def test_a_full_gateway_asks_for_the_same_pause_twice_and_names_its_limit() -> None:
    async def scene() -> None:
        opened = asyncio.Event()

        async def wait(request: CommentaryRequest) -> str:
            await opened.wait()
            return await answer_well(request)

        async with bench(wait, max_in_flight=1) as it:
            held = asyncio.ensure_future(it.generate())
            await until(lambda: it.backend.seen)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await it.generate()
            details = details_of(caught.value)
            pushback = dict(caught.value.trailing_metadata() or ())["grpc-retry-pushback-ms"]
            assert details["RetryInfo"].retry_delay.ToTimedelta() == timedelta(milliseconds=int(pushback))
            assert details["ErrorInfo"].reason == "GATEWAY_FULL"
            assert dict(details["ErrorInfo"].metadata) == {"maxInFlight": "1"}
            opened.set()
            await held

    asyncio.run(scene())


def test_a_queue_that_is_too_long_for_a_deadline_is_told_with_the_pause_after_which_it_is_shorter() -> None:
    async def scene() -> None:
        opened = asyncio.Event()

        async def wait(request: CommentaryRequest) -> str:
            await opened.wait()
            return await answer_well(request)

        async with bench(wait) as it:
            info = route("3", contract=CONTRACT).info
            batched = make_route(info, workers=1, batching=it.connection.inference)
            it.table.add(batched)
            assert batched.batcher is not None
            for _ in range(3):
                batched.batcher.queue.recent.note(1, 5.0, time.monotonic())
            first = asyncio.ensure_future(it.generate(version="3"))
            await until(lambda: it.backend.batches)
            second = asyncio.ensure_future(it.generate(version="3"))
            await until(lambda: batched.in_flight == 2)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await it.generate(version="3", timeout_s=1)
            opened.set()
            await asyncio.gather(first, second)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            details = details_of(caught.value)
            assert details["ErrorInfo"].reason == "QUEUE_TOO_LONG"
            assert timedelta(seconds=3) < details["RetryInfo"].retry_delay.ToTimedelta() < timedelta(seconds=5)
            assert it.gateway.calls.counts.shed()["refused_queue"] == 1

    asyncio.run(scene())


def test_a_worker_that_was_lost_and_a_stop_have_reasons_of_their_own() -> None:
    async def scene() -> None:
        async with bench() as it:
            it.backend.failure = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Worker died.")
            assert (await refusal(it.target))["ErrorInfo"].reason == "WORKER_DIED"
            it.gateway.reception._is_draining = True
            assert (await refusal(it.target))["ErrorInfo"].reason == "SHUTTING_DOWN"

    asyncio.run(scene())


def test_a_stranger_and_a_client_at_its_limit_are_told_why(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "clients.json"
        token = add_client(path, "bot", limits=ClientLimits(requests_per_s=0.5), now=0, expires=None)
        async with bench(security=SecuritySettings(clients_file=path)) as it:
            assert (await refusal(it.target))["ErrorInfo"].reason == "TOKEN_MISSING"
            assert (await refusal(it.target, "x"))["ErrorInfo"].reason == "TOKEN_UNKNOWN"
            await refusal(it.target, token, model="none")
            details = await refusal(it.target, token)
            assert details["ErrorInfo"].reason == "CLIENT_RATE"
            assert dict(details["ErrorInfo"].metadata) == {"limit": "0.5"}
            assert details["RetryInfo"].retry_delay.ToTimedelta() > timedelta(seconds=1)

    asyncio.run(scene())


@given(st.text(max_size=4000), st.text("abc_", max_size=100))
def test_details_fit_into_the_trailers_beside_the_message(reason: str, field: str) -> None:
    message = cut(reason)
    details = status_details(
        grpc.StatusCode.INVALID_ARGUMENT, message, field=field, retry_after_ms=5000, facts={"maxInFlight": "4096"}
    )
    size = len(base64.b64encode(details)) + len(quote(message, safe="".join(map(chr, range(32, 127))).replace("%", "")))
    assert size < 7_800  # of 8,192, which the keys and the other metadata share


@pytest.mark.parametrize("reason", ["a" * 2000, "%" * 5000, "🎧" * 3000, "\ud800" * 400, "é\n\t\0" * 900])
def test_the_longest_reasons_reach_a_client_with_their_details(reason: str) -> None:
    details = status_details(grpc.StatusCode.INVALID_ARGUMENT, cut(reason), field="f" * 100, retry_after_ms=5000)
    assert len(base64.b64encode(details)) < 5_600
