from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from handlers.batches import decode_requests, encode_answers
from handlers.contract import (
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    encode_answer,
)
from serving.telemetry.course import Course
from serving.workers.batcher import Batcher
from serving.workers.faults import Failure, InferenceError
from serving.workers.waiting import BatchLimits


@dataclass
class Workers:
    """Workers that answer a batch each when the test says so."""

    batches: list[list[int]] = field(default_factory=list)
    """Seeds of the requests of each batch, in the order in which they were sent."""
    traces: list[list[str]] = field(default_factory=list)
    """Contexts of their traces, likewise."""
    held: list[asyncio.Future[None]] = field(default_factory=list)
    fault: InferenceError | None = None

    async def send(self, payload: bytes) -> bytes:
        batch = decode_requests(payload)
        requests = [each.parsed for each in batch]
        self.traces.append([each.traceparent for each in batch])
        seeds = [each.seed or 0 for each in requests if isinstance(each, CommentaryRequest)]
        self.batches.append(seeds)
        hold: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held.append(hold)
        await hold
        if self.fault is not None:
            raise self.fault
        return encode_answers([_answer(seed) for seed in seeds]).encode()

    def finish(self, number: int) -> None:
        self.held[number].set_result(None)


def _answer(seed: int) -> str:
    if seed == 13:
        return encode_answer(ContractError(ErrorCode.INVALID_ARGUMENT, "genres", "refused on purpose"))
    model = ModelIdentity(name="lcgan", version="1")
    return encode_answer(
        CommentaryResponse(samples=(), model=model, genres_used=(), genres_unknown=(), request_id=str(seed))
    )


def _ask(batcher: Batcher, seed: int, *, samples: int = 1, **options: Any) -> asyncio.Task[CommentaryResponse]:
    return asyncio.create_task(batcher.ask(CommentaryRequest(seed=seed).to_json(), samples=samples, **options))


async def _settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def _run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 20))


def _batcher(workers: Workers, num_workers: int = 1, **limits: int) -> Batcher:
    return Batcher(workers.send, num_workers=lambda: num_workers, limits=BatchLimits(**limits))


def test_requests_that_arrive_while_the_workers_are_busy_share_the_next_batch() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        first = _ask(batcher, 1)
        await _settle()
        others = [_ask(batcher, seed) for seed in (2, 3, 4)]
        await _settle()
        assert workers.batches == [[1]]
        workers.finish(0)
        assert (await first).request_id == "1"
        await _settle()
        assert workers.batches == [[1], [2, 3, 4]]
        workers.finish(1)
        assert [(await each).request_id for each in others] == ["2", "3", "4"]

    _run(test())


def test_requests_of_one_moment_are_shared_out_evenly_over_free_workers() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 2)
        asked = [_ask(batcher, seed) for seed in range(5)]
        await _settle()
        assert [len(batch) for batch in workers.batches] == [3, 2]
        workers.finish(0)
        workers.finish(1)
        await asyncio.gather(*asked)

    _run(test())


def test_a_full_batch_waits_in_torchserve_and_no_more_than_one() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 1, max_requests=2)
        asked = [_ask(batcher, seed) for seed in range(6)]
        await _settle()
        assert workers.batches == [[0, 1], [2, 3]]
        for number in range(3):
            workers.finish(number)
            await _settle()
        await asyncio.gather(*asked)
        assert workers.batches == [[0, 1], [2, 3], [4, 5]]

    _run(test())


def test_a_batch_has_no_more_samples_than_an_answer_may_hold() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 1, max_samples=10)
        asked = [_ask(batcher, 1), *(_ask(batcher, seed, samples=4) for seed in (2, 3, 4))]
        asked.append(_ask(batcher, 5, samples=64))  # more than the limit, and alone
        for number in range(3):
            await _settle()
            workers.finish(number)
        await asyncio.gather(*asked)
        assert workers.batches == [[1, 2, 3], [4], [5]]

    _run(test())


