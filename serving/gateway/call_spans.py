"""Spans of a call: the call itself, the waits, the call of the worker host, and the worker's decode behind it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import grpc

from foundation.redaction import redacted
from handlers.contract import BatchTimes, CommentaryRequest
from serving.gateway.records import Dealt
from serving.telemetry import names
from serving.telemetry.context import TraceContext
from serving.telemetry.course import Attempt, Course
from serving.telemetry.spans import Attributes, SpanBatch, SpanKind, Value, add_event
from serving.traffic.policy import AssignedBy
from serving.v1 import commentary_pb2
from serving.workers.faults import InferenceError

_NS: Final = 1_000_000_000
_GATEWAY, _WORKER = 0, 1
"""Services of the spans, in the order of `open_tracing`."""
_REASONS: Final = {
    AssignedBy.PIN: "targeting_match",
    AssignedBy.OVERRIDE: "targeting_match",
    AssignedBy.UNIT: "split",
    AssignedBy.RANDOM: "split",
    AssignedBy.INTERLEAVED: "split",
    AssignedBy.ALONE: "static",
    AssignedBy.FALLBACK: "default",
}
"""Values of `feature_flag.result.reason`, which are OpenTelemetry's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Facts about an answer that its span tells."""

    model: str
    """Version that answered, as model/version."""
    tokens: int
    finish_reasons: tuple[str, ...]
    experiment: str
    exposure_id: str
    """Exposure of the answer; empty if none was written, or if each of several versions has its own."""

    @classmethod
    def of(cls, response: commentary_pb2.GenerateResponse) -> Answered:
        """Return the facts of an answer, which may change from then on."""
        return cls(
            model=f"{response.model.name}/{response.model.version}",
            tokens=sum(sample.token_count for sample in response.samples),
            finish_reasons=tuple(sample.finish_reason for sample in response.samples),
            experiment=response.experiment,
            exposure_id=response.arms[0].exposure_id if len(response.arms) == 1 else "",
        )


@dataclass(slots=True, kw_only=True, eq=False)
class CallRecord:
    """Notes about a call, from which its spans are made. Moments are seconds of the monotonic clock."""

    trace_id: int
    parent: TraceContext | None
    model: str
    """Model that was asked for."""
    started: float
    ended: float = 0.0
    request: CommentaryRequest | None = None
    """None where it could not be read."""
    answered: Answered | None = None
    code: str = "OK"
    """Status with which it ended, by its name in gRPC."""
    failure: str | None = None
    """Reason of its failure, which may be empty; None if it did not fail."""
    dealt: list[Dealt] = field(default_factory=list)
    courses: list[Course] = field(default_factory=list)

    def end(self, error: BaseException | None) -> None:
        """Note that the call has ended.

        Args:
            error: its failure, of which only the words are kept: it holds everything that the call held.
        """
        self.ended = time.monotonic()
        self.code, self.failure = _code_of(error), _message_of(error)

    def write(self, batch: SpanBatch) -> None:
        """Add the spans of the call."""
        spans = _Spans(batch, self.trace_id)
        above = _new_id()
        span = batch.add(
            names.GENERATE,
            trace_id=self.trace_id,
            span_id=above,
            parent=self.parent,
            start_ns=spans.at_ns(self.started),
            end_ns=spans.at_ns(self.ended),
            kind=SpanKind.SERVER,
            attributes=dict(self._attributes()),
            error=self.failure,
        )
        for dealt in self.dealt:
            add_event(span, names.FLAG_EVALUATION, spans.at_ns(self.ended), _evaluation(dealt))
        for course in self.courses:
            _add_course(spans, course, above, self.ended)

    def _attributes(self) -> Iterator[tuple[str, Value]]:
        yield names.RPC_SYSTEM, names.GRPC
        yield names.RPC_METHOD, names.GENERATE
        yield names.RPC_STATUS, self.code
        yield names.OPERATION, names.TEXT_COMPLETION
        yield names.PROVIDER, names.DEEPHYPEBOT
        yield names.REQUEST_MODEL, self.model
        if (request := self.request) is not None:
            yield names.REQUEST_TEMPERATURE, request.sampling.temperature
            yield names.REQUEST_TOP_K, request.sampling.top_k
            yield names.REQUEST_TOP_P, request.sampling.top_p
            yield names.REQUEST_MAX_TOKENS, request.sampling.max_tokens
            yield names.REQUEST_CHOICES, request.num_samples
            if request.seed is not None:
                yield names.REQUEST_SEED, request.seed
            if request.request_id:
                yield names.REQUEST_ID, request.request_id
        if (answered := self.answered) is not None:
            yield names.RESPONSE_MODEL, answered.model
            if answered.exposure_id:
                yield names.RESPONSE_ID, answered.exposure_id
            yield names.OUTPUT_TOKENS, answered.tokens
            yield names.RESPONSE_FINISH_REASONS, answered.finish_reasons
            if answered.experiment:
                yield names.EXPERIMENT, answered.experiment


