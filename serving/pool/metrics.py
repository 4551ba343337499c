"""Metrics of the pool's workers, summed up over all of them, and their Prometheus page."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, make_server

import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from typing_extensions import override

from foundation.defaults import LOOPBACK
from foundation.page_server import page_server
from serving.errors import WorkerHostError

_log = logging.getLogger(__name__)

_FILE: Final = Path(__file__).parents[1] / "workers" / "metrics.yaml"
_MOST_SERIES: Final = 1000
"""Series of a metric: each takes memory for as long as the service runs."""
_LONGEST_LABEL: Final = 200
_HOST_LABEL: Final = "Hostname"
_KINDS: Final[Mapping[str, type[Counter | Gauge | Histogram]]] = {
    "counter": Counter,
    "gauge": Gauge,
    "histogram": Histogram,
}


class PoolMetrics:
    """Metrics that the metrics file names for workers; others are not counted.

    A histogram has the boundaries of Prometheus's own clients, 0.005 to 10, made for seconds.
    """

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._hostname = socket.gethostname()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        self._series: dict[str, set[tuple[str, ...]]] = {}
        """Values of labels that each metric has had."""
        self.names: dict[str, list[str]] = {}
        """Names of the metrics by their kind, as workers are told."""
        document: dict[str, Any] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))["model_metrics"]
        for kind, entries in document.items():
            self.names[kind] = [entry["name"] for entry in entries]
            for entry in entries:
                name, labels = entry["name"], [*entry["dimensions"], _HOST_LABEL]
                self._metrics[name] = _KINDS[kind](name, entry["name"], labels, registry=self.registry)

    def add(self, taken: Iterable[Sequence[Any]]) -> None:
        """Count what a worker has counted since its last message: names, values, and values of labels.

        The code of an archive sends them, so one that does not fit is left out, and so are series beyond the limit.
        """
        for entry in taken:
            try:
                name, value, labels = entry
                child = self._metrics[name].labels(*self._checked(name, labels), self._hostname)
                if isinstance(child, Counter):
                    child.inc(value)
                elif isinstance(child, Gauge):
                    child.set(value)
                else:
                    child.observe(value)
            except (KeyError, ValueError, TypeError) as fault:
                _log.debug("a worker counts %r, which is not in the metrics file: %r", entry, fault)

    def _checked(self, name: str, labels: Iterable[object]) -> tuple[str, ...]:
        """Return values of labels as texts.

        Raises:
            ValueError: one is too long, or the metric has too many series.
        """
        values, known = tuple(map(str, labels)), self._series.setdefault(name, set())
        if values not in known:
            if len(known) >= _MOST_SERIES or any(len(value) > _LONGEST_LABEL for value in values):
                raise ValueError(f"{name} has {len(known)} series, and labels of {[len(value) for value in values]}")
            known.add(values)
        return values


class _QuietHandler(WSGIRequestHandler):
    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log no scrapes."""


@contextmanager
def metrics_page(registry: CollectorRegistry, port: int) -> Iterator[str]:
    """Serve metrics on loopback for the length of the block, and yield the page's address.

    Args:
        registry: the metrics.
        port: 0 takes any free one.

    Raises:
        WorkerHostError: the port cannot be used.
    """
    application = make_wsgi_app(registry)
    try:
        server = make_server(LOOPBACK, port, application, page_server(LOOPBACK), handler_class=_QuietHandler)
    except OSError as cause:
        raise WorkerHostError(
            f"the workers' metrics cannot use port {port} on {LOOPBACK} ({cause.strerror}): choose another with "
            "--metrics-port or DEEPHYPEBOT_TORCHSERVE_METRICS_PORT"
        ) from cause
    thread = Thread(target=server.serve_forever, name="metrics page of the workers", daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
