"""Pauses for refused clients: of many clients at once, computed and over a real gateway."""

from __future__ import annotations

import asyncio
import heapq
import random
import time

import grpc
import pytest

from handlers.contract import CommentaryRequest
from serving.gateway.pushback import LONGEST_S, SHORTEST_S, Pushback
from tests.serving.loopback_gateway import Bench, answer_well, bench

LIMIT = 256


def simulate(num_clients: int, *, rate: float, refusal_cost_s: float = 0.00015, seconds: float = 20) -> float:
    """Answers per second to clients that ask again at once when they are answered, and after their pause when refused.

    Answers and refusals take their time from one processor, which would answer `rate` requests a second.
    """
    pushback = Pushback(max_in_flight=LIMIT)
    events = [(random.uniform(0, 0.05), client, False) for client in range(num_clients)]
    heapq.heapify(events)
    in_flight = answers = 0
    busy_until = 0.0
    while events[0][0] < seconds:
        now, client, ends = heapq.heappop(events)
        if ends:
            in_flight -= 1
            answers += 1
            pushback.note_answer(now)
            heapq.heappush(events, (now, client, False))
        elif in_flight < LIMIT:
            in_flight += 1
            busy_until = max(busy_until, now) + 1 / rate
            heapq.heappush(events, (busy_until, client, True))
        else:
            busy_until = max(busy_until, now) + refusal_cost_s
            heapq.heappush(events, (now + pushback.draw_s(now), client, False))
    return answers / seconds


@pytest.mark.slow
@pytest.mark.parametrize("rate", [100, 2000])
@pytest.mark.parametrize("num_clients", [300, 600, 2000])
def test_a_crowd_of_refused_clients_takes_less_than_a_tenth_of_the_answers(num_clients: int, rate: float) -> None:
    random.seed(num_clients)
    assert simulate(num_clients, rate=rate) >= 0.9 * simulate(200, rate=rate)


def test_pauses_stay_within_their_bounds_differ_and_grow_with_the_crowd() -> None:
    random.seed(5)
    pushback = Pushback(max_in_flight=LIMIT)
    few = [pushback.draw_s(0.001 * number) for number in range(20)]
    many = [pushback.draw_s(0.1 + 0.0001 * number) for number in range(20_000)]
    assert min(few) >= SHORTEST_S
    assert max(few) < 0.2
    assert max(many) == LONGEST_S
    assert len(set(few)) > 10


def test_a_crowd_that_has_gone_is_forgotten() -> None:
    pushback = Pushback(max_in_flight=LIMIT)
    for number in range(5000):
        pushback.draw_s(0.001 * number)
    assert pushback.draw_s(5.0) > 0.5
    assert pushback.draw_s(30.0) < 0.1


def test_the_more_is_answered_the_sooner_clients_may_come_back() -> None:
    pauses = []
    for answers in (0, 20_000):
        random.seed(9)
        pushback = Pushback(max_in_flight=LIMIT)
        for _ in range(answers):
            pushback.note_answer(0.0)
        pauses.append(sum(pushback.draw_s(0.0) for _ in range(2000)))
    assert pauses[1] < pauses[0] / 3


async def pause_asked(it: Bench) -> int | None:
    """Ask once, and return the pause in ms that a refused client is asked for; None where it is answered."""
    try:
        await it.generate(timeout_s=10)
    except grpc.aio.AioRpcError as failure:
        metadata = dict(failure.trailing_metadata() or ())
        return int(metadata["grpc-retry-pushback-ms"])
    return None


@pytest.mark.slow
@pytest.mark.alone
def test_a_crowd_at_a_real_gateway_costs_little_and_is_asked_for_longer_pauses() -> None:
    async def goodput(num_clients: int) -> tuple[float, list[int]]:
        capacity = asyncio.Semaphore(4)
        pauses: list[int] = []
        answers = 0

        async def answer(request: CommentaryRequest) -> str:
            async with capacity:
                await asyncio.sleep(0.02)  # 200 requests a second
            return await answer_well(request)

        async with bench(answer, max_in_flight=16) as it:
            stop = time.monotonic() + 4

            async def client() -> None:
                nonlocal answers
                while time.monotonic() < stop:
                    pause_ms = await pause_asked(it)
                    if pause_ms is None:
                        answers += 1
                    else:
                        pauses.append(pause_ms)
                        await asyncio.sleep(pause_ms / 1000)

            await asyncio.gather(*(client() for _ in range(num_clients)))
        return answers / 4, pauses

    async def scene() -> None:
        alone, no_pauses = await goodput(12)
        crowded, pauses = await goodput(150)
        assert no_pauses == []
        assert crowded >= 0.85 * alone
        assert sorted(pauses)[len(pauses) // 2] > 500
        assert len(pauses) < crowded * 4  # fewer refusals than answers

    asyncio.run(scene())
