"""Calls to several gateways in turn, and away from one that ends or does not serve."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from serving.client import CommentaryClient
from tests.serving.loopback_gateway import Bench, bench
from tests.serving.support import ask


def target_of(*gateways: Bench) -> str:
    return f"ipv4:{','.join(gateway.target for gateway in gateways)}"


async def shares(client: CommentaryClient, gateways: tuple[Bench, ...], calls: int = 20) -> list[int]:
    """Calls that each gateway gets; each must be answered."""
    before = [len(gateway.backend.seen) for gateway in gateways]
    for _ in range(calls):
        await asyncio.to_thread(client.generate, ask(), timeout_s=5)
    return [len(gateway.backend.seen) - seen for gateway, seen in zip(gateways, before, strict=True)]


async def settled(client: CommentaryClient, gateways: tuple[Bench, ...], expected: list[int]) -> None:
    for _ in range(50):
        if await shares(client, gateways, sum(expected)) == expected:
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"the calls are not dealt out as {expected}")


def test_calls_go_to_each_gateway_in_turn_and_go_on_when_one_ends() -> None:
    async def scene() -> None:
        async with contextlib.AsyncExitStack() as stack:
            one = await stack.enter_async_context(bench())
            async with bench() as two:
                both = (one, two)
                client = stack.enter_context(CommentaryClient(target_of(*both)))
                await settled(client, both, [10, 10])
            # The second one has ended, and no call fails.
            assert await shares(client, both) == [20, 0]

    asyncio.run(scene())


def test_a_gateway_that_does_not_serve_gets_no_calls_until_it_does() -> None:
    async def scene() -> None:
        async with bench() as one, bench() as two:
            both = (one, two)
            with CommentaryClient(target_of(*both)) as client:
                await settled(client, both, [5, 5])
                two.connection.inference = None  # as while TorchServe is restarted
                await two.gateway.update_health()
                await settled(client, both, [10, 0])

    asyncio.run(scene())


def test_a_single_address_needs_no_watch_of_its_health() -> None:
    async def scene() -> None:
        async with bench() as it:
            with CommentaryClient(it.target) as client:
                await asyncio.to_thread(client.generate, ask())
                assert not it.gateway.reception._streams
            with CommentaryClient(f"dns:///{it.target}") as client:
                await asyncio.to_thread(client.generate, ask())
                assert len(it.gateway.reception._streams) == 1

    asyncio.run(scene())


def test_a_gateway_among_several_is_given_up_sooner_when_its_host_is_silent() -> None:
    """What it is for is shown by `make hosts`, since a relay on this machine acknowledges whatever it is sent."""
    timeouts = {}
    for target in ("gateway.test:1", "dns:///gateway.test:1", "ipv4:127.0.0.1:1,127.0.0.1:2"):
        with CommentaryClient(target) as client:
            options = dict(client._caller._options)
        assert len(options) == len(client._caller._options), "no option stands there twice"
        timeouts[target] = options["grpc.keepalive_timeout_ms"]
    assert list(timeouts.values()) == [10_000, 3_000, 3_000]
