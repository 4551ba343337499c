"""Standard health checks, also with a watcher that takes no answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.serving.loopback_gateway import Bench, bench, failure_of

COMMENTARY = "deephypebot.v1.Commentary"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, SETTINGS, DATA = 1, 4, 0
END_HEADERS, END_STREAM = 4, 1
INITIAL_WINDOW_SIZE = 4


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """A header as HPACK writes it without its tables."""
    return b"\0" + bytes((len(name),)) + name.encode() + bytes((len(value),)) + value.encode()


@contextlib.contextmanager
def watcher_without_a_window(target: str) -> Iterator[None]:
    """Watch the health of a gateway over HTTP/2 by hand, and allow it no byte of an answer."""
    host, _, port = target.rpartition(":")
    headers = {
        ":method": "POST",
        ":scheme": "http",
        ":path": "/grpc.health.v1.Health/Watch",
        ":authority": "gateway",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    block = b"".join(literal(name, value) for name, value in headers.items())
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            PREFACE
            + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, 0))
            + frame(HEADERS, END_HEADERS, 1, block)
            + frame(DATA, END_STREAM, 1, bytes(5))  # an empty message: the whole server
        )
        yield


def stub_of(it: Bench) -> Any:
    return cast("Any", health_pb2_grpc.HealthStub(cast("Any", it.channel)))


def test_a_watcher_that_takes_no_answer_stops_neither_changes_of_health_nor_the_drain() -> None:
    async def scene() -> None:
        async with bench() as it:
            with watcher_without_a_window(it.target):
                await asyncio.sleep(0.3)  # it is watching
                it.connection.inference = None
                await asyncio.wait_for(it.gateway.update_health(), 3)
                assert await it.health() == "NOT_SERVING"
                await asyncio.wait_for(it.gateway.stop(), 5)

    asyncio.run(scene())


def test_every_watcher_hears_each_change() -> None:
    async def scene() -> None:
        async with bench() as it:
            watches = [stub_of(it).Watch(health_pb2.HealthCheckRequest()) for _ in range(3)]
            heard = [[await watch.read()] for watch in watches]
            inference = it.connection.inference
            for connection in (None, inference):
                it.connection.inference = connection
                await it.gateway.update_health()
                for answers, watch in zip(heard, watches, strict=True):
                    answers.append(await watch.read())
            serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
            assert [[each.status for each in answers] for answers in heard] == [[serving, not_serving, serving]] * 3

    asyncio.run(scene())


def test_all_services_are_listed_with_their_health() -> None:
    async def scene() -> None:
        async with bench() as it:
            messages: Any = health_pb2  # its published types do not know `List` yet
            answer = await stub_of(it).List(messages.HealthListRequest())
            assert {"", COMMENTARY} <= set(answer.statuses)
            assert answer.statuses[COMMENTARY].status == health_pb2.HealthCheckResponse.SERVING

    asyncio.run(scene())


def test_an_unknown_service_is_not_found_where_it_is_asked_for_and_unknown_where_it_is_watched() -> None:
    async def scene() -> None:
        async with bench() as it:
            code, details, _ = await failure_of(it.health("no.such.Service"))
            assert code is grpc.StatusCode.NOT_FOUND
            assert "health" in details
            watch = stub_of(it).Watch(health_pb2.HealthCheckRequest(service="no.such.Service"))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

    asyncio.run(scene())


@pytest.mark.parametrize("service", ["", COMMENTARY])
def test_a_gateway_that_stopped_never_serves_again(service: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            watch = stub_of(it).Watch(health_pb2.HealthCheckRequest(service=service))
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            stopping = asyncio.create_task(it.gateway.stop())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await it.gateway.update_health()
            await stopping
            assert await watch.code() is grpc.StatusCode.UNAVAILABLE

    asyncio.run(scene())
