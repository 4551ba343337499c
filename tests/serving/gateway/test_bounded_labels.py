"""Whatever clients ask for, the page of metrics does not grow."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import generate_latest

from serving.traffic.policy import Arm, TrafficPolicy
from serving.v1 import commentary_pb2
from tests.serving.loopback_gateway import Bench, bench
from tests.serving.traffic.exposing import recorder

ALPHABET = "abcxyzé☃𝄞0123456789./-_ "
REQUESTS = 10_000


def series(it: Bench) -> set[str]:
    """Names and labels of the page, without the buckets' values."""
    lines = generate_latest(it.gateway.metrics.registry).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


async def ended(call: Coroutine[Any, Any, object]) -> grpc.StatusCode:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@dataclass
class AnyCall:
    """Calls of all kinds, known and unknown."""

    it: Bench
    chance: random.Random

    def __call__(self) -> Coroutine[Any, Any, object]:
        kind = self.chance.random()
        return self.unknown_method() if kind < 0.1 else self.describe() if kind < 0.2 else self.generate()

    def text(self, *usual: str) -> str:
        made_up = "".join(self.chance.choices(ALPHABET, k=self.chance.randint(0, 12)))
        return self.chance.choice([*usual, made_up])

    async def unknown_method(self) -> object:
        channel: Any = self.it.channel
        name = "".join(character for character in self.text() if character.isascii() and character.isalnum())
        service = self.chance.choice(["deephypebot.v1.Commentary", "a.B", name])
        return await channel.unary_unary(f"/{service}/{name}")(self.text().encode())

    async def describe(self) -> object:
        return await self.it.stub.Describe(commentary_pb2.DescribeRequest(model=self.text("", "lcgan")))

    async def generate(self) -> object:
        return await self.it.generate(
            model=self.text("", "lcgan", "cvae"),
            version=self.text("", "1", "2", "3"),
            unit=self.text(),
            request_id=self.text(),
            genres=[self.text()],
            num_samples=self.chance.choice([0, 1, 2, 65]),
        )


@pytest.mark.slow
def test_ten_thousand_requests_for_anything_add_no_series(tmp_path: Path) -> None:
    async def scene() -> None:
        async with bench(recorder=recorder(tmp_path)) as it:
            arms = (Arm(version="1", share=0.5), Arm(version="2", share=0.5))
            it.table.set_policy("lcgan", TrafficPolicy(model="lcgan", arms=arms))
            for version in ("1", "2"):
                await it.generate(version=version)
            await it.stub.Describe(commentary_pb2.DescribeRequest())
            before = series(it)
            any_call = AnyCall(it, random.Random(7))
            codes: set[grpc.StatusCode] = set()
            for _ in range(REQUESTS // 50):
                codes.update(await asyncio.gather(*(ended(any_call()) for _ in range(50))))
            assert series(it) == before
            assert codes >= {
                grpc.StatusCode.OK,
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
                grpc.StatusCode.UNIMPLEMENTED,
            }

    asyncio.run(scene())
