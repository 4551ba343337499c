"""Batches of requests, formed in front of TorchServe: one call carries all that wait when a worker becomes free.

TorchServe forms batches too, but it waits for a fixed time, puts heavy and light requests together, and decodes what
nobody waits for any more. Its cost is also one call per request: Java, a socket and a copy for each.

A batch is sent when a worker is free. Until then requests wait here, where late ones can be dropped. Requests of many
sequences go alone, so that no light request waits for their decode, and leave at least one worker to light ones.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import grpc

from handlers.batches import decode_answers, encode_requests
from handlers.contract import CommentaryResponse, ContractError
from serving.telemetry.course import Attempt
from serving.torchserve.faults import Failure, InferenceError, in_band

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Limits of a version's batches.

    Raises:
        ValueError: a value is not positive.
    """

    max_requests: int = 64
    max_samples: int = 1024
    """Samples of a batch: an answer of more than 6.5 MB would end the worker, and a sample has 2 kB at most."""
    max_tokens: int = 80_000
    """Expected tokens of a batch: 64 requests with all their defaults. The slowest worker decodes 2,000 a second, so
    they take 40 s, and TorchServe ends a worker that does not answer for longer."""

    def __post_init__(self) -> None:
        for name in ("max_requests", "max_samples", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(slots=True, kw_only=True, eq=False)
class _Waiting:
    payload: bytes
    samples: int
    tokens: int
    start_by: float | None
    is_wanted: Callable[[], bool]
    started: Callable[[], None]
    earlier_seeds: Sequence[int]
    attempt: Attempt | None
    answer: asyncio.Future[CommentaryResponse]

    @property
    def as_sent(self) -> tuple[bytes, float | None, str, Sequence[int]]:
        """Its part of a batch; see `encode_requests`."""
        traceparent = self.attempt.traceparent if self.attempt is not None else ""
        return self.payload, self.start_by, traceparent, self.earlier_seeds


@dataclass(slots=True, kw_only=True)
class _Lane:
    """Requests that wait, and batches of them that workers have."""

    waiting: deque[_Waiting] = field(default_factory=deque)
    out: int = 0


class Batcher:
    """Former of one version's batches.

    Args:
        send: sends the JSON of a batch to the version's workers, and returns the JSON of its answers.
        num_workers: returns the number of workers that are able to answer, each one batch at a time.
        limits: limits of the batches.
    """

    def __init__(
        self,
        send: Callable[[bytes], Awaitable[bytes]],
        *,
        num_workers: Callable[[], int],
        limits: BatchLimits | None = None,
    ) -> None:
        self._send = send
        self._num_workers = num_workers
        self._limits = limits or BatchLimits()
        self._light, self._heavy = _Lane(), _Lane()
        self._heavy_next = False
        """Whether it is the heavy requests' turn, where both kinds wait."""
        self._dispatching = False
        self._generation = 0
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
        loop = asyncio.get_running_loop()
        waiting = _Waiting(
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
        lane = self._heavy if is_heavy else self._light
        lane.waiting.append(waiting)
        if not self._dispatching:
            # Not at once: requests that arrive in the same turn of the loop share a batch.
            self._dispatching = True
            loop.call_soon(self._dispatch)
        return await waiting.answer

    def forget_sent(self) -> None:
        """Count no batch as sent: the workers that had them are gone, and others took their place."""
        self._light.out = self._heavy.out = 0
        self._generation += 1
        self._dispatch()

    def _dispatch(self) -> None:
        """Send batches as long as a worker is free for them."""
        self._dispatching = False
        while (lane := self._next_lane()) is not None:
            if batch := self._take(lane):
                lane.out += 1
                task = asyncio.get_running_loop().create_task(self._answer(batch, lane))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _next_lane(self) -> _Lane | None:
        """Return the lane whose next batch may be sent now."""
        light, heavy, workers = self._light, self._heavy, max(1, self._num_workers())
        if light.out + heavy.out >= workers:
            # A full batch may wait in TorchServe, so that a worker that becomes free has it at once.
            full = len(light.waiting) >= self._limits.max_requests and not heavy.waiting
            return light if full and light.out + heavy.out == workers else None
        may_be_heavy = bool(heavy.waiting) and heavy.out < max(1, workers - 1)
        if may_be_heavy and (self._heavy_next or not light.waiting):
            self._heavy_next = False
            return heavy
        if light.waiting:
            self._heavy_next = True
            return light
        return None

    def _take(self, lane: _Lane) -> list[_Waiting]:
        """Take the requests of the next batch: an even share for each free worker, a heavy request alone."""
        free = max(1, self._num_workers() - self._light.out - self._heavy.out)
        count = 1 if lane is self._heavy else min(self._limits.max_requests, -(-len(lane.waiting) // free))
        batch: list[_Waiting] = []
        samples, tokens, now = 0, 0, time.monotonic()
        while lane.waiting and len(batch) < count:
            waiting = lane.waiting[0]
            if _is_due(waiting, now):
                samples, tokens = samples + waiting.samples, tokens + waiting.tokens
                if batch and (samples > self._limits.max_samples or tokens > self._limits.max_tokens):
                    break
                waiting.started()
                batch.append(waiting)
            lane.waiting.popleft()
        return batch

    async def _answer(self, batch: list[_Waiting], lane: _Lane) -> None:
        """Send a batch and give each of its requests its answer."""
        answers: Sequence[CommentaryResponse | InferenceError]
        generation = self._generation
        _name_batch(batch)
        try:
            sent = await self._send(encode_requests(each.as_sent for each in batch))
            answers = [
                in_band(answer) if isinstance(answer, ContractError) else answer
                for answer in decode_answers(sent, count=len(batch))
            ]
        except InferenceError as fault:
            # An exception of its own for each: they are raised in different tasks.
            answers = [fault.copy() for _ in batch]
        except asyncio.CancelledError:  # the connection to TorchServe was closed
            reason = "TorchServe is being stopped; retry later"
            answers = [InferenceError(grpc.StatusCode.UNAVAILABLE, reason) for _ in batch]
        except Exception as fault:  # noqa: BLE001 - whatever it is, no request may wait for ever
            _log.exception("a batch of %d requests could not be sent", len(batch))
            reason = f"the batch could not be sent: {fault!r}"
            answers = [InferenceError(grpc.StatusCode.INTERNAL, reason) for _ in batch]
        for each, answer in zip(batch, answers, strict=True):
            if each.answer.done():
                continue
            if isinstance(answer, InferenceError):
                each.answer.set_exception(answer)
            else:
                each.answer.set_result(answer)
        if generation == self._generation:
            lane.out -= 1
            self._dispatch()


def _name_batch(batch: list[_Waiting]) -> None:
    """Tell the traced requests of a batch that they are one."""
    traced = [each.attempt for each in batch if each.attempt is not None]
    if traced:
        key = f"{random.getrandbits(64):016x}"
        for attempt in traced:
            attempt.batch_id, attempt.batch_requests = key, len(batch)


def _is_due(waiting: _Waiting, now: float) -> bool:
    """Return whether a request is to be sent; if not, it is answered."""
    if waiting.answer.done():  # its caller is gone
        return False
    if not waiting.is_wanted():
        code, reason = grpc.StatusCode.CANCELLED, "nobody waited for the answer any more when a worker was free"
    elif waiting.start_by is not None and now > waiting.start_by:
        code, reason = grpc.StatusCode.DEADLINE_EXCEEDED, "too little of the deadline was left when a worker was free"
    else:
        return True
    waiting.answer.set_exception(InferenceError(code, reason, failure=Failure.TOO_LATE))
    return False
