"""The door over a real socket: its life, its drain, and clients that are slow, many or gone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Sample, encode_answer
from serving.errors import SecurityError, ServingError
from serving.http.connections import MAX_HEAD_BYTES
from serving.http.door import Door
from serving.http.settings import HttpSettings
from serving.security.settings import SecuritySettings
from tests.serving.http.doors import GENERATE, DoorBench, over_a_socket
from tests.serving.loopback_gateway import answer_well, bench, until
from tests.serving.security.authority import Authority

HEAD = f"POST {GENERATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def run(scene: Callable[[DoorBench], Awaitable[None]], **named: Any) -> None:
    async def whole() -> None:
        async with over_a_socket(**named) as door:
            await scene(door)

    asyncio.run(whole())


@contextlib.asynccontextmanager
async def connected(door: DoorBench) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    host, port = door.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def test_requests_of_one_connection_are_answered_one_after_the_other() -> None:
    async def scene(door: DoorBench) -> None:
        for version in ("1", "2"):
            response = await door.generate(f"/v1/models/lcgan/versions/{version}:generate")
            assert response.json()["model"]["version"] == version
        pair = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
        async with connected(door) as (reader, writer):
            writer.write(pair.encode())
            for _ in range(2):
                await reader.readuntil(b'{"status":"ok"}')

    run(scene)


def test_a_drain_answers_what_is_in_flight_and_refuses_the_rest() -> None:
    release = asyncio.Event()

    async def answer(request: CommentaryRequest) -> str:
        await release.wait()
        return await answer_well(request)

    async def scene(door: DoorBench) -> None:
        held = asyncio.create_task(door.generate())
        await until(lambda: door.bench.backend.seen)
        stopping = asyncio.create_task(door.bench.gateway.stop())
        await asyncio.sleep(0.05)
        assert (await door.client.get("/readyz")).status_code == 503
        refused = await door.generate()
        assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
        assert not stopping.done()
        release.set()
        assert (await held).status_code == 200
        await stopping

    run(scene, answer=answer)


def test_a_request_that_a_hurried_drain_leaves_is_told_so() -> None:
    async def answer(request: CommentaryRequest) -> str:
        await asyncio.sleep(30)
        return await answer_well(request)

    async def scene(door: DoorBench) -> None:
        held = asyncio.create_task(door.generate())
        await until(lambda: door.bench.backend.seen)
        hurry = asyncio.Event()
        hurry.set()
        await door.bench.gateway.stop(hurry)
        assert door.door is not None
        await asyncio.wait_for(door.door.stop(), 5)
        response = await held
        assert (response.status_code, response.json()["code"]) == (503, "UNAVAILABLE")

    run(scene, answer=answer)


def test_nobody_asks_for_a_client_that_has_left() -> None:
    async def answer(request: CommentaryRequest) -> str:
        await asyncio.sleep(0.3)
        return await answer_well(request)

    async def scene(door: DoorBench) -> None:
        async with connected(door) as (_, writer):
            writer.write(f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode())
            await until(lambda: door.bench.backend.seen)
        gateway = door.bench.gateway
        await until(lambda: gateway.reception._num_calls == 0)
        await until(lambda: gateway.calls.in_flight == 0)
        assert gateway.calls.counts.sequences_wasted > 0

    run(scene, answer=answer)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET /healthz HTTP/1.1\r\nHost: local",
        f"{HEAD}Content-Length: 10\r\n\r\n{{".encode(),
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_client_that_does_not_finish_loses_its_connection(sent: bytes) -> None:
    async def scene(door: DoorBench) -> None:
        async with connected(door) as (reader, writer):
            writer.write(sent)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = await asyncio.wait_for(reader.read(), 5)
        assert (b"408" in answer) == (b"{" in sent)

    run(scene, http=HttpSettings(head_s=0.2, body_s=0.2, idle_s=0.3))


def test_a_head_that_trickles_in_has_no_more_time() -> None:
    async def scene(door: DoorBench) -> None:
        async with connected(door) as (reader, writer):

            async def trickle() -> None:
                for byte in b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 1000:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(0.02)

            trickling = asyncio.create_task(trickle())
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.wait_for(reader.read(), 3) == b""
            trickling.cancel()

    run(scene, http=HttpSettings(head_s=0.3))


def test_a_client_that_does_not_read_loses_its_connection() -> None:
    async def answer(_: CommentaryRequest) -> str:
        long = Sample(text="x" * 2**20, token_count=1, log_prob=0.0, topics=(), seed=1)
        model = ModelIdentity(name="", version="")
        return encode_answer(CommentaryResponse(samples=(long,), model=model, genres_used=(), genres_unknown=()))

    async def scene(door: DoorBench) -> None:
        async with connected(door) as (_, writer):
            transport: Any = writer.transport
            transport.pause_reading()
            writer.write(f"{HEAD}Content-Length: 2\r\n\r\n{{}}".encode() * 30)
            connections = door.door._server.server_state.connections  # type: ignore[union-attr]
            await until(lambda: connections)
            await asyncio.wait_for(until(lambda: not connections), 20)

    run(scene, answer=answer, http=HttpSettings(head_s=0.3, body_s=0.3, idle_s=0.3), max_deadline_s=0.4)


def test_connections_above_the_limit_are_closed_at_once() -> None:
    async def scene(door: DoorBench) -> None:
        async with connected(door):
            async with connected(door), connected(door) as (reader, _):
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.wait_for(reader.read(), 3) == b""
            await asyncio.sleep(0.1)
            async with connected(door) as (reader, writer):
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")

    run(scene, http=HttpSettings(max_connections=2))


def test_a_head_above_the_limit_is_refused() -> None:
    async def scene(door: DoorBench) -> None:
        async with connected(door) as (reader, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nX-Long: " + b"x" * (MAX_HEAD_BYTES + 1))
            assert (await asyncio.wait_for(reader.readline(), 3)).startswith(b"HTTP/1.1 400")

    run(scene)


def test_responses_are_counted_by_status() -> None:
    async def scene(door: DoorBench) -> None:
        await door.client.get("/healthz")
        await door.client.get("/nowhere")
        registry = door.bench.gateway.metrics.registry
        counted = [
            registry.get_sample_value("deephypebot_gateway_http_responses_total", {"status": status})
            for status in ("200", "404")
        ]
        assert counted == [1, 1]

    run(scene)


def test_a_port_that_is_taken_is_named_with_the_way_out() -> None:
    async def scene() -> None:
        async with bench() as it:
            with socket.create_server(("127.0.0.1", 0)) as taken:
                port = taken.getsockname()[1]
                door = Door(HttpSettings(port=port), gateway=it.gateway)
                with pytest.raises(ServingError, match=f"port {port} .*--http-port"):
                    await door.start()
            await door.stop()

    asyncio.run(scene())


def test_the_door_has_the_gateways_certificate_and_takes_a_renewed_one(tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, "other")
    pair, own = authority.issue("gateway"), authority.issue("client")
    security = SecuritySettings(tls_cert=pair.cert, tls_key=pair.key, tls_client_ca=authority.ca)

    def trusting(ca: Path) -> httpx.AsyncClient:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(own.cert, own.key)
        return httpx.AsyncClient(verify=context, trust_env=False)

    async def scene(door: DoorBench) -> None:
        assert door.url.startswith("https://127.0.0.1:")
        async with trusting(authority.ca) as client:
            assert (await client.post(door.url + GENERATE, json={})).json()["model"]["version"] == "2"
        async with httpx.AsyncClient(
            verify=ssl.create_default_context(cafile=str(authority.ca)), trust_env=False
        ) as stranger:
            with pytest.raises(httpx.TransportError):
                await stranger.get(f"{door.url}/healthz")
        other.issue("gateway")
        certificate = door.bench.gateway.security.certificate
        assert certificate is not None
        certificate.refresh()
        async with trusting(other.ca) as client:
            assert (await client.get(f"{door.url}/healthz")).status_code == 200

    run(scene, security=security)


def test_a_door_that_other_machines_reach_needs_what_the_gateway_needs() -> None:
    async def scene() -> None:
        async with bench() as it:
            with pytest.raises(SecurityError, match="--insecure-listen"):
                await Door(HttpSettings(host="0.0.0.0"), gateway=it.gateway).start()  # noqa: S104 - what is refused

    asyncio.run(scene())
