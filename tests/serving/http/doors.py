"""A door in front of a gateway whose TorchServe is a loopback server, over a socket or in process."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from serving.http.app import HttpApp
from serving.http.door import Door
from serving.http.settings import HttpSettings
from tests.serving.loopback_gateway import Answer, Bench, answer_well, bench

GENERATE = "/v1/models/lcgan:generate"


@dataclass
class DoorBench:
    """A client of a door, and what stands behind it."""

    bench: Bench
    client: httpx.AsyncClient
    url: str
    door: Door | None = None

    async def generate(self, path: str = GENERATE, *, headers: dict[str, str] | None = None, **values: Any) -> Any:
        return await self.client.post(path, json=values, headers=headers)


@contextlib.asynccontextmanager
async def in_process(
    answer: Answer = answer_well, *, http: HttpSettings | None = None, **settings: Any
) -> AsyncIterator[DoorBench]:
    async with bench(answer, **settings) as it:
        app = HttpApp(it.gateway, http or HttpSettings()).asgi()
        url = "http://127.0.0.1"
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as client:
            yield DoorBench(bench=it, client=client, url=url)


@contextlib.asynccontextmanager
async def over_a_socket(
    answer: Answer = answer_well, *, http: HttpSettings | None = None, **settings: Any
) -> AsyncIterator[DoorBench]:
    async with bench(answer, **settings) as it:
        door = Door(http or HttpSettings(), gateway=it.gateway)
        url = await door.start()
        try:
            async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
                yield DoorBench(bench=it, client=client, url=url, door=door)
        finally:
            await it.gateway.stop()
            await door.stop()
