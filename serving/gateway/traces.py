"""Spans of the gateway's requests: the call, the waits, the call of TorchServe, and the worker's decode behind it.

They are made when a request has ended, from the moments that were noted on its way, so that a request that is not
traced costs next to nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import grpc
from opentelemetry.sdk.trace import Event
from opentelemetry.trace import SpanKind, Status, StatusCode

from handlers.contract import BatchTimes, CommentaryRequest
from serving.gateway.records import Dealt
from serving.registry.contents import ArchiveInfo
from serving.telemetry import names
from serving.telemetry.context import TraceContext, context_in
from serving.telemetry.course import Attempt, Course
from serving.telemetry.tracing import Tracing
from serving.torchserve.faults import InferenceError
from serving.traffic.policy import AssignedBy
from serving.v1 import commentary_pb2

_NS: Final = 1_000_000_000
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


class CallTrace:
    """Trace of one call; a context manager, whose end writes the spans.

    Args:
        tracing: makes spans; None where this call has none.
        parent: context that the call brings; None if it brings none.
        trace_id: the trace; 0 if the call belongs to none.
        model: the model that was asked for.
    """

    def __init__(
        self, tracing: Tracing | None, parent: TraceContext | None, trace_id: int = 0, *, model: str = ""
    ) -> None:
        self._tracing = tracing
        self._parent = parent
        self._trace_id = trace_id
        self._model = model
        self._started = time.monotonic()
        self._courses: list[Course] = []
        self._dealt: list[Dealt] = []
        self.request: CommentaryRequest | None = None
        """The request, once it was read."""
        self.response: commentary_pb2.GenerateResponse | None = None
        """The answer, once it is there."""

    @property
    def trace_id(self) -> str:
        """The trace: 32 hexadecimal digits; empty if the call belongs to none."""
        return f"{self._trace_id:032x}" if self._trace_id else ""

    def deal(self, dealt: Dealt) -> Dealt:
        """Note that the request was dealt to a version."""
        if self._tracing is not None:
            self._dealt.append(dealt)
        return dealt

    def begin_course(self, info: ArchiveInfo) -> Course | None:
        """Return the course of the request to one version, which begins now; None if no span is made."""
        if self._tracing is None:
            return None
        course = Course(trace_id=self._trace_id, model=info.model, version=info.version)
        self._courses.append(course)
        return course

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracing is None:
            return
        ended = time.monotonic()
        spans = _Spans(self._tracing, self._trace_id)
        code = _code_of(error)
        above = spans.add(
            names.GENERATE,
            (self._started, ended),
            parent=self._parent,
            kind=SpanKind.SERVER,
            attributes=dict(self._attributes(code)),
            events=[_evaluation(dealt, spans.at_ns(ended)) for dealt in self._dealt],
            status=_status_of(error),
        )
        for course in self._courses:
            _add_course(spans, course, above, ended)

    def _attributes(self, code: str) -> Iterator[tuple[str, Any]]:
        yield names.RPC_SYSTEM, names.GRPC
        yield names.RPC_METHOD, names.GENERATE
        yield names.RPC_STATUS, code
        yield names.OPERATION, names.TEXT_COMPLETION
        yield names.PROVIDER, names.DEEPHYPEBOT
        yield names.REQUEST_MODEL, self._model
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
        if (response := self.response) is not None:
            yield names.RESPONSE_MODEL, f"{response.model.name}/{response.model.version}"
            yield names.OUTPUT_TOKENS, sum(sample.token_count for sample in response.samples)
            yield names.RESPONSE_FINISH_REASONS, [sample.finish_reason for sample in response.samples]
            if response.experiment:
                yield names.EXPERIMENT, response.experiment


class Traces:
    """Opener of the traces of calls.

    Args:
        tracing: makes spans; None while none are sent. The trace to which a call belongs is known all the same.
    """

    def __init__(self, tracing: Tracing | None = None) -> None:
        self._tracing = tracing

    def begin(
        self, message: commentary_pb2.GenerateRequest, metadata: Iterable[tuple[str, str | bytes]], *, model: str
    ) -> CallTrace:
        """Return the trace of a call that arrives.

        Args:
            message: the request.
            metadata: metadata of the call.
            model: the model that is asked for.
        """
        parent = context_in(metadata, message.traceparent, message.tracestate)
        if self._tracing is None:
            return CallTrace(None, parent, parent.trace_id if parent is not None else 0)
        trace_id, is_sampled = self._tracing.trace_of(parent, names.GENERATE)
        if not is_sampled:
            # A trace that begins here and is not recorded leads nowhere.
            return CallTrace(None, parent, trace_id if parent is not None else 0)
        return CallTrace(self._tracing, parent, trace_id, model=model)


@contextmanager
def following(
    course: Course | None, started: Callable[[], None]
) -> Iterator[tuple[Attempt | None, Callable[[], None]]]:
    """Note the moments of one attempt within the block; without a course nothing is noted.

    Args:
        course: course of the request.
        started: called when TorchServe gets the request.

    Yields:
        The attempt, and the function to call instead of `started`.
    """
    if course is None:
        yield None, started
        return
    attempt = course.begin_attempt()

    def sent() -> None:
        attempt.sent = time.monotonic()
        started()

    try:
        yield attempt, sent
    except InferenceError as fault:
        attempt.fault = fault.code.name
        raise
    finally:
        attempt.ended = time.monotonic()


class _Spans:
    """Spans of one trace, whose moments are seconds of the monotonic clock."""

    def __init__(self, tracing: Tracing, trace_id: int) -> None:
        self._tracing = tracing
        self._trace_id = trace_id
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def at_ns(self, moment: float) -> int:
        """Return a moment as nanoseconds since 1970."""
        return int(moment * _NS) + self._offset_ns

    def add(self, name: str, period: tuple[float, float], *, span_id: int = 0, **values: Any) -> int:
        """Make a span and return its id; see `Tracing.finish`."""
        span_id = span_id or self._tracing.new_span_id()
        start_ns, end_ns = map(self.at_ns, period)
        self._tracing.finish(name, trace_id=self._trace_id, span_id=span_id, start_ns=start_ns, end_ns=end_ns, **values)
        return span_id


def _add_course(spans: _Spans, course: Course, above: int, ended: float) -> None:
    """Make the spans of a request's way to one version, below the span of its call."""
    version = {names.RESPONSE_MODEL: f"{course.model}/{course.version}"}
    admitted = course.attempts[0].asked if course.attempts else ended
    spans.add(names.ADMISSION, (course.started, admitted), parent=above, attributes=version)
    for number, attempt in enumerate(course.attempts, start=1):
        attributes: dict[str, Any] = {**version, names.ATTEMPT: number}
        if attempt.batch_id:
            attributes |= {names.BATCH_ID: attempt.batch_id, names.BATCH_REQUESTS: attempt.batch_requests}
        until = attempt.ended or ended
        sent = attempt.sent or until
        spans.add(names.BATCHING, (attempt.asked, sent), parent=above, attributes=attributes)
        if attempt.sent:
            _add_call(spans, attempt, (sent, until), above, attributes)


