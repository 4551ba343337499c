"""Reflection describes every service of the gateway, whichever pool its messages are in."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.serving.loopback_gateway import Bench, bench

SERVICES = [
    "deephypebot.v1.Commentary",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "inference.GRPCInferenceService",
]


async def asked(it: Bench, **question: Any) -> reflection_pb2.ServerReflectionResponse:
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", it.channel))
    stream = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**question)]))
    async for answer in stream:
        return cast("reflection_pb2.ServerReflectionResponse", answer)
    raise AssertionError("no answer")


def test_every_service_is_listed() -> None:
    async def scene() -> None:
        async with bench() as it:
            listed = await asked(it, list_services="")
            assert sorted(service.name for service in listed.list_services_response.service) == SERVICES

    asyncio.run(scene())


@pytest.mark.parametrize("symbol", [*SERVICES, "inference.ModelInferRequest"])
def test_each_symbol_is_described(symbol: str) -> None:
    async def scene() -> None:
        async with bench() as it:
            found = await asked(it, file_containing_symbol=symbol)
            (described,) = found.file_descriptor_response.file_descriptor_proto
            assert symbol.startswith(FileDescriptorProto.FromString(described).package + ".")

    asyncio.run(scene())
