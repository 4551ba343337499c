"""Traces of the gateway's calls.

What happens on a request's way is noted as a few moments, and its spans are made when it has ended (`call_spans`), so
that a request that is not traced costs next to nothing, and one that is little.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from handlers.contract import CommentaryRequest
from serving.gateway.call_spans import Answered, CallRecord
from serving.gateway.records import Dealt
from serving.registry.contents import ArchiveInfo
from serving.telemetry import names
from serving.telemetry.context import TraceContext, context_in
from serving.telemetry.course import Attempt, Course
from serving.telemetry.tracing import Tracing
from serving.v1 import commentary_pb2
from serving.workers.faults import InferenceError


class CallTrace:
    """Trace of one call; a context manager, whose end lets the spans be sent.

    Args:
        tracing: sends spans; None where this call has none.
        parent: context that the call brings; None if it brings none.
        trace_id: the trace; 0 if the call belongs to none.
        model: the model that was asked for.
    """

    def __init__(
        self, tracing: Tracing | None, parent: TraceContext | None, trace_id: int = 0, *, model: str = ""
    ) -> None:
        self._tracing = tracing
        self._record = CallRecord(trace_id=trace_id, parent=parent, model=model, started=time.monotonic())
        self.request: CommentaryRequest | None = None
        """The request, once it was read."""
        self.response: commentary_pb2.GenerateResponse | None = None
        """The answer, once it is there."""

    @property
    def trace_id(self) -> str:
        """The trace: 32 hexadecimal digits; empty if the call belongs to none."""
        return f"{self._record.trace_id:032x}" if self._record.trace_id else ""

    def deal(self, dealt: Dealt) -> Dealt:
        """Note that the request was dealt to a version."""
        if self._tracing is not None:
            self._record.dealt.append(dealt)
        return dealt

    def begin_course(self, info: ArchiveInfo) -> Course | None:
        """Return the course of the request to one version, which begins now; None if no span is made."""
        if self._tracing is None:
            return None
        course = Course(trace_id=self._record.trace_id, model=info.model, version=info.version)
        self._record.courses.append(course)
        return course

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tracing is None:
            return
        record = self._record
        record.end(error)
        record.request = self.request
        if self.response is not None:
            record.answered = Answered.of(self.response)
        self._tracing.finish(record.write)


class Traces:
    """Opener of the traces of calls.

    Args:
        tracing: sends spans; None while none are sent. The trace to which a call belongs is known all the same.
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
        started: called when the worker host gets the request.

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
