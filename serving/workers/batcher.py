"""Batches of requests, formed in front of the workers: one call carries all that wait when a worker becomes free.

A host such as TorchServe forms batches too, but it waits for a fixed time, puts heavy and light requests together, and
decodes what nobody waits for any more. Its cost is also one call per request: Java, a socket and a copy for each.

A batch is sent when a worker is free. Until then requests wait here, where late ones can be dropped. Requests of many
sequences go alone, so that no light request waits for their decode, and leave at least one worker to light ones.

A request that those before it would make late is refused when it arrives (`waiting`): its client can go elsewhere,
and nobody waits behind a request that is dropped in the end.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import grpc

from handlers.batches import decode_answers, encode_requests
from handlers.contract import CommentaryResponse, ContractError
from serving.telemetry.course import Attempt
from serving.workers.faults import InferenceError, in_band
from serving.workers.waiting import Batch, BatchLimits, Lane, Queue, Waiting, heavy_workers

_log = logging.getLogger(__name__)


class Batcher:
    """Former of one version's batches.

    Args:
        send: sends the JSON of a batch to the version's workers, and returns the JSON of its answers.
        num_workers: returns the number of workers that are able to answer, each one batch at a time.
        limits: limits of the batches.
        clock: the machine's monotonic clock, in seconds.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[bytes]],
        *,
        num_workers: Callable[[], int],
        limits: BatchLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._send = send
        self._num_workers = num_workers
        self._clock = clock
        self.queue: Final = Queue(limits=limits or BatchLimits())
        """Requests that wait, and batches that are sent."""
        self._heavy_next = False
        """Whether it is the heavy requests' turn, where both kinds wait."""
        self._dispatching = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(
        self,
        payload: bytes,
        *,
        samples: int,
        tokens: int = 0,
        is_heavy: bool = False,
        start_by: float | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
        started: Callable[[], None] = lambda: None,
        earlier_seeds: Sequence[int] = (),
        attempt: Attempt | None = None,
    ) -> CommentaryResponse:
        """Answer a request with the next batch that has room for it.

        Args:
            payload: JSON of the request.
            samples: number of samples that it asks for.
            tokens: number of tokens that its sequences are expected to have together.
            is_heavy: whether it goes alone.
            start_by: latest start of its decode, in seconds of the machine's monotonic clock; None for any.
            is_wanted: returns whether anybody still waits for the answer; asked when the batch is formed.
            started: called when the batch of the request is sent.
            earlier_seeds: seeds of the earlier samples, where it is a part of a request (`PARTS_CONTRACT`).
            attempt: is told its batch, where the request is traced and the worker reads that; else None.

        Raises:
            InferenceError: the request fails; it holds the status for the client.
        """
        queue = self.queue
        lane = queue.heavy if is_heavy else queue.light
        if start_by is not None:
            queue.check_wait(lane, tokens, start_by, workers=max(1, self._num_workers()), now=self._clock())
        loop = asyncio.get_running_loop()
        waiting = Waiting(
            payload=payload,
            samples=samples,
            tokens=tokens,
            start_by=start_by,
            is_wanted=is_wanted,
            started=started,
            earlier_seeds=earlier_seeds,
            attempt=attempt,
            answer=loop.create_future(),
        )
        lane.put(waiting)
        if not self._dispatching:
            # Not at once: requests that arrive in the same turn of the loop share a batch.
            self._dispatching = True
            loop.call_soon(self._dispatch)
        return await waiting.answer

    def forget_sent(self) -> None:
        """Count no batch as sent: the workers that had them are gone, and others took their place."""
        self.queue.sent.clear()
        self._dispatch()

    def _dispatch(self) -> None:
        """Send batches as long as a worker is free for them."""
        self._dispatching = False
        queue = self.queue
        while (lane := self._next_lane()) is not None:
            if requests := self._take(lane):
                began = self._clock() if len(queue.sent) < max(1, self._num_workers()) else None
                batch = Batch(requests=requests, is_heavy=lane is queue.heavy, began=began)
                queue.sent.append(batch)
                task = asyncio.get_running_loop().create_task(self._answer(batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _next_lane(self) -> Lane | None:
        """Return the lane whose next batch may be sent now."""
        queue, workers = self.queue, max(1, self._num_workers())
        light, heavy = queue.light, queue.heavy
        if len(queue.sent) >= workers:
            # A full batch may wait in the host, so that a worker that becomes free has it at once.
            full = len(light.waiting) >= queue.limits.max_requests and not heavy.waiting
            return light if full and len(queue.sent) == workers else None
        heavy_sent = sum(batch.is_heavy for batch in queue.sent)
        may_be_heavy = bool(heavy.waiting) and heavy_sent < heavy_workers(workers)
        if may_be_heavy and (self._heavy_next or not light.waiting):
            self._heavy_next = False
            return heavy
        if light.waiting:
            self._heavy_next = True
            return light
        return None

    def _take(self, lane: Lane) -> list[Waiting]:
        """Take the requests of the next batch: an even share for each free worker, a heavy request alone."""
        queue, limits = self.queue, self.queue.limits
        free = max(1, self._num_workers() - len(queue.sent))
        count = 1 if lane is queue.heavy else min(limits.max_requests, -(-len(lane.waiting) // free))
        batch: list[Waiting] = []
        samples, tokens, now = 0, 0, self._clock()
        while lane.waiting and len(batch) < count:
            waiting = lane.waiting[0]
            is_due = waiting.is_due(now)
            if is_due:
                samples, tokens = samples + waiting.samples, tokens + waiting.tokens
                if batch and (samples > limits.max_samples or tokens > limits.max_tokens):
                    break
                waiting.started()
                batch.append(waiting)
            lane.end_wait(sent=is_due)
        return batch

    async def _answer(self, batch: Batch) -> None:
        """Send a batch and give each of its requests its answer."""
        requests = batch.requests
        answers: Sequence[CommentaryResponse | InferenceError]
        _name_batch(requests)
        try:
            sent = await self._send(encode_requests(each.as_sent for each in requests))
            answers = [
                in_band(answer) if isinstance(answer, ContractError) else answer
                for answer in decode_answers(sent, count=len(requests))
            ]
        except InferenceError as fault:
            # An exception of its own for each: they are raised in different tasks.
            answers = [fault.copy() for _ in requests]
        except asyncio.CancelledError:  # the connection to the host was closed
            reason = "the worker host is being stopped; retry later"
            answers = [InferenceError(grpc.StatusCode.UNAVAILABLE, reason) for _ in requests]
        except Exception as fault:  # noqa: BLE001 - whatever it is, no request may wait for ever
            _log.exception("a batch of %d requests could not be sent", len(requests))
            reason = f"the batch could not be sent: {fault!r}"
            answers = [InferenceError(grpc.StatusCode.INTERNAL, reason) for _ in requests]
        for each, answer in zip(requests, answers, strict=True):
            if each.answer.done():
                continue
            if isinstance(answer, InferenceError):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)
        if batch in self.queue.sent:  # it was not forgotten
            decoded = zip(requests, answers, strict=True)
            tokens = sum(each.tokens for each, answer in decoded if not isinstance(answer, InferenceError))
            self.queue.end(batch, tokens, self._clock())
            self._dispatch()


def _name_batch(batch: list[Waiting]) -> None:
    """Tell the traced requests of a batch that they are one."""
    traced = [each.attempt for each in batch if each.attempt is not None]
    if traced:
        key = f"{random.getrandbits(64):016x}"
        for attempt in traced:
            attempt.batch_id, attempt.batch_requests = key, len(batch)
