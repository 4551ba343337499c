"""Bounds of a connection, over real connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.descriptor import FieldDescriptor

from handlers.contract import MAX_BAD_WORDS, MAX_GENRES, MAX_SEED, MAX_TEXT_LENGTH
from serving.client import CommentaryClient, InvalidRequestError
from serving.errors import SecurityError
from serving.gateway.listening import (
    LARGEST_REQUEST_BYTES,
    MAX_METADATA_BYTES,
    MAX_REQUEST_BYTES,
    check_address,
    server_options,
)
from serving.security.settings import SecuritySettings
from serving.v1 import commentary_pb2
from tests.serving.loopback_gateway import bench, failure_of
from tests.serving.support import ask

WIDE = "𝄞" * MAX_TEXT_LENGTH
"""A text of the longest kind, 4 bytes a character."""

_HEADERS = {"traceparent": 55, "tracestate": 512}
"""Lengths of the headers of a trace's context that W3C allows."""


def largest_request() -> commentary_pb2.GenerateRequest:
    """Every field that the message has, as long as it may be; numbers are as wide as their type."""
    values: dict[str, Any] = {}
    for each in commentary_pb2.GenerateRequest.DESCRIPTOR.fields:
        if each.name in _HEADERS:
            values[each.name] = "x" * _HEADERS[each.name]
        elif each.type == FieldDescriptor.TYPE_STRING:
            values[each.name] = [WIDE] * MAX_BAD_WORDS if each.is_repeated else WIDE
        else:
            values[each.name] = MAX_SEED if each.type == FieldDescriptor.TYPE_INT64 else -1
    return commentary_pb2.GenerateRequest(**values)


def test_the_largest_request_of_the_contract_fits_and_little_more_is_computed() -> None:
    size = largest_request().ByteSize()
    assert 0.98 * LARGEST_REQUEST_BYTES < size <= LARGEST_REQUEST_BYTES


def test_a_request_of_the_longest_texts_is_answered() -> None:
    async def scene() -> None:
        async with bench() as it:
            answer = await it.generate(genres=[WIDE] * MAX_GENRES, artist=WIDE, title=WIDE, unit=WIDE, topic=WIDE)
            assert answer.model.version == "2"

    asyncio.run(scene())


def test_a_message_above_the_limit_is_refused_and_the_next_call_is_answered() -> None:
    async def scene() -> None:
        async with bench() as it:
            code, details, _ = await failure_of(it.generate(genres=["x" * MAX_REQUEST_BYTES]))
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert str(MAX_REQUEST_BYTES) in details
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def test_metadata_above_the_limit_fails_its_call_alone() -> None:
    async def scene() -> None:
        async with bench() as it:
            large = (("note", "n" * (2 * MAX_METADATA_BYTES + 1)),)
            with pytest.raises(grpc.aio.AioRpcError):
                await it.stub.Generate(commentary_pb2.GenerateRequest(), metadata=large, timeout=5)
            assert it.backend.seen == []
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def test_a_client_is_told_that_its_request_is_too_large_and_does_not_repeat_it() -> None:
    async def scene() -> None:
        async with bench() as it:
            with CommentaryClient(it.target) as client:
                with pytest.raises(InvalidRequestError, match="too large"):
                    await asyncio.to_thread(client.generate, ask(), model="m" * MAX_REQUEST_BYTES)
                assert client._caller._budget._tokens == 10  # nothing was paid for a retry

    asyncio.run(scene())


@pytest.mark.slow
@pytest.mark.alone
def test_four_hundred_large_messages_at_once_take_no_memory() -> None:
    """The server is a process of its own, since clients hold the messages that they send."""
    with program("-n 4096") as server:
        try:
            target = "{}:{}".format(*address(server))
            process = psutil.Process(server.pid)
            before = process.memory_info().rss
            with grpc.insecure_channel(target) as channel:
                send: Any = channel.unary_unary("/deephypebot.v1.Commentary/Generate")
                calls = [send.future(b"m" * 4_100_000, timeout=60) for _ in range(400)]
                codes = {call.exception().code() for call in calls}
            assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
            assert process.memory_info().rss - before < 50 * 2**20
        finally:
            server.kill()


def program(limit: str) -> subprocess.Popen[bytes]:
    """A gateway whose process has a limit of file descriptors."""
    command = f'ulimit {limit}; exec "$0" "$1"'
    script = str(Path(__file__).with_name("listening_program.py"))
    return subprocess.Popen(["bash", "-c", command, sys.executable, script], stdout=subprocess.PIPE)


def address(server: subprocess.Popen[bytes]) -> tuple[str, int]:
    assert server.stdout
    host, _, port = server.stdout.readline().decode().strip().rpartition(":")
    return host, int(port)


def test_a_gateway_takes_as_many_descriptors_as_it_may() -> None:
    with program("-Sn 64") as server:
        try:
            address(server)
            soft, hard = psutil.Process(server.pid).rlimit(psutil.RLIMIT_NOFILE)
            assert soft == min(hard, 65_536)
        finally:
            server.kill()


@pytest.mark.slow
@pytest.mark.alone
def test_idle_connections_lock_nobody_out_where_descriptors_are_few() -> None:
    greeting = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    with program("-n 256") as server, contextlib.ExitStack() as stack:
        stack.callback(server.kill)
        where = address(server)
        for number in range(400):
            idle = stack.enter_context(socket.create_connection(where))
            if number % 2:
                with contextlib.suppress(OSError):  # the gateway has enough of them
                    idle.sendall(greeting)
        started = time.monotonic()
        while not answers(where):
            assert time.monotonic() - started < 30
            time.sleep(0.5)


def answers(where: tuple[str, int]) -> bool:
    """Whether a client that connects now is answered."""
    with grpc.insecure_channel("{}:{}".format(*where), options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        describe: Any = channel.unary_unary("/deephypebot.v1.Commentary/Describe")
        try:
            describe(b"", timeout=2)
        except grpc.RpcError:
            return False
    return True


def test_where_descriptors_are_few_idle_connections_go_soon() -> None:
    many, few = (dict(server_options(max_in_flight=256, max_descriptors=number)) for number in (65_536, 1_024))
    assert many["grpc.max_connection_idle_ms"] == 300_000
    assert few["grpc.max_connection_idle_ms"] == 15_000
    assert few["grpc.max_allowed_incoming_connections"] == 768


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example"])  # noqa: S104 - what is refused
def test_an_address_that_other_machines_reach_is_refused_and_the_way_out_is_named(host: str) -> None:
    with pytest.raises(SecurityError, match=rf"reach {host}: .*--insecure-listen"):
        check_address(host, 0, SecuritySettings())


@pytest.mark.parametrize(
    ("host", "insecure"),
    [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)],  # noqa: S104 - what an operator asks for
)
def test_loopback_needs_no_leave_and_other_addresses_do(host: str, insecure: bool) -> None:
    check_address(host, 0, SecuritySettings(insecure_listen=insecure))


def test_a_gateway_that_may_not_listen_openly_does_not_start() -> None:
    async def scene() -> None:
        async with bench(host="0.0.0.0"):  # noqa: S104 - what is refused
            pass

    with pytest.raises(SecurityError, match=r"127\.0\.0\.1"):
        asyncio.run(scene())
