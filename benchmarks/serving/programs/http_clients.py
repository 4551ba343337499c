"""Clients of the HTTP servers, each with a connection that stays open."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import Final

import aiohttp

from benchmarks.serving.calls import LoadSettings
from benchmarks.serving.programs.clients import Client, FailedError, read_answer


@asynccontextmanager
async def _http(
    settings: LoadSettings,
    wrap: Callable[[str], bytes],
    read: Callable[[bytes], tuple[int, float]],
    path: str = "",
) -> AsyncIterator[Client]:
    # Every client keeps its own connection open.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=120)
    timeout = aiohttp.ClientTimeout(total=settings.deadline_s)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def ask(payload: str) -> tuple[int, float]:
            try:
                async with session.post(settings.address + path, data=wrap(payload)) as response:
                    body = await response.read()
                    status = response.status
            except TimeoutError as cause:
                raise FailedError("DEADLINE_EXCEEDED") from cause
            except aiohttp.ClientError as cause:
                raise FailedError(type(cause).__name__) from cause
            if status != HTTPStatus.OK:
                raise FailedError(f"HTTP {status}")
            return read(body)

        yield ask


def litserve(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to LitServe, with the request as a field of a JSON object."""
    return _http(settings, lambda payload: json.dumps({"request": payload}).encode(), read_answer)


def rayserve(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to Ray Serve, with the request as the body."""
    return _http(settings, str.encode, read_answer)


def bentoml(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to BentoML, with a batch of one request, which BentoML merges into larger ones."""

    def first(body: bytes) -> tuple[int, float]:
        try:
            only = str(json.loads(body)[0])
        except (ValueError, LookupError) as cause:
            raise FailedError("WRONG_ANSWER") from cause
        return read_answer(only)

    return _http(settings, lambda payload: json.dumps({"requests": [payload]}).encode(), first)


def gateway(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to the gateway's HTTP/JSON door."""

    def read(body: bytes) -> tuple[int, float]:
        try:
            document = json.loads(body)
            return len(document["samples"]), float(document["timings"]["decode_ms"])
        except (ValueError, LookupError, TypeError) as cause:
            raise FailedError("WRONG_ANSWER") from cause

    return _http(settings, str.encode, read, f"/v1/models/{settings.model}:generate")


CLIENTS: Final = {"litserve": litserve, "rayserve": rayserve, "bentoml": bentoml, "http": gateway}
