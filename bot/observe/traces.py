"""Traces of the bot's work: a span for each source post, and below it one for each request to the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from serving.telemetry import names
from serving.telemetry.environment import traces_address


@contextmanager
def traced() -> Iterator[None]:
    """Send the spans of this process for the length of the block, if OpenTelemetry's variables say where to.

    Raises:
        TracingError: a variable cannot be followed.
    """
    if not traces_address():
        yield
        return
    from serving.telemetry.tracing import tracing_of_the_process  # noqa: PLC0415 - its libraries take memory

    with tracing_of_the_process(names.BOT):
        yield
