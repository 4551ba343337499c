"""Spans of this process, sent by OTLP. Off unless OpenTelemetry's environment variables say where to.

    OTEL_EXPORTER_OTLP_ENDPOINT          base address of a collector, such as http://127.0.0.1:4318
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT   or the whole address for traces
    OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, ...   as everywhere

Spans wait in a bounded queue and are sent by a thread: a collector that is slow or away costs spans, never a request.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, TraceFlags, TraceState
from opentelemetry.util.types import AttributeValue
from typing_extensions import override

from foundation.redaction import redacted
from foundation.version import project_version
from serving.telemetry import names
from serving.telemetry.context import TraceContext
from serving.telemetry.environment import TracingError, traces_address

_log = logging.getLogger(__name__)

_CLOSE_S: Final = 2.0
"""Longest time for the last spans when a process ends: no collector that hangs may hold it."""
_QUIET: Final = "opentelemetry"
"""Logger of the libraries, which have a line for each batch that cannot be sent; `Sender` has one for all of them."""

Attributes = Mapping[str, AttributeValue]


class Sender(SpanExporter):
    """Exporter that counts spans, and logs once that they cannot be sent, and once that they can again.

    Args:
        exporter: sends them.
        address: where to, for the log.
    """

    def __init__(self, exporter: SpanExporter, address: str) -> None:
        self._exporter = exporter
        self._address = redacted(address)
        self._is_failing = False
        self.sent = 0
        self.lost = 0

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:  # noqa: BLE001 - whatever it is, the spans are lost and the log should say so once
            result = SpanExportResult.FAILURE
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing:
            self.lost += len(spans)
        else:
            self.sent += len(spans)
        if is_failing and not self._is_failing:
            _log.warning("spans cannot be sent to %s; they are dropped until it takes them", self._address)
        elif self._is_failing and not is_failing:
            _log.info("%s takes spans again; %d were lost", self._address, self.lost)
        self._is_failing = is_failing
        return result

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()

    def counts(self) -> dict[str, int]:
        """Return the number of spans since the start, by what became of them."""
        return {"sent": self.sent, "lost": self.lost}


class Tracing:
    """Maker of finished spans.

    A span that the SDK starts and ends costs five times as much as one that is made when its end is known, and a
    request has six.

    Args:
        provider: has the sampler, the resource and the ids.
        finish: takes a finished span; it must not block.
    """

    def __init__(self, provider: TracerProvider, finish: Callable[[ReadableSpan], None]) -> None:
        self._sampler = provider.sampler
        self._finish = finish
        self._ids = provider.id_generator
        self._resource = provider.resource
        self._worker_resource = provider.resource.merge(Resource({names.SERVICE_NAME: names.WORKER}))
        self._scope = InstrumentationScope(names.DEEPHYPEBOT, project_version())
        self._sampled = TraceFlags(TraceFlags.SAMPLED)

    def new_span_id(self) -> int:
        """Return the id of a new span."""
        return self._ids.generate_span_id()

    def trace_of(self, parent: TraceContext | None, name: str) -> tuple[int, bool]:
        """Return the id of a request's trace, that of its parent or a new one, and whether its spans are recorded.

        Args:
            parent: context that the request brings; None if it brings none.
            name: name of its first span here.
        """
        trace_id = parent.trace_id if parent is not None else self._ids.generate_trace_id()
        context = trace.set_span_in_context(trace.NonRecordingSpan(_remote(parent)), Context()) if parent else Context()
        result = self._sampler.should_sample(context, trace_id, name, SpanKind.SERVER)
        return trace_id, result.decision is Decision.RECORD_AND_SAMPLE

    def finish(
        self,
        name: str,
        *,
        trace_id: int,
        span_id: int,
        parent: TraceContext | int | None,
        start_ns: int,
        end_ns: int,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        events: Sequence[Event] = (),
        status: Status | None = None,
        is_workers: bool = False,
    ) -> None:
        """Make a span that has ended, and let it be sent.

        Args:
            name: name of the span.
            trace_id: its trace.
            span_id: its own id.
            parent: context that came from elsewhere, or the id of a span of this process; None for the first span.
            start_ns: start, in nanoseconds since 1970.
            end_ns: end, likewise.
            kind: side of a call.
            attributes: attributes by their names.
            events: events within the span.
            status: status; None where it is not an error.
            is_workers: whether it is a worker's, and not this process's own.
        """
        above = self._context(trace_id, parent) if isinstance(parent, int) else _remote(parent) if parent else None
        span = ReadableSpan(
            name,
            context=self._context(trace_id, span_id),
            parent=above,
            resource=self._worker_resource if is_workers else self._resource,
            attributes=attributes,
            events=events,
            kind=kind,
            status=status or Status(),
            start_time=start_ns,
            end_time=max(start_ns, end_ns),
            instrumentation_scope=self._scope,
        )
        self._finish(span)

    def _context(self, trace_id: int, span_id: int) -> SpanContext:
        return SpanContext(trace_id, span_id, is_remote=False, trace_flags=self._sampled)


def _remote(parent: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state]) if parent.state else None
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags, trace_state=state)


@contextmanager
def open_tracing(service: str, *, for_the_process: bool = False) -> Iterator[tuple[Tracing, Sender] | None]:
    """Send spans for the length of the block, where the environment says where to; else yield None.

    Args:
        service: name of the service, unless OTEL_SERVICE_NAME gives another.
        for_the_process: whether all spans that this process makes through OpenTelemetry's API are sent, too.

    Raises:
        TracingError: a variable of the environment cannot be followed.
    """
    address = traces_address()
    if not address:
        yield None
        return
    own = {names.SERVICE_NAME: os.environ.get("OTEL_SERVICE_NAME") or service, names.SERVICE_VERSION: project_version()}
    try:
        sender = Sender(OTLPSpanExporter(), address)
        provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
        processor = BatchSpanProcessor(sender)
    except ValueError as fault:
        raise TracingError(f"the variables OTEL_* cannot be followed: {fault}") from fault
    provider.add_span_processor(processor)
    if for_the_process:
        trace.set_tracer_provider(provider)
    libraries = logging.getLogger(_QUIET)
    level = libraries.level
    libraries.setLevel(logging.CRITICAL)
    try:
        yield Tracing(provider, processor.on_end), sender
    finally:
        _close(processor)
        libraries.setLevel(level)


def _close(processor: BatchSpanProcessor) -> None:
    """Send the last spans, for as long as that may take."""
    # Its own limit is 30 s. The thread is a daemon: one that still waits ends with the process.
    closing = threading.Thread(target=processor.shutdown, name="last spans", daemon=True)
    closing.start()
    closing.join(_CLOSE_S)
