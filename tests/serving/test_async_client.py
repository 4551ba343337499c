"""The client for asyncio, against a real gateway and a real server of grpc.aio."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from handlers.contract import CommentaryRequest
from serving import wire
from serving.async_client import AsyncCommentaryClient
from serving.client import (
    AccessDeniedError,
    CommentaryClient,
    CommentaryError,
    Credentials,
    DeadlineError,
    InternalServiceError,
    InvalidRequestError,
    OverloadedError,
    RequestError,
    RetryPolicy,
    TargetError,
    UnavailableError,
    UnknownModelError,
)
from serving.retries import budget_of
from serving.security.settings import ClientLimits, SecuritySettings
from serving.security.store import add_client
from serving.v1 import commentary_pb2, commentary_pb2_grpc
from tests.serving.loopback_gateway import answer_well, bench, until
from tests.serving.security.authority import Authority

ASKED = CommentaryRequest(genres=["zydeco"], request_id="r")
NOW = RetryPolicy(max_attempts=3, initial_backoff_s=0.0, max_backoff_s=0.0)

Generate = Callable[[commentary_pb2.GenerateRequest, Any], Awaitable[commentary_pb2.GenerateResponse]]


@dataclass
class AsyncCommentary(commentary_pb2_grpc.CommentaryServicer):
    """A server that answers what the test says."""

    answer: Generate
    requests: list[commentary_pb2.GenerateRequest] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server has noticed that a call was cancelled."""

    async def Generate(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: Any
    ) -> commentary_pb2.GenerateResponse:
        self.requests.append(request)
        try:
            return await self.answer(request, context)
        except asyncio.CancelledError:
            self.ended.set()
            raise

    async def GenerateStream(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.GenerateRequest, context: Any
    ) -> AsyncIterator[commentary_pb2.GenerateStreamResponse]:
        answer = await self.Generate(request, context)
        yield commentary_pb2.GenerateStreamResponse(samples=answer.samples)
        yield commentary_pb2.GenerateStreamResponse(end=answer)

    async def Describe(  # noqa: N802 - the protocol's name
        self, request: commentary_pb2.DescribeRequest, context: Any
    ) -> commentary_pb2.DescribeResponse:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"ask a gateway about {request.model!r}")
        raise AssertionError  # abort raises


@contextlib.asynccontextmanager
async def serving_answers(answer: Generate) -> AsyncIterator[tuple[AsyncCommentary, str]]:
    server = grpc.aio.server()
    servicer = AsyncCommentary(answer)
    commentary_pb2_grpc.add_CommentaryServicer_to_server(servicer, server)
    target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield servicer, target
    finally:
        await server.stop(None)


def failing(*failures: tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]) -> Generate:
    left = list(failures)

    async def answer(_: commentary_pb2.GenerateRequest, context: Any) -> commentary_pb2.GenerateResponse:
        if left:
            await context.abort(*left.pop(0))
        return commentary_pb2.GenerateResponse(request_id="r")

    return answer


async def endless(*_: Any) -> commentary_pb2.GenerateResponse:
    await asyncio.sleep(30)
    return commentary_pb2.GenerateResponse()


def test_it_has_the_methods_of_the_blocking_client() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(each).parameters) for name, each in found if not name.startswith("_")} | {
            "constructor": list(inspect.signature(client).parameters)
        }

    assert methods(AsyncCommentaryClient) == methods(CommentaryClient)


def test_a_gateway_answers_as_it_answers_the_blocking_client() -> None:
    async def scene() -> None:
        async with bench() as it, AsyncCommentaryClient(it.target) as client:
            response = await client.generate(ASKED, version=1)
            assert (response.model.name, response.model.version) == ("lcgan", "1")
            assert response.genres_unknown == ("zydeco",)
            interleaved = await client.generate_interleaved(ASKED)
            assert [arm.model.version for arm in interleaved.arms] == ["2"]
            assert [model.name for model in await client.describe()] == ["lcgan", "cvae"]
            assert [model.name for model in await client.describe("cvae")] == ["cvae"]
            assert await client.limits() == wire.CONTRACT_LIMITS
            assert await client.is_serving()
            with pytest.raises(UnknownModelError):
                await client.describe("nobody")
            with pytest.raises(UnknownModelError):
                await client.generate(ASKED, version="9")

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidRequestError),
        (grpc.StatusCode.NOT_FOUND, UnknownModelError),
        (grpc.StatusCode.PERMISSION_DENIED, RequestError),
        (grpc.StatusCode.UNAVAILABLE, UnavailableError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, OverloadedError),
        (grpc.StatusCode.INTERNAL, InternalServiceError),
        (grpc.StatusCode.UNKNOWN, InternalServiceError),
    ],
)
def test_a_status_is_the_error_of_the_same_tree(code: grpc.StatusCode, error: type[CommentaryError]) -> None:
    metadata = ((wire.ERROR_FIELD_METADATA, "top_k"), (wire.RETRY_PUSHBACK_METADATA, "2500"))

    async def scene() -> None:
        once = RetryPolicy(max_attempts=1)
        async with (
            serving_answers(failing((code, "the reason", metadata))) as (_, target),
            AsyncCommentaryClient(target, retry=once) as client,
        ):
            with pytest.raises(error, match="the reason") as caught:
                await client.generate(ASKED)
            assert caught.value.code == code.name
            assert getattr(caught.value, "field", "top_k") == "top_k"
            assert getattr(caught.value, "retry_after_s", 2.5) == 2.5

    asyncio.run(scene())


