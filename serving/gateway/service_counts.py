"""Counts of the service's parts as metrics: each part keeps plain numbers, which are read when Prometheus asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override


@dataclass(frozen=True, slots=True, kw_only=True)
class _Count:
    meaning: str
    label: str = ""


_COUNTS: Final = {
    "gateway_exposures": _Count(meaning="Exposures that were written."),
    "gateway_exposures_lost": _Count(
        meaning="Exposures that could not be written; their requests were answered all the same."
    ),
    "gateway_shed": _Count(meaning="Requests that were refused or given up for want of time or room.", label="reason"),
    "gateway_denied": _Count(
        meaning="Calls that were refused for want of a valid token, or because their client held too much.",
        label="reason",
    ),
    "gateway_client_calls": _Count(meaning="Calls that were let in, by client of the clients file.", label="client"),
    "gateway_reload_errors": _Count(
        meaning="Changes of the certificate or the clients file that could not be used; the old one stays.",
        label="file",
    ),
    "gateway_asked_again": _Count(meaning="Requests that were asked once more because their worker was lost."),
    "gateway_interleaved": _Count(
        meaning="Requests that all arms of an experiment were asked for: all answered (whole), some, or none (failed).",
        label="outcome",
    ),
    "gateway_sequences": _Count(meaning="Sequences that were decoded."),
    "gateway_sequences_wasted": _Count(meaning="Sequences that were decoded for a client that had left."),
    "gateway_http_responses": _Count(meaning="Responses of the HTTP/JSON door.", label="status"),
    "gateway_spans": _Count(
        meaning="Spans of traces that were sent, or lost because nobody took them.", label="outcome"
    ),
    "gateway_traces_dropped": _Count(meaning="Requests whose spans were dropped because too many waited to be sent."),
    "sync_switches": _Count(meaning="Changes of the champion that answers.", label="model"),
    "sync_errors": _Count(
        meaning="Readings of the registry that failed, or said what cannot be followed.", label="model"
    ),
    "sync_webhooks": _Count(
        meaning="Webhooks of MLflow: accepted, repeated (received before), or refused for their signature or age.",
        label="outcome",
    ),
    "workers_replaced": _Count(meaning="Replacements of workers.", label="reason"),
    "torchserve_restarts": _Count(meaning="Restarts of the worker host, with TorchServe of its JVM.", label="reason"),
    "sync_refused_versions": _Count(meaning="Attempts to make a version live that failed.", label="model"),
}

Source = Callable[[], float | Mapping[str, float]]
"""Function that returns a count since the start, or one for each value of its label. Any thread may call it."""


class ServiceCounts(Collector):
    """Counters that are missing, or zero if they have no label, until their source is named."""

    def __init__(self) -> None:
        self._sources: dict[str, Source] = {}

    def name_source(self, count: str, source: Source) -> None:
        """Read a count from a function from now on.

        Args:
            count: name of the metric, without its prefix and suffix.
            source: returns the count.

        Raises:
            KeyError: there is no such count.
        """
        if count not in _COUNTS:
            raise KeyError(count)
        self._sources[count] = source

    @override
    def collect(self) -> Iterator[Metric]:
        for name, count in _COUNTS.items():
            labels = [count.label] if count.label else []
            family = CounterMetricFamily(f"deephypebot_{name}", count.meaning, labels=labels)
            source = self._sources.get(name)
            value = source() if source else {} if labels else 0
            if isinstance(value, Mapping):
                for label, number in value.items():
                    family.add_metric([label], number)
            else:
                family.add_metric([], value)
            yield family
