"""Course of a traced request to one version: the moments between its stages, from which its spans are made.

All moments are seconds of the machine's monotonic clock.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field

from handlers.contract import BatchTimes
from serving.telemetry.context import SAMPLED, traceparent


@dataclass(slots=True, kw_only=True, eq=False)
class Attempt:
    """One attempt to have a request answered by the version's workers."""

    trace_id: int
    span_id: int
    """Id of the span of the call of the worker host, below which the worker's spans are."""
    asked: float
    """Moment at which the request's turn came; from then on it waits for a batch."""
    sent: float = 0.0
    """Moment at which the worker host got it; 0 if it never did."""
    ended: float = 0.0
    batch_id: str = ""
    """Key that the requests of its batch share; empty where the worker host forms the batches."""
    batch_requests: int = 0
    times: BatchTimes | None = None
    """Times that the worker told; None for archives that do not tell any."""
    fault: str = ""
    """Status of its failure by its name in gRPC; empty if it was answered."""

    @property
    def traceparent(self) -> str:
        """Context that the worker gets."""
        return traceparent(self.trace_id, self.span_id, flags=SAMPLED)


@dataclass(slots=True, kw_only=True, eq=False)
class Course:
    """Course of a request to one version."""

    trace_id: int
    model: str
    version: str
    started: float = field(default_factory=time.monotonic)
    """Moment at which it asked to be admitted."""
    attempts: list[Attempt] = field(default_factory=list)
    ended: float = 0.0

    def begin_attempt(self) -> Attempt:
        """Note that the request's turn came, and return the attempt that begins."""
        attempt = Attempt(trace_id=self.trace_id, span_id=random.getrandbits(64) or 1, asked=time.monotonic())
        self.attempts.append(attempt)
        return attempt
