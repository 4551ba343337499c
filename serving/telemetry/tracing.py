"""Spans of this process, sent by OTLP. Off unless OpenTelemetry's environment variables say where to.

    OTEL_EXPORTER_OTLP_ENDPOINT          base address of a collector, such as http://127.0.0.1:4318
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT   or the whole address for traces
    OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, ...   as everywhere

Spans wait in a bounded queue and are sent by a thread: a collector that is slow or away costs spans, never a request.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from typing_extensions import override

from foundation.version import project_version
from serving.telemetry import names
from serving.telemetry.context import TraceContext
from serving.telemetry.delivery import Delivery, sending
from serving.telemetry.environment import TracingError, traces_address
from serving.telemetry.resources import resource_of
from serving.telemetry.spans import SpanBatch, empty_message

_log = logging.getLogger(__name__)

_TURN: Final = 16
"""Requests whose spans are written at a time, before the thread lets the event loop go on."""

Write = Callable[[SpanBatch], None]
"""Function that adds the spans of a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """Result of sending the spans of an export."""

    is_taken: bool
    """Whether the collector took them."""
    spans: int
    """Spans that were sent to it."""
    unwritten: int = 0
    """Spans that could not be written."""
    dropped: int = 0
    """Requests before these whose spans were dropped, because too many waited."""


Send = Callable[[Sequence[ReadableSpan]], Sent]
"""Function that sends spans."""


class Sender(SpanExporter):
    """Exporter that counts spans, and logs once that they cannot be sent, and once that they can again.

    Args:
        send: sends spans.
        address: where to, for the log.
        close: ends the connection, and what is being sent.
    """

    def __init__(self, send: Send, address: str, close: Callable[[], None]) -> None:
        self._send = send
        self._close = close
        self._delivery = Delivery("spans", address)
        self._is_unwritten = False
        self.dropped = 0
        """Requests since the start whose spans were dropped because too many waited to be sent."""

    @override
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            sent = self._send(spans)
        except Exception:  # noqa: BLE001 - whatever it is, the spans are lost and the log should say so once
            sent = Sent(is_taken=False, spans=len(spans))
        self._note_losses(sent)
        if not sent.spans:  # nothing was sent, which says nothing about the collector
            return SpanExportResult.SUCCESS
        self._delivery.note(sent.spans, is_taken=sent.is_taken)
        return SpanExportResult.SUCCESS if sent.is_taken else SpanExportResult.FAILURE

    def _note_losses(self, sent: Sent) -> None:
        self._delivery.lost += sent.unwritten
        if sent.unwritten and not self._is_unwritten:
            self._is_unwritten = True
            _log.warning("%d spans could not be written and are lost; further ones are counted alone", sent.unwritten)
        if sent.dropped and not self.dropped:
            _log.warning(
                "the spans of %d requests were dropped, because too many waited; further ones are counted alone"
                " (OTEL_BSP_MAX_QUEUE_SIZE lets more wait)",
                sent.dropped,
            )
        self.dropped += sent.dropped

    @override
    def shutdown(self) -> None:
        self._close()

    @property
    def lost(self) -> int:
        """Number of spans since the start that nobody took, or that could not be written."""
        return self._delivery.lost

    def counts(self) -> dict[str, int]:
        """Return the number of spans since the start, by what became of them."""
        return {"sent": self._delivery.sent, "lost": self._delivery.lost}


class _Post(OTLPSpanExporter):
    """OpenTelemetry's exporter, with its address, certificates, headers, compression and retries, for ready bytes."""

    def post(self, body: bytes) -> bool:
        """Send a message of OTLP, and return whether it was taken."""
        return self._client.export(body).success


class _Finished(ReadableSpan):
    """All spans of a request, as one entry of the queue of OpenTelemetry's batch processor."""

    def __init__(self, number: int, context: SpanContext, resource: Resource, write: Write) -> None:
        super().__init__("", context=context, resource=resource)
        self.number = number
        self.write = write


