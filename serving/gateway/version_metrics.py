"""Metrics of the live versions, read from their figures when Prometheus asks.

No request pays for labels, and the series are those of the versions that the figures know, whatever clients ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from serving.traffic.drift_book import DriftBook
from serving.traffic.figures import Durations, FigureBook

_VERSION: Final = ("model", "version")
_HISTOGRAMS: Final = {
    "queue": ("deephypebot_gateway_queue_seconds", "Time of an answered request outside its worker's computation."),
    "backend": (
        "deephypebot_gateway_backend_seconds",
        "Time of the worker's computation for an answered request.",
    ),
}


class VersionMetrics(Collector):
    """Metrics by model and version.

    Args:
        book: figures of the versions.
        drift: watch over their traffic.
    """

    def __init__(self, book: FigureBook, drift: DriftBook) -> None:
        self._book = book
        self._drift = drift

    @override
    def collect(self) -> Iterator[Metric]:
        histograms = {
            which: HistogramMetricFamily(name, meaning, labels=_VERSION)
            for which, (name, meaning) in _HISTOGRAMS.items()
        }
        answers = CounterMetricFamily(
            "deephypebot_gateway_answers", "Requests that a version answered; each has an exposure.", labels=_VERSION
        )
        errors = CounterMetricFamily(
            "deephypebot_gateway_errors", "Valid requests that a version did not answer.", labels=_VERSION
        )
        shadows = CounterMetricFamily(
            "deephypebot_gateway_shadows",
            "Copies of requests that were offered to a shadow version.",
            labels=(*_VERSION, "outcome"),
        )
        for model, version, figures in self._book:
            labels = (model, version)
            _add(histograms["queue"], labels, figures.queue)
            _add(histograms["backend"], labels, figures.backend)
            answers.add_metric(labels, figures.answers)
            errors.add_metric(labels, figures.errors)
            if any(figures.shadows.values()):
                for outcome, number in figures.shadows.items():
                    shadows.add_metric((*labels, outcome), number)
        yield from histograms.values()
        yield from (answers, errors, shadows, self._drifts())

    def _drifts(self) -> Metric:
        drifts = CounterMetricFamily(
            "deephypebot_gateway_drift_alarms",
            "Features of a version's traffic that have drifted from its reference, at most one a feature and day.",
            labels=(*_VERSION, "feature"),
        )
        for model, version, feature, number in self._drift.alarms():
            drifts.add_metric((model, version, feature), number)
        return drifts


def _add(family: HistogramMetricFamily, labels: tuple[str, str], durations: Durations) -> None:
    family.add_metric(labels, buckets=durations.buckets(), sum_value=durations.total_s)
