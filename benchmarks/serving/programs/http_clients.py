"""Clients of the HTTP servers."""

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
    settings: LoadSettings, wrap: Callable[[str], bytes], unwrap: Callable[[bytes], bytes | str]
) -> AsyncIterator[Client]:
    # Every client keeps its own connection open.
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=120)
    timeout = aiohttp.ClientTimeout(total=settings.deadline_s)
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers) as session:

        async def ask(payload: str) -> tuple[int, float]:
            try:
                async with session.post(settings.address, data=wrap(payload)) as response:
                    body = await response.read()
                    status = response.status
            except TimeoutError as cause:
                raise FailedError("DEADLINE_EXCEEDED") from cause
            except aiohttp.ClientError as cause:
                raise FailedError(type(cause).__name__) from cause
            if status != HTTPStatus.OK:
                raise FailedError(f"HTTP {status}")
            return read_answer(unwrap(body))

        yield ask


def litserve(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to LitServe, with the request as a field of a JSON object."""
    return _http(settings, lambda payload: json.dumps({"request": payload}).encode(), lambda body: body)


def rayserve(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to Ray Serve, with the request as the body."""
    return _http(settings, lambda payload: payload.encode(), lambda body: body)


def bentoml(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect to BentoML, with a batch of one request, which BentoML merges into larger ones."""

    def first(body: bytes) -> str:
        try:
            return str(json.loads(body)[0])
        except (ValueError, LookupError) as cause:
            raise FailedError("WRONG_ANSWER") from cause

    return _http(settings, lambda payload: json.dumps({"requests": [payload]}).encode(), first)


CLIENTS: Final = {"litserve": litserve, "rayserve": rayserve, "bentoml": bentoml}
