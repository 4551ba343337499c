from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from serving.telemetry.context import TraceContext
from serving.telemetry.environment import TracingError, traces_address
from serving.telemetry.spans import Attributes, SpanBatch, SpanKind, add_event
from serving.telemetry.tracing import Tracing, open_tracing
from tests.serving.collector import Collector, collecting

PARENT = TraceContext(trace_id=7, span_id=5, is_sampled=True, state="vendor=1")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def _finish(tracing: Tracing, name: str = "work", *, span_id: int = 1) -> None:
    now = time.time_ns()

    def write(batch: SpanBatch) -> None:
        batch.add(name, trace_id=7, span_id=span_id, parent=PARENT, start_ns=now, end_ns=now + 5)

    tracing.finish(write)


def test_without_an_address_nothing_is_sent() -> None:
    assert traces_address() == ""
    with open_tracing("x") as opened:
        assert opened is None


@pytest.mark.parametrize(
    ("variables", "is_on"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "True"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
    ],
)
def test_the_standard_variables_switch_it_on_and_off(
    variables: dict[str, str], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bool(traces_address()) == is_on


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), ("OTEL_TRACES_EXPORTER", "zipkin")]
)
def test_what_cannot_be_followed_is_refused_with_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318")
    monkeypatch.setenv(name, value)
    with pytest.raises(TracingError, match=f"{name} is '{value}'"), open_tracing("x"):
        pass


def test_spans_arrive_with_their_parents_services_and_times(collector: Collector) -> None:
    with open_tracing("a-service") as opened:
        assert opened is not None
        tracing, sender = opened
        now = time.time_ns()

        def write(batch: SpanBatch) -> None:
            call = batch.add(
                "call",
                trace_id=7,
                span_id=1,
                parent=PARENT,
                start_ns=now,
                end_ns=now + 9,
                kind=SpanKind.SERVER,
                error="no",
            )
            add_event(call, "chosen", now, {"why": "split"})
            values: Attributes = {"n": 3, "x": 0.5, "is": True, "texts": ("a", "b")}
            batch.add(
                "decode", trace_id=7, span_id=2, parent=1, start_ns=now, end_ns=now - 1, attributes=values, service=1
            )

        tracing.finish(write)
        call, decode = sorted(collector.wait_for(2), key=lambda span: span.span_id)
    assert (call.service, decode.service) == ("a-service", "deephypebot-worker")
    assert (call.trace_id, call.parent_id, decode.parent_id) == (f"{7:032x}", f"{5:016x}", call.span_id)
    assert (call.end_ns - call.start_ns, decode.end_ns - decode.start_ns) == (9, 0)
    assert decode.attributes == {"n": 3, "x": 0.5, "is": True, "texts": ["a", "b"]}
    assert call.events == {"chosen": {"why": "split"}}
    assert (call.kind, call.is_error, call.message, decode.is_error) == (2, True, "no", False)
    assert sender.counts() == {"sent": 2, "lost": 0}


def test_the_last_spans_are_sent_at_the_end(collector: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    with open_tracing("x") as opened:
        assert opened is not None
        _finish(opened[0])
        assert not collector.spans
    assert [span.name for span in collector.spans] == ["work"]


def test_spans_that_cannot_be_made_harm_no_others(collector: Collector) -> None:
    def broken(_: SpanBatch) -> None:
        raise ValueError("on purpose")

    with open_tracing("x") as opened:
        assert opened is not None
        tracing, sender = opened
        tracing.finish(broken)
        while not sender.lost:
            time.sleep(0.01)
        _finish(tracing)
        collector.wait_for(1)


def test_a_request_whose_spans_cannot_be_written_costs_its_own_alone(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")  # one batch, sent at the end
    now = time.time_ns()

    def broken(batch: SpanBatch) -> None:
        batch.add("whole", trace_id=7, span_id=8, parent=PARENT, start_ns=now, end_ns=now)
        batch.add("half", trace_id=7, span_id=9, parent=PARENT, start_ns=now, end_ns=now, attributes={"no": object()})  # type: ignore[dict-item]

    with open_tracing("x") as opened:
        assert opened is not None
        tracing, sender = opened
        _finish(tracing, "before", span_id=1)
        tracing.finish(broken)
        _finish(tracing, "after", span_id=2)
    assert sorted(span.name for span in collector.spans) == ["after", "before"]
    assert sender.counts() == {"sent": 2, "lost": 2}
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "2 spans could not be written and are lost; further ones are counted alone"
    ]


@pytest.mark.slow
def test_a_collector_that_is_away_costs_spans_and_one_line_of_the_log_and_ends_nothing_late(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    with caplog.at_level(logging.INFO), open_tracing("x") as opened:
        assert opened is not None
        tracing, sender = opened
        for number in range(1, 4):
            _finish(tracing, span_id=number)
            while sender.lost < number:
                time.sleep(0.01)
        collector.status = 200
        _finish(tracing, span_id=4)
        collector.wait_for(1)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        f"spans cannot be sent to {collector.url}; they are dropped until it takes them"
    ]
    assert sender.counts() == {"sent": 1, "lost": 3}


@pytest.mark.slow
def test_a_collector_that_hangs_holds_neither_spans_nor_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
        monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
        with open_tracing("x") as opened:
            assert opened is not None
            started = time.monotonic()
            for number in range(1, 1_000):
                _finish(opened[0], span_id=number)
            assert time.monotonic() - started < 5  # a single sending would last its 10 s
            ending = time.monotonic()
        assert time.monotonic() - ending < 8


def test_requests_that_the_full_queue_drops_are_counted_to_the_last_one(
    collector: Collector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    is_held, may_go = threading.Event(), threading.Event()

    def held(batch: SpanBatch) -> None:
        """Keep the thread that sends, so that the queue fills."""
        is_held.set()
        assert may_go.wait(20)
        batch.add("held", trace_id=7, span_id=99, parent=PARENT, start_ns=0, end_ns=0)

    with open_tracing("x") as opened:
        assert opened is not None
        tracing, sender = opened
        for number in range(7):
            _finish(tracing, span_id=number + 1)
        tracing.finish(held)  # the eighth: the batch is sent
        assert is_held.wait(20)
        for number in range(20):
            _finish(tracing, str(number), span_id=100 + number)
        may_go.set()
        collector.wait_for(16)
    assert sender.dropped == 12
    assert sorted(int(span.name) for span in collector.spans if span.name.isdigit()) == list(range(12, 20))
    assert sender.counts() == {"sent": 16, "lost": 0}
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1
    assert said[0].startswith("the spans of 12 requests were dropped, because too many waited")


@pytest.mark.parametrize(
    ("sampler", "parent", "expected"),
    [
        ("", None, True),
        ("always_off", None, False),
        ("parentbased_always_off", None, False),
        ("parentbased_always_off", PARENT, True),
        ("parentbased_always_on", TraceContext(trace_id=7, span_id=5, is_sampled=False), False),
        ("parentbased_traceidratio", None, False),
    ],
)
def test_the_standard_sampler_decides_and_a_parent_before_it(
    sampler: str, parent: TraceContext | None, expected: bool, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert collector.url
    if sampler:
        monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
        monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    with open_tracing("x") as opened:
        assert opened is not None
        trace_id, is_sampled = opened[0].trace_of(parent, "call")
    assert is_sampled is expected
    assert trace_id == 7 if parent else trace_id > 0