def test_a_batch_has_no_more_tokens_than_its_worker_decodes_in_time() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 1, max_tokens=1000)
        asked = [_ask(batcher, seed, tokens=400) for seed in (1, 2, 3)] + [_ask(batcher, 4, tokens=5000)]
        late = _ask(batcher, 5, tokens=900, start_by=time.monotonic() - 1)
        for number in range(3):
            await _settle()
            workers.finish(number)
        await asyncio.gather(*asked)
        with pytest.raises(InferenceError):
            await late
        assert workers.batches == [[1, 2], [3], [4]]

    _run(test())


def test_a_heavy_request_has_its_turn_however_many_light_ones_wait() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 1, max_requests=2)
        asked = [_ask(batcher, seed) for seed in range(12)]
        asked.append(_ask(batcher, 101, is_heavy=True))
        number = 0
        await _settle()
        while number < len(workers.held):
            workers.finish(number)
            await _settle()
            number += 1
        await asyncio.gather(*asked)
        assert workers.batches[:3] == [[0, 1], [101], [2, 3]]

    _run(test())


def test_a_batch_goes_to_a_worker_that_is_ready_and_not_to_one_that_is_still_starting() -> None:
    async def test() -> None:
        workers, ready = Workers(), [1]
        batcher = Batcher(workers.send, num_workers=lambda: ready[0])
        asked = [_ask(batcher, 1)]
        await _settle()
        asked.append(_ask(batcher, 2))
        await _settle()
        assert workers.batches == [[1]]
        ready[0] = 2
        asked.append(_ask(batcher, 3))
        await _settle()
        assert workers.batches == [[1], [2, 3]]
        for number in range(2):
            workers.finish(number)
        await asyncio.gather(*asked)

    _run(test())


def test_workers_that_took_the_place_of_others_get_batches_although_the_old_ones_never_answered() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        lost = _ask(batcher, 1)
        await _settle()
        waiting = _ask(batcher, 2)
        await _settle()
        batcher.forget_sent()
        await _settle()
        workers.finish(1)
        assert (await waiting).request_id == "2"
        workers.finish(0)  # late, and of no account
        await lost
        last = [_ask(batcher, 3), _ask(batcher, 4)]
        await _settle()
        assert workers.batches == [[1], [2], [3, 4]]
        workers.finish(2)
        await asyncio.gather(*last)

    _run(test())


def test_a_request_starts_when_its_batch_is_sent() -> None:
    async def test() -> None:
        workers, started = Workers(), list[int]()
        batcher = _batcher(workers)
        asked = [_ask(batcher, seed, started=lambda seed=seed: started.append(seed)) for seed in (1,)]
        await _settle()
        asked.append(_ask(batcher, 2, started=lambda: started.append(2)))
        await _settle()
        assert started == [1]
        workers.finish(0)
        await _settle()
        assert started == [1, 2]
        workers.finish(1)
        await asyncio.gather(*asked)

    _run(test())


def test_a_heavy_request_goes_alone_and_leaves_a_worker_to_light_ones() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers, 2)
        heavy = [_ask(batcher, seed, is_heavy=True) for seed in (101, 102, 103)]
        await _settle()
        assert workers.batches == [[101]]
        light = [_ask(batcher, seed) for seed in (1, 2)]
        await _settle()
        assert workers.batches == [[101], [1, 2]]
        workers.finish(1)
        assert [(await each).request_id for each in light] == ["1", "2"]
        await _settle()
        assert workers.batches == [[101], [1, 2]]
        workers.finish(0)
        await _settle()
        assert workers.batches[2:] == [[102]]
        workers.finish(2)
        await _settle()
        workers.finish(3)
        await asyncio.gather(*heavy)

    _run(test())


def test_a_single_worker_takes_heavy_and_light_requests_in_turn() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        asked = [_ask(batcher, 1)]
        await _settle()
        asked += [_ask(batcher, seed, is_heavy=True) for seed in (101, 102)]
        asked += [_ask(batcher, seed) for seed in (2, 3)]
        for number in range(4):
            await _settle()
            workers.finish(number)
        await asyncio.gather(*asked)
        assert workers.batches == [[1], [101], [2, 3], [102]]

    _run(test())


