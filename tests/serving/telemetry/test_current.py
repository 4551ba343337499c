from __future__ import annotations

import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from serving.telemetry.context import TraceContext
from serving.telemetry.current import calling, working


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Ended spans of a program that uses OpenTelemetry."""
    provider, kept = TracerProvider(shutdown_on_exit=False), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return kept


def test_a_call_within_work_is_below_it_and_its_metadata_leads_to_it(kept: InMemorySpanExporter) -> None:
    with working("write", {"post": "1"}) as work:
        with calling("a.Service/Method", "127.0.0.1:1") as metadata:
            pass
        work.note({"songs": 2})
    call, write = kept.get_finished_spans()
    assert (call.context, write.context) != (None, None)
    assert call.context is not None
    assert call.parent == write.context
    context = TraceContext.parse(dict(metadata)["traceparent"])
    assert context is not None
    assert (context.trace_id, context.span_id, context.is_sampled) == (
        call.context.trace_id,
        call.context.span_id,
        True,
    )
    assert dict(write.attributes or {}) == {"post": "1", "songs": 2}


def test_an_error_is_named_and_neither_its_message_nor_its_stack_is(kept: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="secret"), working("write", {}):
        raise ValueError("a secret of somebody")
    (span,) = kept.get_finished_spans()
    assert not span.status.is_ok
    assert (span.attributes or {})["error.type"] == "ValueError"
    assert "secret" not in span.to_json()


def test_a_program_without_opentelemetry_makes_no_span_and_imports_none() -> None:
    program = (
        "import sys; from serving.telemetry.current import calling, working\n"
        "with working('w', {}) as work, calling('m', 't') as metadata: work.note({'a': 1}); assert metadata == ()\n"
        "import bot.services.commentary_writer, bot.observe.telemetry, serving.client\n"
        "with bot.observe.telemetry.telemetry() as events: assert events is None\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
