"""Admission in front of answers that the tests give at will."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest

from handlers.contract import CommentaryResponse, ModelIdentity
from serving.traffic.admission.admission import Admission
from serving.traffic.admission.counts import AdmissionCounts
from serving.traffic.admission.lanes import AdmissionLimits
from serving.traffic.admission.work import Work
from serving.workers.faults import Failure, InferenceError
from tests.serving.loopback_gateway import until

Send = Callable[[float], Awaitable[CommentaryResponse]]

ANSWER = CommentaryResponse(
    samples=(), model=ModelIdentity(name="lcgan", version="1"), genres_used=(), genres_unknown=()
)


class Site:
    """Admission to one worker, and what it was asked."""

    def __init__(self) -> None:
        limits = AdmissionLimits(workers=1, batch_size=1, batch_delay_s=0.002, response_timeout_s=60)
        self.admission = Admission(limits)
        self.counts = AdmissionCounts()
        self.asked: list[float] = []
        self.ended = 0
        self.release = asyncio.Event()

    async def held(self, start_by: float) -> CommentaryResponse:
        self.asked.append(start_by)
        await self.release.wait()
        return ANSWER

    async def quick(self, start_by: float) -> CommentaryResponse:
        self.asked.append(start_by)
        await asyncio.sleep(0.05)
        return ANSWER

    async def ask(self, send: Send, *, timeout_s: float = 5.0, heavy: bool = False) -> CommentaryResponse:
        async def sent(start_by: float, started: Callable[[], None]) -> CommentaryResponse:
            started()
            return await send(start_by)

        return await self.admission.ask(
            Work(sequences=2, tokens=32),
            sent,
            heavy=heavy,
            deadline=time.monotonic() + timeout_s,
            counts=self.counts,
            on_end=self._end,
        )

    def _end(self) -> None:
        self.ended += 1


def run(scene: Callable[[Site], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene(Site())

    asyncio.run(main())


async def code_of(asked: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(InferenceError) as caught:
        await asked
    return caught.value.code, caught.value.message


def test_a_place_is_held_until_the_answer_is_there_though_the_client_has_left() -> None:
    async def scene(it: Site) -> None:
        gone = asyncio.create_task(it.ask(it.held))
        await until(lambda: it.asked)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert gone.cancelled()
        assert (it.admission.in_flight, it.ended) == (1, 0)
        idle = asyncio.create_task(it.admission.wait_idle())
        await asyncio.sleep(0.01)
        assert not idle.done()
        it.release.set()
        await asyncio.wait_for(idle, 5)
        assert it.ended == 1
        assert (it.counts.left_decoding, it.counts.sequences, it.counts.sequences_wasted) == (1, 2, 2)

    run(scene)


def test_a_client_that_leaves_the_queue_is_never_asked_for() -> None:
    async def scene(it: Site) -> None:
        first = [asyncio.create_task(it.ask(it.held)) for _ in range(2)]
        await until(lambda: len(it.asked) == 2)
        gone = asyncio.create_task(it.ask(it.held))
        last = asyncio.create_task(it.ask(it.held))
        await until(lambda: it.admission.in_flight == 4)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert (it.admission.in_flight, it.counts.left_waiting) == (3, 1)
        it.release.set()
        assert await asyncio.gather(*first, last) == [ANSWER] * 3
        assert len(it.asked) == 3
        assert it.ended == 4

    run(scene)


@pytest.mark.parametrize("holders", [0, 2])
def test_a_deadline_ends_the_wait_in_the_queue_and_with_torchserve(holders: int) -> None:
    async def scene(it: Site) -> None:
        held = [asyncio.create_task(it.ask(it.held)) for _ in range(holders)]
        await until(lambda: len(it.asked) == holders)
        code, message = await code_of(it.ask(it.held, timeout_s=0.05))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert ("queue" in message) is bool(holders)
        assert it.counts.expired_waiting == (1 if holders else 0)
        it.release.set()
        await asyncio.gather(*held)
        await asyncio.wait_for(it.admission.wait_idle(), 5)

    run(scene)


def test_a_deadline_that_cannot_be_met_is_refused_at_once_and_the_reason_says_how_long_it_takes() -> None:
    async def scene(it: Site) -> None:
        for _ in range(3):
            await it.ask(it.quick)
        asked = len(it.asked)
        code, message = await code_of(it.ask(it.quick, timeout_s=0.01))
        assert len(it.asked) == asked
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert re.match(r"a request for 2 sequences takes 0\.\d+", message)
        assert "allow more time" in message
        assert (it.counts.refused_late, len(it.asked), it.ended) == (1, 3, 4)

    run(scene)


def test_the_latest_start_leaves_the_time_that_such_a_request_takes() -> None:
    async def scene(it: Site) -> None:
        for _ in range(2):
            await asyncio.sleep(0.03)  # the measure is computed anew
            expected = time.monotonic() + 5
            await it.ask(it.quick, timeout_s=5)
        first, second = it.asked
        assert first < second
        assert 0.03 < expected - second < 0.5

    run(scene)


@pytest.mark.parametrize("failure", [Failure.WORKER_DIED, Failure.NO_WORKER])
def test_a_request_whose_worker_is_lost_is_asked_once_more_and_then_fails(failure: Failure) -> None:
    async def scene(it: Site) -> None:
        async def lost(start_by: float) -> CommentaryResponse:
            it.asked.append(start_by)
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, "lost", failure=failure)

        assert await code_of(it.ask(lost)) == (grpc.StatusCode.UNAVAILABLE, "lost")
        assert (len(it.asked), it.counts.asked_again) == (2, 1)
        assert await it.ask(it.quick) == ANSWER

    run(scene)


def test_a_request_whose_client_has_left_is_not_asked_again() -> None:
    async def scene(it: Site) -> None:
        async def lost(start_by: float) -> CommentaryResponse:
            it.asked.append(start_by)
            await it.release.wait()
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, "lost", failure=Failure.WORKER_DIED)

        gone = asyncio.create_task(it.ask(lost))
        await until(lambda: it.asked)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        it.release.set()
        await asyncio.wait_for(it.admission.wait_idle(), 5)
        assert len(it.asked) == 1

    run(scene)


def test_what_the_worker_did_not_decode_is_counted_and_measures_nothing() -> None:
    async def scene(it: Site) -> None:
        async def late(_: float) -> CommentaryResponse:
            raise InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, "late", failure=Failure.TOO_LATE)

        for _ in range(3):
            assert await code_of(it.ask(late)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "late")
        assert (it.counts.dropped_late, it.counts.sequences) == (3, 0)
        assert await it.ask(it.quick) == ANSWER

    run(scene)


@pytest.mark.parametrize("fault", [RuntimeError("unforeseen"), asyncio.CancelledError()], ids=["error", "closed"])
def test_whatever_ends_a_call_reaches_the_client_and_frees_its_place(fault: BaseException) -> None:
    async def scene(it: Site) -> None:
        async def broken(_: float) -> CommentaryResponse:
            raise fault

        with pytest.raises((RuntimeError, InferenceError), match=r"unforeseen|being stopped"):
            await it.ask(broken)
        assert (it.admission.in_flight, it.ended) == (0, 1)

    run(scene)


def test_a_client_that_leaves_in_the_moment_of_its_turn_harms_no_other_and_leaks_nothing() -> None:
    async def scene(it: Site) -> None:
        others = [asyncio.create_task(it.ask(it.held)) for _ in range(2)]
        await until(lambda: len(it.asked) == 2)
        await asyncio.sleep(0.3)
        leaver = asyncio.create_task(it.ask(it.held, timeout_s=0.25))  # too little, as the answers will show
        await asyncio.sleep(0.01)
        it.release.set()
        # The cancellation reaches the answer now, and the coroutine after the answers of the others were noted.
        leaver.cancel()
        answers = await asyncio.gather(*others, leaver, return_exceptions=True)
        assert answers[:2] == [ANSWER, ANSWER]
        assert isinstance(answers[2], asyncio.CancelledError)
        await asyncio.wait_for(it.admission.wait_idle(), 5)
        assert (it.admission.in_flight, it.ended) == (0, 3)
        assert await it.ask(it.quick) is ANSWER

    run(scene)


def test_the_wait_for_a_batch_is_not_taken_for_the_time_of_a_decode() -> None:
    async def scene(it: Site) -> None:
        """A request that waits in the gateway for 0.4 s and is decoded in 0.05 s takes 0.05 s."""

        async def batched(start_by: float, started: Callable[[], None]) -> CommentaryResponse:
            await asyncio.sleep(0.4)
            started()
            assert time.monotonic() <= start_by
            await asyncio.sleep(0.05)
            return ANSWER

        for _ in range(3):
            answer = await it.admission.ask(
                Work(sequences=2, tokens=32),
                batched,
                heavy=False,
                deadline=time.monotonic() + 0.7,
                counts=it.counts,
            )
            assert answer is ANSWER

    run(scene)


def test_a_client_that_leaves_before_its_batch_is_sent_has_wasted_nothing_and_is_counted_once() -> None:
    async def scene(it: Site) -> None:
        wanted = [True]
        dropped = asyncio.Event()

        async def batched(_: float, __: Callable[[], None]) -> CommentaryResponse:
            await dropped.wait()
            assert not wanted[0]
            raise InferenceError(grpc.StatusCode.CANCELLED, "nobody waited", failure=Failure.TOO_LATE)

        asked = asyncio.create_task(
            it.admission.ask(
                Work(sequences=2, tokens=32), batched, heavy=False, deadline=time.monotonic() + 5, counts=it.counts
            )
        )
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        wanted[0] = False
        dropped.set()
        await asyncio.wait_for(it.admission.wait_idle(), 5)
        counts = it.counts
        assert (counts.left_waiting, counts.left_decoding, counts.dropped_late, counts.sequences_wasted) == (1, 0, 0, 0)

    run(scene)