def _add_call(
    spans: _Spans, attempt: Attempt, period: tuple[float, float], above: int, attributes: dict[str, Any]
) -> None:
    """Make the span of a call of TorchServe, and those of the worker behind it."""
    code = attempt.fault or "OK"
    call = spans.add(
        names.PREDICTIONS,
        period,
        span_id=attempt.span_id,
        parent=above,
        kind=SpanKind.CLIENT,
        attributes={**attributes, names.RPC_SYSTEM: names.GRPC, names.RPC_STATUS: code},
        status=Status(StatusCode.ERROR, code) if attempt.fault else None,
    )
    if (times := attempt.times) is not None:
        _add_worker(spans, times, call, attributes)


def _add_worker(spans: _Spans, times: BatchTimes, call: int, attributes: dict[str, Any]) -> None:
    sizes = {
        **attributes,
        names.BATCH_REQUESTS: times.requests,
        names.BATCH_SEQUENCES: times.sequences,
        names.BATCH_TOKENS: times.tokens,
    }
    batch = spans.add(
        names.WORKER_BATCH,
        (times.started, times.ended),
        parent=call,
        kind=SpanKind.SERVER,
        attributes=sizes,
        is_workers=True,
    )
    spans.add(names.DECODE, (times.decode_started, times.decode_ended), parent=batch, is_workers=True)


def _evaluation(dealt: Dealt, at_ns: int) -> Event:
    """Return the event that says which version the request was dealt to, as of a feature flag."""
    info, policy = dealt.route.info, dealt.policy
    attributes: dict[str, Any] = {
        names.FLAG_KEY: info.model,
        names.FLAG_VARIANT: info.version,
        names.FLAG_REASON: _REASONS[dealt.assignment.by],
        names.FLAG_PROVIDER: names.DEEPHYPEBOT,
    }
    if dealt.request.unit:
        attributes[names.FLAG_CONTEXT_ID] = dealt.request.unit
    if policy is not None and policy.revision:
        attributes[names.FLAG_SET_ID] = policy.revision
    return Event(names.FLAG_EVALUATION, attributes, timestamp=at_ns)


def _status_of(error: BaseException | None) -> Status | None:
    """Return the status of a call's span. It has the message of a fault, unless that may quote the request."""
    if error is None:
        return None
    is_quoting = isinstance(error, InferenceError) and error.code is grpc.StatusCode.INVALID_ARGUMENT
    return Status(StatusCode.ERROR, None if is_quoting else str(error))


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
