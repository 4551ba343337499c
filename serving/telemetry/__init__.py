"""Traces of requests, as OpenTelemetry has them. Only `serving.telemetry.tracing` imports OpenTelemetry."""