class Tracing:
    """Ids, decisions and spans of the requests of a service.

    A request's spans are made together when it has ended, by the thread that sends them: until then it costs the
    moments that it notes.

    Args:
        provider: has the sampler, the resource and the ids.
        finish: takes an entry of the queue; it must not block.
    """

    def __init__(self, provider: TracerProvider, finish: Callable[[ReadableSpan], None]) -> None:
        self._sampler = provider.sampler
        self._finish = finish
        self._ids = provider.id_generator
        self._resource = provider.resource
        self._number = 0
        self._sampled = SpanContext(1, 1, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))

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

    def finish(self, write: Write) -> None:
        """Let the spans of a request that has ended be sent. One thread alone calls this.

        Args:
            write: adds them; called later, in another thread, and not at all if nobody takes spans.
        """
        self._number += 1
        self._finish(_Finished(self._number, self._sampled, self._resource, write))


def _is_taken(post: _Post, batch: SpanBatch) -> bool:
    try:
        return post.post(batch.to_bytes())
    except Exception:  # noqa: BLE001 - whatever it is, these spans are lost, and are counted as spans
        return False


def _remote(parent: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if parent.is_sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state]) if parent.state else None
    return SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags, trace_state=state)


@contextmanager
def open_tracing(service: str) -> Iterator[tuple[Tracing, Sender] | None]:
    """Send the spans of a service's requests for the length of the block, where the environment says where to.

    Args:
        service: name of the service, unless OTEL_SERVICE_NAME gives another.

    Yields:
        What makes the spans, and what sends them; None where the environment names no address.

    Raises:
        TracingError: a variable of the environment cannot be followed.
    """

    def writer(post: _Post, provider: TracerProvider) -> Send:
        worker = provider.resource.merge(Resource({names.SERVICE_NAME: names.WORKER}))
        empty = empty_message([provider.resource, worker], InstrumentationScope(names.DEEPHYPEBOT, project_version()))
        last = 0

        def send(entries: Sequence[ReadableSpan]) -> Sent:
            nonlocal last
            batch, unwritten, dropped = SpanBatch(empty), 0, 0
            for place, entry in enumerate(entries, start=1):
                if isinstance(entry, _Finished):
                    # The full queue drops its oldest entry without a word but the library's own log: its number lacks.
                    dropped += entry.number - last - 1
                    last = entry.number
                    unwritten += batch.add_all(entry.write)
                if place % _TURN == 0:
                    time.sleep(0)
            is_taken = bool(batch.num_spans) and _is_taken(post, batch)
            return Sent(is_taken=is_taken, spans=batch.num_spans, unwritten=unwritten, dropped=dropped)

        return send

    with _processing(service, writer) as opened:
        yield None if opened is None else (Tracing(opened[0], opened[1].on_end), opened[2])


@contextmanager
def tracing_of_the_process(service: str) -> Iterator[None]:
    """Send all spans that this process makes through OpenTelemetry's API; see `open_tracing`."""

    def exporter(post: _Post, _: TracerProvider) -> Send:
        return lambda spans: Sent(is_taken=post.export(spans) is SpanExportResult.SUCCESS, spans=len(spans))

    with _processing(service, exporter) as opened:
        if opened is not None:
            trace.set_tracer_provider(opened[0])
        yield


@contextmanager
def _processing(
    service: str, sender_of: Callable[[_Post, TracerProvider], Send]
) -> Iterator[tuple[TracerProvider, BatchSpanProcessor, Sender] | None]:
    address = traces_address()
    if not address:
        yield None
        return
    try:
        post = _Post()
        provider = TracerProvider(resource=resource_of(service), shutdown_on_exit=False)
        sender = Sender(sender_of(post, provider), address, post.shutdown)
        processor = BatchSpanProcessor(sender)
    except ValueError as fault:
        raise TracingError(f"the variables OTEL_* cannot be followed: {fault}") from fault
    provider.add_span_processor(processor)
    with sending(processor.shutdown):
        yield provider, processor, sender
