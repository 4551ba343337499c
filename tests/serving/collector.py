"""A collector of spans and events on loopback that speaks OTLP over HTTP, as the real exporters do."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True, kw_only=True)
class Received:
    """A span as it arrived."""

    name: str
    service: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Any]
    events: dict[str, dict[str, Any]]
    kind: int
    is_error: bool
    message: str


@dataclass(frozen=True, kw_only=True)
class ReceivedEvent:
    """An event as it arrived."""

    name: str
    service: str
    trace_id: str
    span_id: str
    at_ns: int
    attributes: dict[str, Any]


@dataclass
class Collector:
    """Spans and events that arrived."""

    url: str = ""
    spans: list[Received] = field(default_factory=list)
    events: list[ReceivedEvent] = field(default_factory=list)
    status: int = 200
    """Status of its answers."""
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def wait_for(self, count: int, *, trace_id: str = "", timeout_s: float = 20) -> list[Received]:
        """Spans of a trace, or all, when there are as many."""

        def found() -> list[Received]:
            return [span for span in self.spans if trace_id in {"", span.trace_id}]

        with self.arrived:
            assert self.arrived.wait_for(lambda: len(found()) >= count, timeout_s), [each.name for each in found()]
            return found()

    def receive(self, body: bytes) -> None:
        """Take a message of spans."""
        request = ExportTraceServiceRequest.FromString(body)
        with self.arrived:
            for resource_spans in request.resource_spans:
                service = _values(resource_spans.resource.attributes)["service.name"]
                for scope_spans in resource_spans.scope_spans:
                    self.spans += [_received(span, service) for span in scope_spans.spans]
            self.arrived.notify_all()

    def receive_events(self, body: bytes) -> None:
        """Take a message of logs."""
        request = ExportLogsServiceRequest.FromString(body)
        with self.arrived:
            for resource_logs in request.resource_logs:
                service = _values(resource_logs.resource.attributes)["service.name"]
                for scope_logs in resource_logs.scope_logs:
                    self.events += [_received_event(record, service) for record in scope_logs.log_records]
            self.arrived.notify_all()


def _received_event(record: Any, service: str) -> ReceivedEvent:
    return ReceivedEvent(
        name=record.event_name,
        service=service,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        at_ns=record.time_unix_nano,
        attributes=_values(record.attributes),
    )


def _received(span: Any, service: str) -> Received:
    return Received(
        name=span.name,
        service=service,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        events={event.name: _values(event.attributes) for event in span.events},
        kind=span.kind,
        is_error=span.status.code == 2,
        message=span.status.message,
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receive, answer = {
                "/v1/traces": (collector.receive, ExportTraceServiceResponse().SerializeToString()),
                "/v1/logs": (collector.receive_events, ExportLogsServiceResponse().SerializeToString()),
            }[self.path]
            assert self.headers["Content-Type"] == "application/x-protobuf"
            if collector.status == 200:
                receive(body)
            self.send_response(collector.status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
