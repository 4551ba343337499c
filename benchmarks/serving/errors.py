"""Errors of the serving benchmark.

BenchError         the benchmark cannot be run as asked, or its picture cannot be written
└── ServerError    a program of the benchmark did not start, or did not do what it was started for
"""

from __future__ import annotations


class BenchError(Exception):
    """The benchmark cannot be run as asked, or its picture cannot be written."""


class ServerError(BenchError):
    """A program of the benchmark did not start, or did not do what it was started for; the message says why."""
