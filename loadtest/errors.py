"""What can go wrong around a load test.

    LoadTestError
    ├── LocustError     locust did not start, or did not end as it should
    ├── ReportError     the files that locust wrote are missing or are not what they should be
    ├── ServerError     a program of the serving benchmark did not start, or did not do what it was started for
    └── BenchError      the serving benchmark cannot be run as asked, or its result cannot be written

A request that fails is no error of the load test: it is counted, under its kind, and is part of the report.
"""


class LoadTestError(Exception):
    """Base of everything that this package raises."""


class LocustError(LoadTestError):
    """Locust did not start, or did not end as it should; the message holds the end of its log."""


class ReportError(LoadTestError):
    """A file of the run is missing or cannot be read as what it should be."""


class ServerError(LoadTestError):
    """A program of the serving benchmark did not start, or did not do what it was started for; the message says why."""


class BenchError(LoadTestError):
    """The serving benchmark cannot be run as asked, or its result cannot be written."""
