"""Messages of any bytes: each call has a status of the contract, and the next good call is answered."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.v1 import commentary_pb2
from tests.examples import examples
from tests.faults.rawhttp2 import connect, unread_call
from tests.serving.loopback_gateway import Bench, bench

METHODS = (
    "/deephypebot.v1.Commentary/Generate",
    "/deephypebot.v1.Commentary/GenerateStream",
    "/deephypebot.v1.Commentary/Describe",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "/inference.GRPCInferenceService/ModelInfer",
)
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
}
_WHOLE = commentary_pb2.GenerateRequest(
    model="lcgan", genres=["dream pop"], artist="Ünna", num_samples=2, temperature=0.5, seed=7, unit="u", topic="1"
).SerializeToString()


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Noise, or a good message with changes of single bytes."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    content = bytearray(_WHOLE)
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))])


@pytest.mark.parametrize("end", [b"\xff", b"\xe9", b"\x80\n"], ids=["no character", "Latin 1", "half a character"])
def test_a_header_of_any_bytes_is_not_logged(caplog: pytest.LogCaptureFixture, end: bytes) -> None:
    async def scene() -> None:
        async with bench() as it:
            call = unread_call(it.target, METHODS[0], b"", authorization=b"Bearer secret-of-mine" + end)
            with await asyncio.to_thread(connect, it.target) as connection:
                connection.sendall(call)
                await asyncio.sleep(0.1)
            assert (await it.generate()).model.version == "2"

    with caplog.at_level(logging.INFO):
        asyncio.run(scene())
    assert "secret-of-mine" not in caplog.text
    assert "secret-of-mine" not in repr([record.args for record in caplog.records])


async def _status(it: Bench, method: str, message: bytes) -> grpc.StatusCode:
    """Return the status of a call with one message, all of whose answers are read.

    A client that reads one answer of several never meets the status behind them.
    """
    send: Any = it.channel.unary_stream(method)
    try:
        async for _ in send(message, timeout=20):
            pass
    except grpc.aio.AioRpcError as fault:
        return fault.code()
    return grpc.StatusCode.OK


class _Tracebacks(logging.Handler):
    """Records with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(record)


PATHS = [b"/deephypebot.v1.Commentary/\xb4enerate", b"/\xff", b"/\xc3\x28/\xa0", "/ü/日".encode(), b"/" + b"x" * 4000]


@pytest.mark.parametrize("path", PATHS, ids=["in a known one", "alone", "half a character", "UTF-8", "long"])
def test_a_call_of_any_path_ends_no_server(path: bytes) -> None:
    async def scene() -> None:
        async with bench() as it:
            for _ in range(3):
                with await asyncio.to_thread(connect, it.target) as connection:
                    connection.sendall(unread_call(it.target, path, b""))
                    await asyncio.sleep(0.05)
                assert (await it.generate()).model.version == "2"
            assert await _status(it, "/no.such/Method", b"") is grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(scene())


@pytest.mark.slow
@examples(12)
@given(st.lists(st.tuples(st.sampled_from(METHODS), messages()), max_size=40))
def test_any_message_has_a_status_of_the_contract_and_harms_no_other(asked: list[tuple[str, bytes]]) -> None:
    async def scene() -> None:
        async with bench() as it:
            statuses = await asyncio.gather(*(_status(it, *each) for each in asked))
            assert set(statuses) <= EXPECTED
            assert (await it.generate()).model.version == "2"

    tracebacks = _Tracebacks()
    logging.getLogger().addHandler(tracebacks)
    try:
        asyncio.run(scene())
    finally:
        logging.getLogger().removeHandler(tracebacks)
    assert tracebacks.found == []
