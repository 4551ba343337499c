"""Spans as OTLP has them, written straight into its message.

The SDK makes an object of each span, and its exporter a message of each object. To write the six spans of a request
into the message at once takes a third of the processor time (`tests/serving/gateway/test_call_spans.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext

from serving.telemetry.context import TraceContext

_log = logging.getLogger(__name__)

Value = str | bool | int | float | Sequence[str]
Attributes = Mapping[str, Value]

_LOCAL: Final = SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
_REMOTE: Final = _LOCAL | SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class SpanKind(IntEnum):
    """Side of a call on which a span is."""

    INTERNAL = Span.SPAN_KIND_INTERNAL
    SERVER = Span.SPAN_KIND_SERVER
    CLIENT = Span.SPAN_KIND_CLIENT


class SpanBatch:
    """Message of OTLP with the spans of several services.

    Args:
        empty: the message with a resource for each service, and without spans; see `empty_message`.
    """

    def __init__(self, empty: ExportTraceServiceRequest) -> None:
        self._message = ExportTraceServiceRequest()
        self._message.CopyFrom(empty)
        self._spans = [each.scope_spans[0].spans for each in self._message.resource_spans]
        self.num_spans = 0

    def add(
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
        error: str | None = None,
        service: int = 0,
    ) -> Span:
        """Add a span that has ended, and return its message, to which events may be added.

        Args:
            name: name of the span.
            trace_id: its trace.
            span_id: its own id.
            parent: context that came from elsewhere, or the id of a span of this process; None for the first span.
            start_ns: start, in nanoseconds since 1970.
            end_ns: end, likewise.
            kind: side of a call.
            attributes: attributes by their names.
            error: why the work failed, which may be empty; None where it did not.
            service: number of its service, in the order of `empty_message`.
        """
        is_remote = isinstance(parent, TraceContext)
        span = self._spans[service].add(
            name=name,
            trace_id=trace_id.to_bytes(16, "big"),
            span_id=span_id.to_bytes(8, "big"),
            kind=kind.value,
            start_time_unix_nano=start_ns,
            end_time_unix_nano=max(start_ns, end_ns),
            flags=_REMOTE if is_remote else _LOCAL,
        )
        if parent is not None:
            span.parent_span_id = (parent.span_id if isinstance(parent, TraceContext) else parent).to_bytes(8, "big")
        if attributes:
            fill(span.attributes, attributes)
        if error is not None:
            span.status.code = Status.STATUS_CODE_ERROR
            span.status.message = error
        self.num_spans += 1
        return span

    def add_all(self, write: Callable[[SpanBatch], None]) -> int:
        """Let a function add the spans of a request; if it fails, none of them stays.

        Returns:
            Number of spans that are lost: those that it had added, and the one at which it failed.
        """
        before, lengths = self.num_spans, [len(spans) for spans in self._spans]
        try:
            write(self)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not cost the spans of others
            lost = sum(map(len, self._spans)) - sum(lengths)
            for spans, length in zip(self._spans, lengths, strict=True):
                del spans[length:]
            self.num_spans = before
            _log.debug("spans cannot be written: %s: %s", type(fault).__name__, fault)
            return max(1, lost)
        return 0

    def to_bytes(self) -> bytes:
        """Return the message as it is sent."""
        for number in reversed(range(len(self._spans))):
            if not self._spans[number]:
                del self._message.resource_spans[number]
        return self._message.SerializeToString()


def add_event(span: Span, name: str, at_ns: int, attributes: Attributes) -> None:
    """Add an event to a span.

    Args:
        span: the span.
        name: name of the event.
        at_ns: its moment, in nanoseconds since 1970.
        attributes: attributes by their names.
    """
    fill(span.events.add(name=name, time_unix_nano=at_ns).attributes, attributes)


def fill(attributes: Any, values: Attributes) -> None:
    """Write values into the attributes of a message."""
    for key, value in values.items():
        written = attributes.add(key=key).value
        if isinstance(value, str):
            written.string_value = value
        elif isinstance(value, bool):
            written.bool_value = value
        elif isinstance(value, int):
            written.int_value = value
        elif isinstance(value, float):
            written.double_value = value
        else:
            for each in value:
                written.array_value.values.add(string_value=each)


def empty_message(resources: Sequence[Resource], scope: InstrumentationScope) -> ExportTraceServiceRequest:
    """Return a message of OTLP without spans.

    Args:
        resources: resource of each service.
        scope: maker of the spans.
    """
    context = SpanContext(1, 1, is_remote=False)
    spans = [
        ReadableSpan("", context=context, resource=each, instrumentation_scope=scope, start_time=0, end_time=0)
        for each in resources
    ]
    message = ExportTraceServiceRequest()
    for span in spans:
        message.MergeFrom(encode_spans([span]))
    for written in message.resource_spans:
        del written.scope_spans[0].spans[:]
    return message
