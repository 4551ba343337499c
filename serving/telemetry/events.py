"""Events of this process, sent by OTLP as records of its log. Off unless OpenTelemetry's variables say where to.

    OTEL_EXPORTER_OTLP_ENDPOINT        base address of a collector, such as http://127.0.0.1:4318
    OTEL_EXPORTER_OTLP_LOGS_ENDPOINT   or the whole address for logs
    OTEL_LOGS_EXPORTER=none            no events, where traces are wanted alone
    OTEL_BLRP_*, OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, ...   as everywhere

Events wait in a bounded queue and are sent by a thread, as spans are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry._logs import Logger, LogRecord
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.trace import NonRecordingSpan, SpanContext
from typing_extensions import override

from foundation.version import project_version
from serving.telemetry import names
from serving.telemetry.delivery import Delivery, sending
from serving.telemetry.environment import TracingError, events_address
from serving.telemetry.resources import resource_of

_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_WAY_OUT: Final = "OTEL_LOGS_EXPORTER=none sends spans alone"


class Events:
    """Maker of the events of a service.

    Args:
        logger: takes them; it must not block.
        delivery: counts them.
    """

    def __init__(self, logger: Logger, delivery: Delivery) -> None:
        self._logger = logger
        self._delivery = delivery

    def emit(self, name: str, attributes: Mapping[str, str | float], *, at_ns: int, trace_id: str = "") -> None:
        """Let an event be sent.

        Args:
            name: name of the event.
            attributes: attributes by their names.
            at_ns: its moment, in nanoseconds since 1970.
            trace_id: trace to which it belongs, 32 hexadecimal digits; without one it belongs to none.
        """
        number = int(trace_id, 16) if _TRACE_ID.fullmatch(trace_id) else 0
        # The span within the trace is not known here: the event names its answer instead, as the conventions have it.
        span = NonRecordingSpan(SpanContext(number, 0, is_remote=True))
        context = trace.set_span_in_context(span, Context())
        self._logger.emit(LogRecord(timestamp=at_ns, context=context, event_name=name, attributes=attributes))

    def counts(self) -> dict[str, int]:
        """Return the number of events since the start, by what became of them."""
        return {"sent": self._delivery.sent, "lost": self._delivery.lost}


class _Exporter(LogRecordExporter):
    """OpenTelemetry's exporter, with counts and one line of the log in place of one for each batch."""

    def __init__(self, exporter: OTLPLogExporter, delivery: Delivery) -> None:
        self._exporter = exporter
        self._delivery = delivery

    @override
    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        try:
            result = self._exporter.export(batch)
        except Exception:  # noqa: BLE001 - whatever it is, the events are lost and the log should say so once
            result = LogRecordExportResult.FAILURE
        self._delivery.note(len(batch), is_taken=result is LogRecordExportResult.SUCCESS)
        return result

    @override
    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    @override
    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def open_events(service: str) -> Iterator[Events | None]:
    """Send the events of a service for the length of the block, where the environment says where to.

    Args:
        service: name of the service, unless OTEL_SERVICE_NAME gives another.

    Yields:
        What makes the events; None where the environment names no address.

    Raises:
        TracingError: a variable of the environment cannot be followed.
    """
    address = events_address()
    if not address:
        yield None
        return
    delivery = Delivery("events", address, _WAY_OUT)
    try:
        provider = LoggerProvider(resource=resource_of(service), shutdown_on_exit=False)
        processor = BatchLogRecordProcessor(_Exporter(OTLPLogExporter(), delivery))
    except ValueError as fault:
        raise TracingError(f"the variables OTEL_* cannot be followed: {fault}") from fault
    provider.add_log_record_processor(processor)
    with sending(processor.shutdown):
        yield Events(provider.get_logger(names.DEEPHYPEBOT, project_version()), delivery)
