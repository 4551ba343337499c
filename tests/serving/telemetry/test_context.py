from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.telemetry.context import TraceContext, context_in

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_a_context_comes_back_from_its_header_and_opentelemetry_reads_the_same(
    trace_id: int, span_id: int, is_sampled: bool
) -> None:
    context = TraceContext(trace_id=trace_id, span_id=span_id, is_sampled=is_sampled)
    assert TraceContext.parse(context.traceparent) == context
    read = get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": context.traceparent})
    ).get_span_context()
    assert (read.trace_id, read.span_id, read.trace_flags.sampled) == (trace_id, span_id, is_sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + "0",
        PARENT + "-",
        PARENT + "-more",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + PARENT[35:],
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        " " + PARENT,
        "x" * 10_000,
    ],
)
def test_a_header_that_is_not_valid_is_none(header: str) -> None:
    assert TraceContext.parse(header) is None
    assert context_in([("traceparent", header)]) is None


def test_a_later_version_may_have_more_parts() -> None:
    context = TraceContext.parse("01" + PARENT[2:] + "-more")
    assert context is not None
    assert context.traceparent == PARENT


@pytest.mark.parametrize("state", ["a=1,b=2", "", "x" * 513, "a=\n", "ä=1"])
def test_a_state_is_passed_on_if_it_can_be(state: str) -> None:
    context = TraceContext.parse(PARENT, state)
    assert context is not None
    assert context.state == ("a=1,b=2" if state == "a=1,b=2" else "")


def test_the_calls_metadata_counts_before_the_requests_field_unless_it_is_not_valid() -> None:
    def found(metadata: list[tuple[str, str | bytes]], parent: str = "") -> str:
        context = context_in(metadata, parent)
        return context.traceparent if context is not None else ""

    assert found([]) == ""
    assert found([], OTHER) == OTHER
    assert found([("traceparent", PARENT), ("user-agent", "x")], OTHER) == PARENT
    assert found([("traceparent", "nonsense")], OTHER) == OTHER
    assert found([("traceparent", PARENT.encode())], OTHER) == OTHER
