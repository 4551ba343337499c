"""OpenTelemetry's variables of the environment that switch traces and events on, read without importing it."""

from __future__ import annotations

import os
from typing import Final

from serving.errors import ServingError

_PROTOCOL: Final = "http/protobuf"
_TRACES: Final = "TRACES"
_LOGS: Final = "LOGS"


class TracingError(ServingError):
    """The environment's variables for traces or events cannot be followed."""


def traces_address() -> str:
    """Return where spans are sent by the environment; empty if tracing is off.

    Raises:
        TracingError: the environment asks for a protocol that is not spoken here.
    """
    return _address(_TRACES, "spans")


def events_address() -> str:
    """Return where events are sent by the environment, which are OpenTelemetry's logs; empty if none are sent.

    Raises:
        TracingError: the environment asks for a protocol that is not spoken here.
    """
    return _address(_LOGS, "events")


def _address(signal: str, what: str) -> str:
    """Return where the data of a signal is sent.

    Args:
        signal: the signal, as the variables name it.
        what: its data, in the words of a message.
    """
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    switch = f"OTEL_{signal}_EXPORTER"
    exporter = os.environ.get(switch, "otlp").strip() or "otlp"
    endpoints = f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    address = next((os.environ[name] for name in endpoints if os.environ.get(name)), "")
    if is_off or not address or exporter == "none":
        return ""
    if exporter != "otlp":
        raise TracingError(f"{switch} is {exporter!r}; {what} are sent by 'otlp' alone: set that, or 'none'")
    for name in (f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if (protocol := os.environ.get(name, "").strip() or _PROTOCOL) != _PROTOCOL:
            raise TracingError(
                f"{name} is {protocol!r}; {what} are sent by {_PROTOCOL!r} alone: unset it, and name the collector's "
                "HTTP port, which is 4318 by default"
            )
    return address