class _Spans:
    """Spans below that of a call, whose moments are seconds of the monotonic clock."""

    def __init__(self, batch: SpanBatch, trace_id: int) -> None:
        self._batch = batch
        self._trace_id = trace_id
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def at_ns(self, moment: float) -> int:
        """Return a moment as nanoseconds since 1970."""
        return int(moment * _NS) + self._offset_ns

    def add(
        self,
        name: str,
        period: tuple[float, float],
        parent: int,
        attributes: Attributes | None = None,
        *,
        span_id: int = 0,
        kind: SpanKind = SpanKind.INTERNAL,
        error: str | None = None,
        service: int = _GATEWAY,
    ) -> int:
        """Add a span and return its id; see `SpanBatch.add`."""
        span_id = span_id or _new_id()
        started, ended = period
        self._batch.add(
            name,
            trace_id=self._trace_id,
            span_id=span_id,
            parent=parent,
            start_ns=self.at_ns(started),
            end_ns=self.at_ns(ended),
            kind=kind,
            attributes=attributes,
            error=error,
            service=service,
        )
        return span_id


def _new_id() -> int:
    return random.getrandbits(64) or 1


def _add_course(spans: _Spans, course: Course, above: int, ended: float) -> None:
    """Add the spans of a request's way to one version, below the span of its call."""
    version = f"{course.model}/{course.version}"
    admitted = course.attempts[0].asked if course.attempts else ended
    spans.add(names.ADMISSION, (course.started, admitted), above, {names.RESPONSE_MODEL: version})
    for number, attempt in enumerate(course.attempts, start=1):
        until = attempt.ended or ended
        sent = attempt.sent or until
        attributes: dict[str, Value] = {names.RESPONSE_MODEL: version, names.ATTEMPT: number}
        spans.add(names.BATCHING, (attempt.asked, sent), above, attributes)
        if attempt.sent:
            _add_call(spans, attempt, (sent, until), above, attributes)


def _add_call(
    spans: _Spans, attempt: Attempt, period: tuple[float, float], above: int, attributes: dict[str, Value]
) -> None:
    """Add the span of a call of the worker host, and those of the worker behind it."""
    if attempt.batch_id:
        attributes |= {names.BATCH_ID: attempt.batch_id, names.BATCH_REQUESTS: attempt.batch_requests}
    attributes |= {names.RPC_SYSTEM: names.GRPC, names.RPC_STATUS: attempt.fault or "OK"}
    error = attempt.fault or None
    spans.add(names.PREDICTIONS, period, above, attributes, span_id=attempt.span_id, kind=SpanKind.CLIENT, error=error)
    if (times := attempt.times) is not None:
        _add_worker(spans, times, attempt.span_id, attributes[names.RESPONSE_MODEL])


def _add_worker(spans: _Spans, times: BatchTimes, call: int, version: Value) -> None:
    attributes: dict[str, Value] = {
        names.RESPONSE_MODEL: version,
        names.BATCH_REQUESTS: times.requests,
        names.BATCH_SEQUENCES: times.sequences,
        names.BATCH_TOKENS: times.tokens,
    }
    period = times.started, times.ended
    batch = spans.add(names.WORKER_BATCH, period, call, attributes, kind=SpanKind.SERVER, service=_WORKER)
    spans.add(names.DECODE, (times.decode_started, times.decode_ended), batch, service=_WORKER)


def _evaluation(dealt: Dealt) -> Attributes:
    """Return what the event tells of the version to which the request was dealt, as of a feature flag."""
    info, policy = dealt.route.info, dealt.policy
    attributes: dict[str, Value] = {
        names.FLAG_KEY: info.model,
        names.FLAG_VARIANT: info.version,
        names.FLAG_REASON: _REASONS[dealt.assignment.by],
        names.FLAG_PROVIDER: names.DEEPHYPEBOT,
    }
    if dealt.request.unit:
        attributes[names.FLAG_CONTEXT_ID] = dealt.request.unit
    if policy is not None and policy.revision:
        attributes[names.FLAG_SET_ID] = policy.revision
    return attributes


def _message_of(error: BaseException | None) -> str | None:
    """Return the message of a fault without secrets, empty where it may quote the request; None without a fault."""
    if error is None:
        return None
    is_quoting = isinstance(error, InferenceError) and error.code is grpc.StatusCode.INVALID_ARGUMENT
    return "" if is_quoting else redacted(str(error))


def _code_of(error: BaseException | None) -> str:
    """Return the status with which a call ends, by its name in gRPC."""
    match error:
        case None:
            return "OK"
        case InferenceError():
            return error.code.name
        case asyncio.CancelledError():
            return "CANCELLED"
        case _:
            return "UNKNOWN"
