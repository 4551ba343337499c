"""Bounds of a connection, over real connections."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf.descriptor import FieldDescriptor

from handlers.contract import MAX_BAD_WORDS, MAX_GENRES, MAX_SEED, MAX_TEXT_LENGTH
from serving.gateway.listening import LARGEST_REQUEST_BYTES, MAX_REQUEST_BYTES, server_options
from serving.v1 import commentary_pb2
from tests.serving.loopback_gateway import bench, failure_of

WIDE = "𝄞" * MAX_TEXT_LENGTH
"""A text of the longest kind, 4 bytes a character."""


def largest_request() -> commentary_pb2.GenerateRequest:
    """Every field that the message has, as long as it may be; numbers are as wide as their type."""
    values: dict[str, Any] = {}
    for each in commentary_pb2.GenerateRequest.DESCRIPTOR.fields:
        if each.type == FieldDescriptor.TYPE_STRING:
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


@pytest.mark.slow
@pytest.mark.alone
def test_four_hundred_large_messages_at_once_take_no_memory() -> None:
    """The server is a process of its own, since clients hold the messages that they send."""
    with subprocess.Popen([sys.executable, str(Path(__file__).with_name("listening_program.py"))], stdout=-1) as server:
        try:
            assert server.stdout
            target = server.stdout.readline().decode().strip()
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


def test_where_descriptors_are_few_idle_connections_go_soon() -> None:
    many, few = (dict(server_options(max_in_flight=256, max_descriptors=number)) for number in (65_536, 1_024))
    assert many["grpc.max_connection_idle_ms"] == 300_000
    assert few["grpc.max_connection_idle_ms"] == 15_000
    assert few["grpc.max_allowed_incoming_connections"] == 768
