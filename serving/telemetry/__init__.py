"""Traces of requests, as OpenTelemetry has them. Of its modules, `spans` and `tracing` alone import OpenTelemetry."""
