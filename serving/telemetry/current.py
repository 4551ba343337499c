"""Spans of programs that use OpenTelemetry; without it nothing is made and nothing is imported.

A program uses OpenTelemetry if it has imported `opentelemetry.trace`. Its tracer provider decides whether spans are
recorded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from serving.telemetry import names
from serving.telemetry.context import TRACEPARENT, TRACESTATE, traceparent

Metadata = tuple[tuple[str, str], ...]


class Work:
    """A piece of work that may have a span.

    Args:
        span: span of OpenTelemetry; None where there is none.
    """

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def note(self, attributes: Mapping[str, str | int]) -> None:
        """Add attributes to the span."""
        if self._span is not None:
            self._span.set_attributes(attributes)

    @property
    def metadata(self) -> Metadata:
        """Metadata of a call by which its server goes on with the trace; empty if there is none."""
        context = self._span.get_span_context() if self._span is not None else None
        if context is None or not context.is_valid:
            return ()
        parent = traceparent(context.trace_id, context.span_id, flags=context.trace_flags)
        state = context.trace_state.to_header()
        return ((TRACEPARENT, parent), *(((TRACESTATE, state),) if state else ()))


@contextmanager
def working(name: str, attributes: Mapping[str, str | int], *, is_call: bool = False) -> Iterator[Work]:
    """Make a span around the block, below the current one.

    Args:
        name: name of the span.
        attributes: its attributes.
        is_call: whether it is a call of another service.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield Work()
        return
    tracer = trace.get_tracer(names.DEEPHYPEBOT)
    kind = trace.SpanKind.CLIENT if is_call else trace.SpanKind.INTERNAL
    # Messages and stacks of exceptions stay here: they may quote what a service or a person wrote.
    with tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as span:
        try:
            yield Work(span)
        except BaseException as fault:
            code = str(getattr(fault, "code", "")) or type(fault).__qualname__
            span.set_attribute(names.ERROR_TYPE, code)
            span.set_status(trace.StatusCode.ERROR)
            raise


@contextmanager
def calling(method: str, target: str) -> Iterator[Metadata]:
    """Make a span around a call, and yield the metadata by which its server goes on with the trace.

    Args:
        method: full name of the method, without the first slash.
        target: address of the server.
    """
    attributes = {names.RPC_SYSTEM: names.GRPC, names.RPC_METHOD: method, names.SERVER_ADDRESS: target}
    with working(method, attributes, is_call=True) as work:
        yield work.metadata
