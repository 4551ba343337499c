"""Traces of requests, and events, as OpenTelemetry has them.

`context`, `course`, `current`, `delivery`, `environment` and `names` do not import it.
"""
