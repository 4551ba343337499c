"""OpenTelemetry's variables of the environment that switch tracing on, read without importing OpenTelemetry."""

from __future__ import annotations

import os
from typing import Final

from serving.errors import ServingError

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_PROTOCOL: Final = "http/protobuf"


class TracingError(ServingError):
    """The environment's variables for traces cannot be followed."""


def traces_address() -> str:
    """Return where spans are sent by the environment; empty if tracing is off.

    Raises:
        TracingError: the environment asks for a protocol that is not spoken here.
    """
    is_off = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip() or "otlp"
    address = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), "")
    if is_off or not address or exporter == "none":
        return ""
    if exporter != "otlp":
        raise TracingError(f"OTEL_TRACES_EXPORTER is {exporter!r}; spans are sent by 'otlp' alone: set that, or 'none'")
    for name in _PROTOCOLS:
        if (protocol := os.environ.get(name, "").strip() or _PROTOCOL) != _PROTOCOL:
            raise TracingError(
                f"{name} is {protocol!r}; spans are sent by {_PROTOCOL!r} alone: unset it, and name the collector's "
                "HTTP port, which is 4318 by default"
            )
    return address
