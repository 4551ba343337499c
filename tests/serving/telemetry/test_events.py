from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial

import pytest

from serving.telemetry.environment import TracingError, events_address
from serving.telemetry.events import Events, open_events
from tests.serving.collector import Collector, ReceivedEvent, collecting
from tests.serving.support import wait_until

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "OTEL_LOGS_EXPORTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "50")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        yield collector


def test_an_event_arrives_in_its_trace_and_the_last_ones_are_sent_at_the_end(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BLRP_SCHEDULE_DELAY", "60000")
    with open_events("a-service") as events:
        assert events is not None
        events.emit("judged", {"label": "good", "value": 1.0}, at_ns=17, trace_id=TRACE_ID)
        assert not collector.events
    # The end of the block gives them two seconds, and goes on without those that a busy machine has not sent by then.
    wait_until(lambda: collector.events)
    assert collector.events == [
        ReceivedEvent(
            name="judged",
            service="a-service",
            trace_id=TRACE_ID,
            span_id="",
            at_ns=17,
            attributes={"label": "good", "value": 1.0},
        )
    ]
    wait_until(lambda: events.counts() == {"sent": 1, "lost": 0})


@pytest.mark.parametrize("trace_id", ["", "0" * 32, TRACE_ID[1:], TRACE_ID.upper(), "no trace"])
def test_an_event_whose_trace_is_not_one_arrives_without_it(trace_id: str, collector: Collector) -> None:
    with open_events("x") as events:
        assert events is not None
        events.emit("judged", {}, at_ns=17, trace_id=trace_id)
    wait_until(lambda: collector.events)
    assert [event.trace_id for event in collector.events] == [""]


@pytest.mark.parametrize(
    ("variables", "is_on"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://x:4318/v1/logs"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://x:4318/v1/traces"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_LOGS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_standard_variables_switch_events_on_and_off(
    variables: dict[str, str], is_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bool(events_address()) == is_on


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"), ("OTEL_LOGS_EXPORTER", "console")]
)
def test_what_cannot_be_followed_is_refused_with_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://x:4318")
    monkeypatch.setenv(name, value)
    with pytest.raises(TracingError, match=f"{name} is '{value}'; events"), open_events("x"):
        pass


def has_lost(events: Events, number: int) -> bool:
    return events.counts()["lost"] == number


@pytest.mark.slow
def test_a_collector_that_takes_no_events_costs_one_line_of_the_log_with_the_way_out(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 404
    with caplog.at_level(logging.INFO), open_events("x") as events:
        assert events is not None
        for number in range(1, 4):
            events.emit("judged", {}, at_ns=number)
            wait_until(partial(has_lost, events, number))
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    said = f"events cannot be sent to {collector.url}; they are dropped until it takes them"
    assert warnings == [f"{said} (OTEL_LOGS_EXPORTER=none sends spans alone)"]
    assert events.counts() == {"sent": 0, "lost": 3}
