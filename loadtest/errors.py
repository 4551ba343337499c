"""Errors of the load test.

    LoadTestError
    ├── LocustError    locust did not start, or did not end as it should
    └── ReportError    a file that locust wrote is missing or damaged

A request that fails is not an error of the load test: it is counted under its kind, and is part of the report.
"""

from __future__ import annotations


class LoadTestError(Exception):
    """Base of everything that this package raises."""


class LocustError(LoadTestError):
    """Locust did not start, or did not end as it should; the message holds the end of its log."""


class ReportError(LoadTestError):
    """A file of the run is missing or damaged."""
