"""Counts of the service's parts as metrics: each part keeps plain numbers, which are read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

_MEANINGS: Final = {
    "gateway_exposures": "Exposures that were written.",
    "gateway_exposures_lost": "Exposures that could not be written; their requests were answered all the same.",
}


class ServiceCounts(Collector):
    """Counters without labels, each zero until its source is named."""

    def __init__(self) -> None:
        self._sources: dict[str, Callable[[], float]] = {}

    def name_source(self, count: str, source: Callable[[], float]) -> None:
        """Read a count from a function from now on.

        Args:
            count: name of the metric, without its prefix and suffix.
            source: returns the count since the start, from any thread.

        Raises:
            KeyError: there is no such count.
        """
        if count not in _MEANINGS:
            raise KeyError(count)
        self._sources[count] = source

    @override
    def collect(self) -> Iterator[Metric]:
        for count, meaning in _MEANINGS.items():
            source = self._sources.get(count)
            yield CounterMetricFamily(f"deephypebot_{count}", meaning, value=source() if source else 0)
