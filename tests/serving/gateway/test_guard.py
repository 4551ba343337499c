"""Tokens and limits of clients, over real connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import generate_latest

from handlers.contract import CommentaryRequest
from serving.client import AccessDeniedError, CommentaryClient, Credentials, OverloadedError
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client, revoke, rotate_token
from serving.v1 import commentary_pb2
from tests.serving.loopback_gateway import Bench, answer_well, bench, failure_of, until
from tests.serving.support import ONE_ATTEMPT, ask

REQUEST = commentary_pb2.GenerateRequest()


@asynccontextmanager
async def guarded(path: Path, **limits: Any) -> AsyncIterator[tuple[Bench, str]]:
    """A gateway with one client, and its token."""
    token = add_client(path, "bot", limits=ClientLimits(**limits), now=0, expires=None)
    async with bench(security=SecuritySettings(clients_file=path)) as it:
        yield it, token


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def test_a_stranger_is_refused_and_neither_the_worker_nor_the_log_sees_anything(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with guarded(tmp_path / "clients.json") as (it, token):
            for metadata in ((), bearer("dhb_00000000_wrong"), bearer(token[:-1])):
                code, details, _ = await failure_of(
                    cast("Any", it.stub.Generate(REQUEST, metadata=metadata, timeout=5))
                )
                assert code is grpc.StatusCode.UNAUTHENTICATED
                assert "token" in details
                assert token[:-1] not in details
            assert (await it.stub.Generate(REQUEST, metadata=bearer(token), timeout=5)).model.version == "2"
            assert len(it.backend.seen) == 1
            page = generate_latest(it.gateway.metrics.registry).decode()
            assert 'deephypebot_gateway_denied_total{reason="token_missing"} 1.0' in page
            assert 'deephypebot_gateway_denied_total{reason="token_unknown"} 2.0' in page
            assert 'deephypebot_gateway_client_calls_total{client="bot"} 1.0' in page
            assert 'grpc_server_handled_total{grpc_code="UNAUTHENTICATED",grpc_method="Generate"} 3.0' in page
            assert token[:-1] not in page
            assert token[:-1] not in caplog.text

    with caplog.at_level(logging.DEBUG):
        asyncio.run(scene())


def test_a_message_of_a_stranger_is_not_even_read(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path / "clients.json") as (it, token):
            call: Any = it.channel.unary_unary("/deephypebot.v1.Commentary/Generate")
            code, _, _ = await failure_of(call(b"\xff\xff", timeout=5))
            assert code is grpc.StatusCode.UNAUTHENTICATED
            code, details, _ = await failure_of(call(b"\xff\xff", timeout=5, metadata=bearer(token)))
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert "cannot be read" in details

    asyncio.run(scene())


def test_health_is_open_and_reflection_is_not(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path / "clients.json") as (it, token):
            assert await it.health() == "SERVING"
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", it.channel))
            listing = [reflection_pb2.ServerReflectionRequest(list_services="")]
            code, _, _ = await failure_of(anext(aiter(stub.ServerReflectionInfo(listing, timeout=5))))
            assert code is grpc.StatusCode.UNAUTHENTICATED
            answer = await anext(aiter(stub.ServerReflectionInfo(listing, timeout=5, metadata=bearer(token))))
            assert answer.list_services_response.service
            with CommentaryClient(it.target) as client:
                assert await asyncio.to_thread(client.is_serving)

    asyncio.run(scene())


def test_our_client_shows_its_token_and_a_refusal_is_an_error_of_its_own(tmp_path: Path) -> None:
    async def scene() -> None:
        async with guarded(tmp_path / "clients.json") as (it, token):
            with CommentaryClient(it.target, credentials=Credentials(token=token)) as client:
                assert (await asyncio.to_thread(client.generate, ask())).model.version == "2"
                assert await asyncio.to_thread(client.describe)
            with CommentaryClient(it.target) as client, pytest.raises(AccessDeniedError, match="--token-file"):
                await asyncio.to_thread(client.describe)

    asyncio.run(scene())


@pytest.mark.slow
def test_a_token_is_rotated_without_a_refused_call_and_revoked_within_seconds(tmp_path: Path) -> None:
    async def scene() -> None:
        path, token_file = tmp_path / "clients.json", tmp_path / "token"
        async with guarded(path) as (it, token):
            token_file.write_text(token)
            with CommentaryClient(it.target, credentials=Credentials(token_file=token_file)) as client:

                async def answered() -> bool:
                    await asyncio.to_thread(client.generate, ask())
                    return True

                assert await answered()
                new = rotate_token(path, "bot", now=0, expires=None, old_until=1e11)
                # The gateway polls each second. Until it knows the new token, the old one must do.
                book = it.gateway.security._clients
                assert book is not None
                while len(book.value.clients["bot"].tokens) < 2:
                    assert await answered()
                token_file.write_text(f"{new}\n")
                assert await answered()
                revoke(path, "bot", token=token.split("_")[1])
                await asyncio.wait_for(until(lambda: len(book.value.clients["bot"].tokens) == 1), 10)
                assert await answered()
                code, _, _ = await failure_of(cast("Any", it.stub.Generate(REQUEST, metadata=bearer(token), timeout=5)))
                assert code is grpc.StatusCode.UNAUTHENTICATED

    asyncio.run(scene())


@pytest.mark.slow
def test_a_clients_file_that_breaks_keeps_its_clients_and_is_counted(tmp_path: Path) -> None:
    async def scene() -> None:
        path = tmp_path / "clients.json"
        async with guarded(path) as (it, token):
            path.write_text("{")
            await asyncio.wait_for(until(lambda: it.gateway.security.reload_errors() == {"clients_file": 1}), 10)
            assert (await it.stub.Generate(REQUEST, metadata=bearer(token), timeout=5)).model.version == "2"
            page = generate_latest(it.gateway.metrics.registry).decode()
            assert 'deephypebot_gateway_reload_errors_total{file="clients_file"} 1.0' in page

    asyncio.run(scene())


@pytest.mark.slow
def test_a_client_above_its_limit_is_refused_with_a_pause_and_others_are_answered(tmp_path: Path) -> None:
    async def scene() -> None:
        opened = asyncio.Event()

        async def wait(request: CommentaryRequest) -> str:
            await opened.wait()
            return await answer_well(request)

        path = tmp_path / "clients.json"
        tokens = [
            add_client(path, name, limits=ClientLimits(max_calls=2), now=0, expires=None) for name in ("one", "two")
        ]
        async with bench(wait, security=SecuritySettings(clients_file=path)) as it:
            first, second = (bearer(token) for token in tokens)
            held = [asyncio.ensure_future(it.stub.Generate(REQUEST, metadata=first, timeout=9)) for _ in range(2)]
            await until(lambda: len(it.backend.seen) == 2)
            code, details, metadata = await failure_of(
                cast("Any", it.stub.Generate(REQUEST, metadata=first, timeout=5))
            )
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert details.startswith("2 of your calls are open")
            assert 25 <= int(metadata["grpc-retry-pushback-ms"]) <= 50
            with (
                CommentaryClient(it.target, retry=ONE_ATTEMPT, credentials=Credentials(token=tokens[0])) as client,
                pytest.raises(OverloadedError) as caught,
            ):
                await asyncio.to_thread(client.generate, ask())
            assert 0 < caught.value.retry_after_s <= 0.1
            other = asyncio.ensure_future(it.stub.Generate(REQUEST, metadata=second, timeout=9))
            await until(lambda: len(it.backend.seen) == 3)
            held[0].cancel()  # a client that leaves frees its place

            async def is_let_in() -> bool:
                call = it.stub.Generate(REQUEST, metadata=first, timeout=0.5)
                return await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED

            assert await is_let_in() or await is_let_in()
            opened.set()
            await asyncio.gather(held[1], other)

    asyncio.run(scene())


def test_without_tokens_an_address_has_its_limit_and_a_stream_counts() -> None:
    async def scene() -> None:
        async with bench(security=SecuritySettings(limits=ClientLimits(max_calls=1))) as it:
            stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", it.channel))
            stream = stub.ServerReflectionInfo()
            await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            await stream.read()
            code, details, _ = await failure_of(it.generate())
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "your calls" in details
            stream.cancel()
            access = it.gateway.security.access
            assert access is not None
            await asyncio.wait_for(until(lambda: not access._usages), 5)
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())


def test_without_security_settings_no_guard_costs_anything() -> None:
    async def scene() -> None:
        async with bench() as it:
            assert it.gateway.security.access is None
            assert (await it.generate()).model.version == "2"

    asyncio.run(scene())