def test_a_request_that_is_late_or_that_nobody_waits_for_any_more_is_not_sent() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        first = _ask(batcher, 1)
        await _settle()
        late, gone, kept = _ask(batcher, 2, start_by=time.monotonic() - 0.001), _ask(batcher, 3), _ask(batcher, 4)
        await _settle()
        gone.cancel()
        workers.finish(0)
        await first
        with pytest.raises(InferenceError) as caught:
            await late
        assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
        await _settle()
        assert workers.batches == [[1], [4]]
        workers.finish(1)
        await kept

    _run(test())


def test_an_error_of_one_request_is_its_own_and_a_fault_of_the_call_is_that_of_each() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        asked = [_ask(batcher, 13), _ask(batcher, 2)]
        await _settle()
        workers.finish(0)
        with pytest.raises(InferenceError) as refused:
            await asked[0]
        assert (refused.value.code, refused.value.field) == (grpc.StatusCode.INVALID_ARGUMENT, "genres")
        assert (await asked[1]).request_id == "2"
        workers.fault = InferenceError(grpc.StatusCode.UNAVAILABLE, "Worker died.")
        asked = [_ask(batcher, 3), _ask(batcher, 4)]
        await _settle()
        workers.finish(1)
        for each in asked:
            with pytest.raises(InferenceError, match="Worker died"):
                await each
        workers.fault = None
        last = _ask(batcher, 5)
        await _settle()
        workers.finish(2)
        assert (await last).request_id == "5"

    _run(test())


def test_a_fault_that_nobody_foresaw_leaves_no_request_waiting() -> None:
    async def test() -> None:
        async def send(_: bytes) -> bytes:
            raise OSError("on purpose")

        batcher = Batcher(send, num_workers=lambda: 1)
        for _ in range(2):  # the worker counts as free again
            with pytest.raises(InferenceError, match="on purpose") as caught:
                await _ask(batcher, 1)
            assert caught.value.code is grpc.StatusCode.INTERNAL

    _run(test())


def test_a_connection_that_is_closed_leaves_no_request_waiting_and_no_worker_busy() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        asked = [_ask(batcher, 1), _ask(batcher, 2)]
        await _settle()
        workers.held[0].cancel()
        for each in asked:
            with pytest.raises(InferenceError) as caught:
                await each
            assert caught.value.code is grpc.StatusCode.UNAVAILABLE
        again = _ask(batcher, 3)
        await _settle()
        workers.finish(1)
        assert (await again).request_id == "3"

    _run(test())


@pytest.mark.parametrize("name", ["max_requests", "max_samples", "max_tokens"])
def test_a_limit_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        BatchLimits(**{name: 0})


def test_a_request_that_nobody_waits_for_any_more_is_dropped_before_it_is_sent() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        first = _ask(batcher, 1)
        await _settle()
        is_wanted = True
        payload = CommentaryRequest(seed=2).to_json()
        asking = batcher.ask(payload, samples=1, is_wanted=lambda: is_wanted)
        gone, last = asyncio.create_task(asking), _ask(batcher, 3)
        await _settle()
        is_wanted = False
        workers.finish(0)
        await first
        with pytest.raises(InferenceError, match="nobody waited") as caught:
            await gone
        assert caught.value.failure is Failure.TOO_LATE
        workers.finish(1)
        await last
        assert workers.batches == [[1], [3]]

    _run(test())


def test_the_traced_requests_of_a_batch_are_told_its_key_and_its_size() -> None:
    async def test() -> None:
        workers = Workers()
        batcher = _batcher(workers)
        first, second, alone = (Course(trace_id=7, model="lcgan", version="1").begin_attempt() for _ in range(3))
        asked = [_ask(batcher, 1, attempt=first), _ask(batcher, 2), _ask(batcher, 3, attempt=second)]
        await _settle()
        asked.append(_ask(batcher, 4, attempt=alone))
        await _settle()
        workers.finish(0)
        await _settle()
        workers.finish(1)
        await asyncio.gather(*asked)
        assert workers.batches == [[1, 2, 3], [4]]
        assert workers.traces == [[first.traceparent, "", second.traceparent], [alone.traceparent]]
        assert (first.batch_requests, second.batch_requests, alone.batch_requests) == (3, 3, 1)
        assert first.batch_id == second.batch_id != alone.batch_id

    _run(test())
