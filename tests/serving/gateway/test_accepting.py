"""Servers with a grpcio whose private names are others than the ones for which the gateway's server is written."""

from __future__ import annotations

import asyncio
import logging
from types import ModuleType
from typing import Any

import grpc
import pytest
from grpc._cython import cygrpc

from serving.gateway import accepting


def test_the_grpcio_that_is_installed_has_the_private_names_that_are_used() -> None:
    assert accepting.unlike_expected() == ""


def _lacking() -> ModuleType:
    return ModuleType("lacking")


def _changed() -> ModuleType:
    def _handle_rpc(call: object) -> None:
        raise AssertionError(call)

    module = ModuleType("changed")
    vars(module).update(_MethodResolver=object, _handle_rpc=_handle_rpc)
    return module


@pytest.mark.parametrize(
    ("library", "difference"),
    [(_lacking(), "_MethodResolver is missing"), (_changed(), "_handle_rpc has the parameters ('call',)")],
    ids=["lacking", "changed"],
)
def test_with_another_grpcio_the_librarys_own_server_answers_and_the_log_says_what_it_costs(
    library: ModuleType, difference: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    private = {
        (library if place is cygrpc else place, name): expected
        for (place, name), expected in accepting._PRIVATE.items()
    }
    monkeypatch.setattr(accepting, "cygrpc", library)
    monkeypatch.setattr(accepting, "_PRIVATE", private)

    async def scene() -> grpc.StatusCode:
        server = accepting.accepting_server(interceptors=(), options=())
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                send: Any = channel.unary_unary("/nobody/knows")
                code: grpc.StatusCode = await send(b"", timeout=10).code()
                return code
        finally:
            await server.stop(None)

    with caplog.at_level(logging.WARNING):
        assert asyncio.run(scene()) is grpc.StatusCode.UNIMPLEMENTED
    (line,) = caplog.messages
    assert difference in line
    assert "a call whose path is not UTF-8 can stop this server" in line
