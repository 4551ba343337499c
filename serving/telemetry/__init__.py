"""Traces of requests, as OpenTelemetry has them. Of its modules, `tracing` alone imports OpenTelemetry."""