def test_a_call_that_fails_for_a_moment_is_tried_again_and_pays_from_the_budget_of_all_clients() -> None:
    async def scene() -> None:
        away = (grpc.StatusCode.UNAVAILABLE, "away", ())
        async with (
            serving_answers(failing(away, away)) as (servicer, target),
            AsyncCommentaryClient(target, retry=NOW) as client,
        ):
            assert (await client.generate(ASKED)).request_id == "r"
            assert len(servicer.requests) == 3
            assert budget_of(target)._tokens == pytest.approx(8.1, abs=0.05)

    asyncio.run(scene())


def test_the_pause_that_the_service_asks_for_is_kept_and_other_tasks_run_meanwhile() -> None:
    async def scene() -> None:
        full = (grpc.StatusCode.RESOURCE_EXHAUSTED, "full", ((wire.RETRY_PUSHBACK_METADATA, "300"),))
        async with serving_answers(failing(full)) as (_, target), AsyncCommentaryClient(target, retry=NOW) as client:
            loop = asyncio.get_running_loop()
            started, ticks = loop.time(), 0
            asking = asyncio.create_task(client.generate(ASKED))
            while not asking.done():
                await asyncio.sleep(0.01)
                ticks += 1
            assert loop.time() - started >= 0.3
            assert ticks > 5
            assert (await asking).request_id == "r"

    asyncio.run(scene())


def test_a_deadline_ends_the_call() -> None:
    async def scene() -> None:
        async with serving_answers(endless) as (_, target), AsyncCommentaryClient(target) as client:
            with pytest.raises(DeadlineError, match=r"within 0\.2 s"):
                await asyncio.wait_for(client.generate(ASKED, timeout_s=0.2), 5)
            with pytest.raises(ValueError, match="more than 0"):
                await client.generate(ASKED, timeout_s=0)

    asyncio.run(scene())


def test_a_task_that_is_cancelled_ends_its_call_in_the_server_too() -> None:
    async def scene() -> None:
        async with serving_answers(endless) as (servicer, target), AsyncCommentaryClient(target) as client:
            asking = asyncio.create_task(client.generate(ASKED))
            await until(lambda: servicer.requests)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            await asyncio.wait_for(servicer.ended.wait(), 5)

    asyncio.run(scene())


def test_a_cancelled_call_of_a_gateway_frees_its_place() -> None:
    async def answer(request: CommentaryRequest) -> str:
        await asyncio.sleep(0.3)
        return await answer_well(request)

    async def scene() -> None:
        async with bench(answer) as it, AsyncCommentaryClient(it.target) as client:
            asking = asyncio.create_task(client.generate(ASKED))
            await until(lambda: it.backend.seen)
            asking.cancel()
            await until(lambda: it.gateway.calls.in_flight == 0)

    asyncio.run(scene())


def test_calls_of_a_client_that_closes_are_unavailable_and_not_cancelled() -> None:
    async def scene() -> None:
        async with serving_answers(endless) as (servicer, target):
            client = AsyncCommentaryClient(target)
            asking = asyncio.create_task(client.generate(ASKED))
            await until(lambda: servicer.requests)
            await client.close()
            with pytest.raises(UnavailableError, match="is closed"):
                await asking
            with pytest.raises(UnavailableError, match="is closed"):
                await client.generate(ASKED)
            assert not await client.is_serving()
            await client.close()

    asyncio.run(scene())


def test_many_calls_share_one_connection() -> None:
    async def scene() -> None:
        async with bench() as it, AsyncCommentaryClient(it.target) as client:
            answers = await asyncio.gather(*(client.generate(ASKED) for _ in range(100)))
            assert {answer.model.version for answer in answers} == {"2"}

    asyncio.run(scene())


def test_nobody_listens() -> None:
    async def scene() -> None:
        async with AsyncCommentaryClient("127.0.0.1:1", retry=NOW) as client:
            assert not await client.is_serving()
            with pytest.raises(UnavailableError, match=r"asked the gateway at 127\.0\.0\.1:1"):
                await client.generate(ASKED)

    asyncio.run(scene())


def test_a_client_of_another_event_loop_is_refused() -> None:
    client = AsyncCommentaryClient("127.0.0.1:1")
    asyncio.run(client.is_serving())
    with pytest.raises(RuntimeError, match="event loop of its first call"):
        asyncio.run(client.is_serving())


def test_values_are_checked_as_by_the_blocking_client() -> None:
    with pytest.raises(TargetError):
        AsyncCommentaryClient("nowhere")
    with pytest.raises(ValueError, match="timeout_s"):
        AsyncCommentaryClient(timeout_s=0)

    async def scene() -> None:
        async with AsyncCommentaryClient() as client:
            with pytest.raises(InvalidRequestError, match="valid text"):
                await client.generate(ASKED, version="\ud800")

    asyncio.run(scene())


def test_the_module_needs_grpc_alone() -> None:
    program = (
        "import sys, serving.async_client; "
        "heavy = {'torch', 'numpy', 'mlflow', 'starlette', 'uvicorn', 'prometheus_client'}; "
        "sys.exit(', '.join(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_asyncio_client_speaks_tls_and_shows_its_token(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.issue("gateway")
    path = tmp_path / "clients.json"
    token = add_client(path, "bot", limits=ClientLimits(), now=0, expires=None)
    security = SecuritySettings(tls_cert=pair.cert, tls_key=pair.key, clients_file=path)

    async def scene() -> None:
        async with bench(security=security) as it:
            credentials = Credentials(ca=authority.ca, token=token)
            async with AsyncCommentaryClient(it.target, credentials=credentials) as client:
                assert (await client.generate(ASKED)).model.version == "2"
                assert await client.describe()
                assert await client.is_serving()
            async with AsyncCommentaryClient(it.target, credentials=Credentials(ca=authority.ca)) as stranger:
                with pytest.raises(AccessDeniedError):
                    await stranger.describe()

    asyncio.run(scene())
