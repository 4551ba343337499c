"""Connections that die without a word: the client and the gateway, with the settings that they really have."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import pytest

from handlers.contract import CommentaryRequest
from serving.client import CommentaryClient, ServiceError
from tests.serving.loopback_gateway import answer_well, bench
from tests.serving.silent_relay import SilentRelay, relay_to
from tests.serving.support import ask

pytestmark = [pytest.mark.slow, pytest.mark.alone]

LIMIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What four clients saw, which were observed side by side since each takes up to a minute."""

    patient_s: float
    """Seconds after a silence until a client is answered again that waits 8 s for each answer."""
    brief_s: float
    """The same for a client that is mostly between two calls and waits 0.3 s for each answer."""
    forgotten: list[bool]
    """Whether the gateway closed the silent connections."""
    connections_of_slow_calls: int
    connections_of_an_idle_client: int


@pytest.fixture(scope="module")
def seen() -> Seen:
    async def scenes() -> Seen:
        # The slow answers have a gateway of their own: it would refuse clients with less time than they take.
        async with bench() as it, bench(answer_slowly_where_asked, max_deadline_s=60) as slow_gateway:
            with relay_to(it.target) as patient, relay_to(it.target) as brief:
                patient_s, brief_s, slow, idle = await asyncio.gather(
                    asyncio.to_thread(seconds_until_answered, patient, timeout_s=8, pause_s=0.1),
                    asyncio.to_thread(seconds_until_answered, brief, timeout_s=0.3, pause_s=3),
                    connections_of_slow_calls(slow_gateway.target),
                    connections_of_an_idle_client(it.target),
                )
                forgotten = [await asyncio.to_thread(each.closed_by_gateway.wait, LIMIT_S) for each in (patient, brief)]
        return Seen(
            patient_s=patient_s,
            brief_s=brief_s,
            forgotten=forgotten,
            connections_of_slow_calls=slow,
            connections_of_an_idle_client=idle,
        )

    return asyncio.run(scenes())


async def answer_slowly_where_asked(request: CommentaryRequest) -> str:
    await asyncio.sleep(45 if request.request_id == "slow" else 0)
    return await answer_well(request)


def seconds_until_answered(relay: SilentRelay, *, timeout_s: float, pause_s: float) -> float:
    """Silence a client's connection, and return after how long the same client is answered again."""
    with CommentaryClient(relay.target, timeout_s=timeout_s) as client:
        client.generate(ask(), timeout_s=5)
        relay.fall_silent()
        started = time.monotonic()
        while time.monotonic() - started < 2 * LIMIT_S:
            try:
                client.generate(ask())
            except ServiceError:
                time.sleep(pause_s)
            else:
                return time.monotonic() - started
    return float("inf")


async def connections_of_slow_calls(target: str) -> int:
    with relay_to(target) as relay, CommentaryClient(relay.target) as client:
        await asyncio.to_thread(client.generate, ask(request_id="slow"), timeout_s=60)
        await asyncio.sleep(15)  # idle, but for less time than a client stays connected
        await asyncio.to_thread(client.generate, ask(), timeout_s=60)
        return relay.num_connections


async def connections_of_an_idle_client(target: str) -> int:
    with relay_to(target) as relay, CommentaryClient(relay.target) as client:
        await asyncio.to_thread(client.generate, ask())
        await asyncio.sleep(45)
        relay.fall_silent()  # what happens to a connection that is closed does not matter
        await asyncio.to_thread(client.generate, ask(), timeout_s=5)
        return relay.num_connections


def test_a_client_is_answered_within_30_s_of_a_silence(seen: Seen) -> None:
    assert max(seen.patient_s, seen.brief_s) < LIMIT_S


def test_the_gateway_forgets_a_client_that_fell_silent(seen: Seen) -> None:
    assert seen.forgotten == [True, True]


def test_slow_answers_cost_no_connection_and_the_pings_meanwhile_are_permitted(seen: Seen) -> None:
    assert seen.connections_of_slow_calls == 1


def test_a_client_that_has_nothing_to_ask_leaves_and_comes_back_for_its_next_call(seen: Seen) -> None:
    assert seen.connections_of_an_idle_client == 2
