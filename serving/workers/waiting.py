"""Requests that wait for a batch, batches that are sent, and whether a new request could start in time behind them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import grpc

from handlers.contract import CommentaryResponse
from serving.telemetry.course import Attempt
from serving.workers.faults import Failure, InferenceError
from serving.workers.forecast import RecentBatches, earliest_start

_SMOOTHING: Final = 1 / 64


def heavy_workers(workers: int) -> int:
    """Return how many of a version's workers may have heavy requests: all but one, where there are several."""
    return max(1, workers - 1)


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
    they take 40 s, and a host ends a worker that does not answer for longer."""

    def __post_init__(self) -> None:
        for name in ("max_requests", "max_samples", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(slots=True, kw_only=True, eq=False)
class Waiting:
    """A request that waits; see `Batcher.ask`."""

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

    @property
    def is_left(self) -> bool:
        """Whether nobody waits for the answer any more."""
        return self.answer.done() or not self.is_wanted()

    def is_due(self, now: float) -> bool:
        """Return whether it is to be sent; if not, it is answered."""
        if self.answer.done():  # its caller is gone
            return False
        if not self.is_wanted():
            code, reason = grpc.StatusCode.CANCELLED, "nobody waited for the answer any more when a worker was free"
        elif self.start_by is not None and now > self.start_by:
            code, reason = (
                grpc.StatusCode.DEADLINE_EXCEEDED,
                "too little of the deadline was left when a worker was free",
            )
        else:
            return True
        self.answer.set_exception(InferenceError(code, reason, failure=Failure.TOO_LATE))
        return False


@dataclass(slots=True, kw_only=True, eq=False)
class Lane:
    """Requests of one kind, light or heavy, that wait."""

    waiting: deque[Waiting] = field(default_factory=deque)
    tokens: int = 0
    """Expected tokens of all of them."""
    sent_share: float = 1.0
    """Share of those that waited lately which were sent in the end; the others had left, or were late."""

    def put(self, waiting: Waiting) -> None:
        """Let a request wait."""
        self.waiting.append(waiting)
        self.tokens += waiting.tokens

    def end_wait(self, *, sent: bool) -> None:
        """Take the first request away."""
        self.tokens -= self.waiting.popleft().tokens
        self.sent_share += (sent - self.sent_share) * _SMOOTHING

    def ahead(self) -> tuple[int, int]:
        """Return the number and the tokens of those that will be sent before a new one, by the share of late."""
        wanted = [each.tokens for each in self.waiting if not each.is_left]
        return int(len(wanted) * self.sent_share), int(sum(wanted) * self.sent_share)


@dataclass(slots=True, kw_only=True, eq=False)
class Batch:
    """A batch that was sent and is not answered yet."""

    requests: list[Waiting]
    is_heavy: bool
    began: float | None
    """Moment from which a worker was free for it; None while it waits in the host."""

    @property
    def tokens(self) -> int:
        """Expected tokens of its requests."""
        return sum(each.tokens for each in self.requests)


@dataclass(slots=True, kw_only=True)
class Queue:
    """Everything of one version that is in the way of a new request. Times are seconds of the monotonic clock."""

    limits: BatchLimits
    light: Lane = field(default_factory=Lane)
    heavy: Lane = field(default_factory=Lane)
    sent: list[Batch] = field(default_factory=list)
    recent: RecentBatches = field(default_factory=RecentBatches)

    def end(self, batch: Batch, tokens: int, now: float) -> None:
        """Forget a batch that is answered, and remember how long its worker took for so many tokens."""
        self.sent.remove(batch)
        if batch.began is not None and tokens:
            self.recent.note(tokens, now - batch.began, now)
        waiting = next((each for each in self.sent if each.began is None), None)
        if waiting is not None:
            waiting.began = now

    def check_wait(self, lane: Lane, tokens: int, start_by: float, *, workers: int, now: float) -> None:
        """Refuse a request that cannot start in time behind those that wait. The first of a queue may always try.

        Args:
            lane: its lane.
            tokens: its expected tokens.
            start_by: latest start of its decode.
            workers: workers that are able to answer.
            now: the present moment.

        Raises:
            InferenceError: RESOURCE_EXHAUSTED, with the pause after which there may be room.
        """
        if not lane.waiting and all(each.began is not None for each in self.sent):
            return
        # Those that have left count as well at first: who they are takes longer to find out, and seldom matters.
        everybody = len(lane.waiting), lane.tokens
        if self._start(lane, everybody, tokens, workers=workers, now=now) <= start_by:
            return
        start = self._start(lane, lane.ahead(), tokens, workers=workers, now=now)
        if start > start_by:
            raise InferenceError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the requests before this one are forecast to take {start - now:.2g} s, and its deadline leaves them "
                f"{max(0.0, start_by - now):.2g} s; allow more time, or retry later",
                failure=Failure.QUEUE_TOO_LONG,
                retry_after_s=start - start_by,
            )

    def _start(self, lane: Lane, ahead: tuple[int, int], tokens: int, *, workers: int, now: float) -> float:
        """Return the forecast of the earliest moment at which the batch of a new request begins; see `forecast`.

        Args:
            lane: its lane.
            ahead: number and tokens of the requests that go before it.
            tokens: its expected tokens.
            workers: workers that are able to answer.
            now: the present moment.
        """
        if lane is self.heavy:
            return self._start_of_heavy(ahead, workers=workers, now=now)
        ends = self._ends(self.sent, now)
        idle = [now] * (workers - len(ends))
        number = self._batches(ahead, tokens)
        each_s = self.recent.least_s(self._tokens_of_full(ahead, number), now)
        in_host = [self.recent.least_s(each.tokens, now) for each in self.sent if each.began is None]
        return earliest_start([*ends, *idle], [*in_host, *([each_s] * number)], now)

    def _start_of_heavy(self, ahead: tuple[int, int], *, workers: int, now: float) -> float:
        """Return the forecast for a heavy request, which waits for those workers alone that heavy requests may have."""
        in_the_way = self.sent if workers == 1 else [each for each in self.sent if each.is_heavy]
        ends = self._ends(in_the_way, now)
        idle = [now] * (heavy_workers(workers) - len(ends))
        number, tokens = ahead
        each_s = self.recent.mean_s(tokens // max(1, number), now)
        return earliest_start([*ends, *idle], [each_s] * number, now)

    def _ends(self, sent: Iterable[Batch], now: float) -> list[float]:
        """Return the earliest ends of the batches that workers have."""
        return [each.began + self.recent.least_s(each.tokens, now) for each in sent if each.began is not None]

    def _tokens_of_full(self, ahead: tuple[int, int], batches: int) -> int:
        """Return the tokens of each batch before that of a new light request: all but the new one's are full.

        Args:
            ahead: number and tokens of the requests that go before it.
            batches: number of those batches.
        """
        number, tokens = ahead
        # The last of the requests may be in the batch of the new one.
        full = max(number / self.limits.max_requests, tokens / self.limits.max_tokens, batches, 1)
        return int(tokens / full)

    def _batches(self, ahead: tuple[int, int], tokens: int) -> int:
        """Return the least number of batches that hold the light requests before a new one, without its own."""
        number, before = ahead
        most = self.limits.max_tokens
        # The last of them may have room for the new one, and one request may be larger than a batch should be.
        return max(number // self.limits.max_requests, min(number, -(-(before + tokens) // most) - 1))
