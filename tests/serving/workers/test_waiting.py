"""Refusals of requests that would be late: a batcher in front of simulated workers, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from handlers.batches import decode_requests, encode_answers
from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, encode_answer
from serving.workers.batcher import Batcher
from serving.workers.faults import Failure, InferenceError
from serving.workers.waiting import BatchLimits
from tests.serving.virtual_time import run_in_virtual_time

Clock = Callable[[], float]
TOKENS = 1000
FIXED_S, PER_REQUEST_S = 0.05, 0.01
PER_TOKEN_S = PER_REQUEST_S / TOKENS
ANSWER = encode_answer(
    CommentaryResponse(
        samples=(), model=ModelIdentity(name="lcgan", version="1"), genres_used=(), genres_unknown=(), request_id=""
    )
)


@dataclass
class Site:
    """A batcher and its workers: TorchServe's queue, and a time for a batch that varies by `jitter`."""

    clock: Clock
    workers: int = 1
    jitter: float = 0.0
    limits: BatchLimits = field(default_factory=lambda: BatchLimits(max_requests=8))
    slow: float = 1.0
    """Factor of the workers' times."""
    sizes: tuple[int, ...] = (TOKENS,)
    """Expected tokens of requests, one of which each has by chance."""

    def __post_init__(self) -> None:
        self.random = random.Random(3)
        self.begun: dict[int | None, float] = {}
        """Moment at which a worker began to decode each request, by its seed."""
        self.tokens: dict[int | None, int] = {}
        """Expected tokens of each request, by its seed."""
        self.seeds = itertools.count()
        self.free = asyncio.Semaphore(self.workers)
        self.batcher = Batcher(self._send, num_workers=lambda: self.workers, limits=self.limits, clock=self.clock)

    async def _send(self, payload: bytes) -> bytes:
        batch = [each.parsed for each in decode_requests(payload)]
        seeds = [each.seed for each in batch if isinstance(each, CommentaryRequest)]
        number = len(seeds)
        async with self.free:
            self.begun |= dict.fromkeys(seeds, self.clock())
            varied = self.random.uniform(1 - self.jitter, 1 + self.jitter)
            tokens = sum(self.tokens[seed] for seed in seeds)
            await asyncio.sleep(self.slow * varied * (FIXED_S + PER_TOKEN_S * tokens))
        return encode_answers([ANSWER] * number).encode()

    async def ask(self, wait_s: float | None = None, **options: Any) -> float:
        """Ask, and return the time until a worker began to decode the request; see `Batcher.ask`."""
        asked, seed = self.clock(), next(self.seeds)
        tokens = self.tokens[seed] = self.sizes[0] if len(self.sizes) == 1 else self.random.choice(self.sizes)
        start_by = None if wait_s is None else asked + wait_s
        payload = CommentaryRequest(seed=seed).to_json()
        await self.batcher.ask(payload, samples=1, tokens=tokens, start_by=start_by, **options)
        return self.begun[seed] - asked

    async def learn(self, batches: int = 4) -> None:
        """Let the batcher see batches of one request, and full ones."""
        for number in (1, self.limits.max_requests):
            for _ in range(batches):
                await asyncio.gather(*(self.ask() for _ in range(number)))

    @contextlib.asynccontextmanager
    async def queue(self, number: int) -> Any:
        """Let so many requests wait or run within the block."""
        tasks = [asyncio.create_task(self.ask()) for _ in range(number)]
        await asyncio.sleep(0.001)
        yield tasks
        await asyncio.gather(*tasks, return_exceptions=True)


def scene(test: Callable[[Site], Awaitable[None]], **site: Any) -> None:
    async def run(clock: Clock) -> None:
        await test(Site(clock, **site))

    run_in_virtual_time(run)


def test_a_request_that_those_before_it_would_make_late_is_refused_at_once_with_the_pause_that_it_needs() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        async with it.queue(30):  # 8 with the worker, 8 in TorchServe, 14 here
            asked = it.clock()
            with pytest.raises(InferenceError, match="allow more time") as caught:
                await it.ask(wait_s=0.1)
            assert it.clock() == asked
            fault = caught.value
            assert (fault.code, fault.failure) == (grpc.StatusCode.RESOURCE_EXHAUSTED, Failure.QUEUE_TOO_LONG)
            assert 0 < fault.retry_after_s < 0.4
            assert fault.copy().retry_after_s == fault.retry_after_s

    scene(test)


def test_a_request_that_has_just_enough_time_is_not_refused() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        async with it.queue(30):
            waited = await it.ask()
        async with it.queue(30):
            assert await it.ask(wait_s=waited + 0.001) == pytest.approx(waited)

    scene(test)


@pytest.mark.parametrize("is_heavy", [False, True])
def test_where_nobody_waits_no_request_is_refused_however_little_time_it_has(is_heavy: bool) -> None:
    async def test(it: Site) -> None:
        await it.learn()
        await it.ask(wait_s=0.0, is_heavy=is_heavy)
        async with it.queue(8):  # the worker has a batch, and a request waits for it in vain
            with pytest.raises(InferenceError) as caught:
                await it.ask(wait_s=0.0, is_heavy=is_heavy)
        assert caught.value.failure is Failure.TOO_LATE

    scene(test)


