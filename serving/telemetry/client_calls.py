"""Spans of a client's calls, for programs that use OpenTelemetry; without it nothing is made and nothing imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from serving.telemetry import names
from serving.telemetry.context import TRACEPARENT, TRACESTATE, traceparent

Metadata = tuple[tuple[str, str], ...]


@contextmanager
def client_call(method: str, target: str) -> Iterator[Metadata]:
    """Make a span around a call, and yield the metadata that lets the server go on with its trace.

    A program uses OpenTelemetry if it has imported `opentelemetry.trace`. Its tracer provider decides whether there are
    spans; where there are none, the context in which the call is made is passed on.

    Args:
        method: full name of the method, without the first slash.
        target: address of the server.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        yield ()
        return
    attributes = {names.RPC_SYSTEM: names.GRPC, names.RPC_METHOD: method, names.SERVER_ADDRESS: target}
    tracer = trace.get_tracer(names.DEEPHYPEBOT)
    with tracer.start_as_current_span(method, kind=trace.SpanKind.CLIENT, attributes=attributes) as span:
        context = span.get_span_context()
        if not context.is_valid:
            yield ()
            return
        parent = traceparent(context.trace_id, context.span_id, flags=context.trace_flags)
        state = context.trace_state.to_header()
        yield ((TRACEPARENT, parent), *(((TRACESTATE, state),) if state else ()))
