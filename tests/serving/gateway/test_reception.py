"""Calls before they reach their service: unreadable messages, and a gateway that drains."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from typing_extensions import override

from handlers.contract import CommentaryRequest
from serving.gateway import server
from serving.gateway.reception import MAX_STREAMS, SHUTTING_DOWN, Reception
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Gate:
    """A backend that answers when it is told to."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def answer(self, request: CommentaryRequest) -> str:
        await self.opened.wait()
        return await answer_well(request)


def watch(it: Bench) -> Any:
    stub: Any = health_pb2_grpc.HealthStub(cast("Any", it.channel))
    return stub.Watch(health_pb2.HealthCheckRequest())


def reflect(it: Bench) -> Any:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", it.channel))
    return stub.ServerReflectionInfo()


@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x02\xff\xff"], ids=["no message", "no UTF-8"])
def test_bytes_that_are_no_message_are_an_invalid_argument_and_no_traceback(
    message: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with bench() as it:
            call: Any = it.channel.unary_unary("/deephypebot.v1.Commentary/Generate")
            code, details, _ = await failure_of(_awaited(call(message)))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "GenerateRequest" in details
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())
    assert caplog.records == []


@pytest.mark.parametrize(
    "method",
    [
        "inference.GRPCInferenceService/ModelStreamInfer",
        "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
def test_bytes_that_are_no_message_end_a_stream_likewise(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with bench() as it:
            method_of: Any = it.channel.stream_stream(f"/{method}")
            call = method_of(iter([b"", b"\xff\xff\xff", b""]))

            async def read() -> None:
                async for _ in call:
                    pass

            code, details, metadata = await failure_of(read())
            assert (code, "cannot be read" in details) == (grpc.StatusCode.INVALID_ARGUMENT, True)
            assert "MESSAGE_UNREADABLE" in metadata["grpc-status-details-bin"]
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())
    assert caplog.records == []


def test_a_drain_refuses_new_calls_with_the_reason_and_answers_the_old_ones() -> None:
    async def scene() -> None:
        gate = Gate()
        async with bench(gate.answer) as it:
            owed = [asyncio.create_task(it.generate()) for _ in range(3)]
            await until(lambda: len(it.backend.seen) == 3)
            stopping = asyncio.create_task(it.gateway.stop())
            await until_health(it, "NOT_SERVING")
            code, details, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.UNAVAILABLE
            assert details == "the gateway is shutting down; ask another one, or retry when it is back"
            assert not stopping.done()
            gate.opened.set()
            assert [(await each).model.version for each in owed] == ["2"] * 3
            await asyncio.wait_for(stopping, 20)

    asyncio.run(scene())


@pytest.mark.parametrize("opened", [watch, reflect])
def test_open_streams_are_told_and_do_not_hold_the_exit(
    opened: Callable[[Bench], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_FLUSH_S", 60)  # gRPC would wait that long for them

    async def scene() -> None:
        async with bench() as it:
            stream = opened(it)
            if opened is watch:
                assert (await stream.read()).status == SERVING
            else:
                await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
                assert (await stream.read()).list_services_response.service
            stopping = asyncio.create_task(it.gateway.stop())
            if opened is watch:
                assert (await stream.read()).status == NOT_SERVING
            await asyncio.wait_for(stopping, 20)
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE
            assert "shutting down" in await stream.details()

    asyncio.run(scene())


def test_a_stream_that_is_ended_while_it_writes_is_told_so_after_the_message() -> None:
    """gRPC sends no status while a message is being sent."""
    large = bytes(16 * 1024**2)  # more than a connection takes before its client reads
    method = "/deephypebot.test/Write"

    async def write(_: Any, __: Any) -> AsyncIterator[bytes]:
        yield large

    class Writing(grpc.GenericRpcHandler):
        @override
        def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
            return grpc.stream_stream_rpc_method_handler(cast("Any", write))

    async def scene() -> None:
        reception = Reception()
        writer = grpc.aio.server(interceptors=[reception])
        writer.add_generic_rpc_handlers((Writing(),))
        port = writer.add_insecure_port("127.0.0.1:0")
        await writer.start()
        options = [("grpc.max_receive_message_length", -1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            open_stream: Any = channel.stream_stream(method)
            stream = open_stream()
            await until(lambda: bool(reception._streams))
            await reception.drain(0, asyncio.Event())
            assert await stream.read() == large
            assert await stream.code() is grpc.StatusCode.UNAVAILABLE
            assert await stream.details() == SHUTTING_DOWN
        await writer.stop(None)

    asyncio.run(scene())


@pytest.mark.slow
def test_streams_above_their_limit_are_refused_until_another_ends() -> None:
    async def scene() -> None:
        async with bench() as it:
            open_streams = [watch(it) for _ in range(MAX_STREAMS)]
            for stream in open_streams:
                assert (await stream.read()).status == SERVING
            assert await watch(it).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await it.generate()).model.version == "2"
            open_streams[0].cancel()
            await until(lambda: len(it.gateway.reception._streams) < MAX_STREAMS)
            assert (await watch(it).read()).status == SERVING

    asyncio.run(scene())


def test_a_drain_lasts_no_longer_than_it_may() -> None:
    async def scene() -> None:
        gate = Gate()
        async with bench(gate.answer, drain_s=0.2) as it:
            owed = asyncio.create_task(failure_of(it.generate()))
            await until(lambda: it.backend.seen)
            await asyncio.wait_for(it.gateway.stop(), 5)
            code, *_ = await owed
            assert code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
            gate.opened.set()

    asyncio.run(scene())


def test_a_drain_in_a_hurry_ends_at_once() -> None:
    async def scene() -> None:
        gate, hurry = Gate(), asyncio.Event()
        async with bench(gate.answer) as it:
            owed = asyncio.create_task(failure_of(it.generate()))
            await until(lambda: it.backend.seen)
            stopping = asyncio.create_task(it.gateway.stop(hurry))
            await until_health(it, "NOT_SERVING")
            hurry.set()
            await asyncio.wait_for(stopping, 20)
            await owed
            gate.opened.set()

    asyncio.run(scene())


def test_calls_that_expire_or_whose_clients_leave_write_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async def answer(request: CommentaryRequest) -> str:
            await asyncio.sleep(0.2)
            return await answer_well(request)

        async with bench(answer) as it:
            expired = [asyncio.create_task(failure_of(it.generate(timeout_s=0.01 * number))) for number in range(1, 20)]
            left = [asyncio.create_task(it.generate()) for _ in range(10)]
            await asyncio.sleep(0.1)
            for each in left:
                each.cancel()
            assert {code for code, *_ in await asyncio.gather(*expired)} == {grpc.StatusCode.DEADLINE_EXCEEDED}
            await until(lambda: it.gateway.calls.in_flight == 0)

    with caplog.at_level(logging.INFO):
        asyncio.run(scene())
    assert [record for record in caplog.records if record.exc_info] == []


async def until_health(it: Bench, status: str) -> None:
    async with asyncio.timeout(5):
        while await it.health() != status:  # noqa: ASYNC110 - what another process would do
            await asyncio.sleep(0.01)


async def _awaited(call: Any) -> object:
    return await call
