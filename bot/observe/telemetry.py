"""The bot's work as seen from outside: a span for each source post and each request, and an event for each verdict."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from bot.adapters.evaluation_events import OtlpEvaluationEvents
from bot.ports import EvaluationEvents
from serving.telemetry import names
from serving.telemetry.environment import events_address, traces_address


@contextmanager
def telemetry() -> Iterator[EvaluationEvents | None]:
    """Send the spans and events of this process for the length of the block, if OpenTelemetry's variables say where to.

    Yields:
        What sends verdicts as events; None where nobody wants any.

    Raises:
        TracingError: a variable cannot be followed.
    """
    # Imported where they are needed: their libraries take memory.
    with ExitStack() as stack:
        if traces_address():
            from serving.telemetry.tracing import tracing_of_the_process  # noqa: PLC0415

            stack.enter_context(tracing_of_the_process(names.BOT))
        if not events_address():
            yield None
            return
        from serving.telemetry.events import open_events  # noqa: PLC0415

        events = stack.enter_context(open_events(names.BOT))
        yield OtlpEvaluationEvents(events) if events is not None else None