def test_a_burst_of_heavy_requests_is_accepted_as_far_as_the_workers_that_they_may_have_answer_it_in_time() -> None:
    async def test(it: Site) -> None:
        it.slow = 20.0  # a heavy request takes 1.2 s, more or less
        for _ in range(6):
            await it.ask(is_heavy=True)
        outcomes = await asyncio.gather(
            *(it.ask(wait_s=10.0, is_heavy=True) for _ in range(60)), return_exceptions=True
        )
        failures = [each.failure for each in outcomes if isinstance(each, InferenceError)]
        started = sum(isinstance(each, float) for each in outcomes)
        assert 7 <= started <= 9, "one of two workers, for ten seconds"
        assert failures.count(Failure.TOO_LATE) <= 3
        assert failures.count(Failure.QUEUE_TOO_LONG) == 60 - started - failures.count(Failure.TOO_LATE)

    scene(test, workers=2, jitter=0.3)


def test_before_any_batch_is_measured_no_request_is_refused() -> None:
    async def test(it: Site) -> None:
        async with it.queue(30):
            with pytest.raises(InferenceError) as caught:
                await it.ask(wait_s=0.01)
        assert caught.value.failure is Failure.TOO_LATE

    scene(test)


def test_a_batch_before_ones_own_counts_as_full_though_few_are_in_the_last_one() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        async with it.queue(24):  # 8 with the worker, 8 in its host, 8 here: the new one is alone in its batch
            waited = await it.ask()
        async with it.queue(24):
            with pytest.raises(InferenceError) as caught:
                await it.ask(wait_s=waited - 0.01)
        assert caught.value.failure is Failure.QUEUE_TOO_LONG

    scene(test)


def test_those_that_have_left_are_in_nobodys_way() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        async with it.queue(16), it.queue(60) as leavers:
            for each in leavers:
                each.cancel()
            assert await it.ask(wait_s=0.3) < 0.3

    scene(test)


def test_where_most_leave_before_their_turn_the_queue_is_taken_to_be_as_much_shorter() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        for _ in range(40):
            async with it.queue(16), it.queue(8) as leavers:
                for each in leavers:
                    each.cancel()
        async with it.queue(16), it.queue(24) as leavers:
            # All 40 would take 0.65 s, the two thirds of those that wait 0.52 s.
            asked = asyncio.create_task(it.ask(wait_s=0.58))
            await asyncio.sleep(0.001)
            for each in leavers:
                each.cancel()
            assert await asked < 0.58

    scene(test)


def test_a_heavy_request_is_refused_for_the_heavy_ones_before_it() -> None:
    async def test(it: Site) -> None:
        for _ in range(4):
            await it.ask(is_heavy=True)
        heavy = [asyncio.create_task(it.ask(is_heavy=True)) for _ in range(6)]
        await asyncio.sleep(0.001)
        with pytest.raises(InferenceError) as caught:
            await it.ask(wait_s=0.2, is_heavy=True)
        assert caught.value.failure is Failure.QUEUE_TOO_LONG
        await it.ask(wait_s=0.2)  # a light one has its turn earlier
        await asyncio.gather(*heavy)

    scene(test)


@dataclass
class Course:
    """What became of requests that had a deadline."""

    refused: int = 0
    checked: int = 0
    """Refused ones in place of which another request asked at the same moment, with all the time of the world."""
    refused_wrongly: int = 0
    """Those of them for which the other one was in time."""
    late: int = 0
    """Waited in vain until they were late."""
    in_time: int = 0


@pytest.mark.parametrize(
    ("workers", "load", "sizes"),
    [
        (1, 0.8, (TOKENS,)),
        (2, 0.8, (TOKENS,)),
        (1, 1.5, (TOKENS,)),
        (2, 1.5, (TOKENS,)),
        (2, 1.5, (TOKENS // 10, TOKENS // 3, TOKENS, 3 * TOKENS)),
    ],
    ids=["one", "two", "one busy", "two busy", "two busy, of all sizes"],
)
def test_a_busy_crowd_with_short_deadlines_is_refused_where_it_would_be_late_and_nowhere_else(
    workers: int, load: float, sizes: tuple[int, ...]
) -> None:
    """Times of batches vary by 30%, and every twentieth request has left before its turn."""
    course = Course()

    async def one(it: Site, wait_s: float) -> None:
        try:
            await it.ask(wait_s)
        except InferenceError as fault:
            if fault.failure is not Failure.QUEUE_TOO_LONG:
                course.late += 1
                return
            course.refused += 1
            if course.refused % 4 == 0:  # to ask in place of all would make the queue another one
                course.checked += 1
                course.refused_wrongly += await it.ask() <= wait_s
        else:
            course.in_time += 1

    async def test(it: Site) -> None:
        await it.learn()
        rate = load * workers * 8 / (FIXED_S + 8 * PER_REQUEST_S)
        tasks = set[asyncio.Task[None]]()
        for number in range(1500):
            await asyncio.sleep(it.random.expovariate(rate))
            task = asyncio.create_task(one(it, it.random.uniform(0.02, 0.6)))
            tasks.add(task)
            if number % 20 == 0:
                asyncio.get_running_loop().call_later(0.05, task.cancel)
        await asyncio.gather(*tasks, return_exceptions=True)

    scene(test, workers=workers, jitter=0.3, sizes=sizes)
    assert course.refused_wrongly == 0
    if load > 1:
        assert course.checked > 50
        assert course.refused > (3 if len(sizes) == 1 else 1.5) * course.late


def test_workers_that_become_quicker_are_believed_with_their_next_batch() -> None:
    async def test(it: Site) -> None:
        await it.learn()
        it.slow = 0.25
        async with it.queue(30):
            pass
        async with it.queue(30):
            assert await it.ask(wait_s=0.15) <= 0.15

    scene(test)
