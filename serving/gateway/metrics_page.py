"""One page of metrics for Prometheus: the gateway's own, and the worker host's page behind them."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.types import StartResponse, WSGIEnvironment

from prometheus_client import generate_latest

from foundation.defaults import LOOPBACK
from foundation.page_server import page_server
from serving.errors import ServingError
from serving.gateway.metrics import GatewayMetrics

_CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
"""Format of both parts."""
_TIMEOUT_S: Final = 1.0
"""Time for the worker host's page; it is there in milliseconds, or the host hangs."""
_MAX_PAGE_BYTES: Final = 8 * 2**20


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Log no scrapes."""


@contextlib.contextmanager
def metrics_page(
    metrics: GatewayMetrics,
    port: int,
    *,
    host: str = LOOPBACK,
    workers_url: Callable[[], str | None] = lambda: None,
) -> Iterator[str]:
    """Serve metrics for the length of the block, and yield the page's address.

    Args:
        metrics: the gateway's metrics.
        port: 0 takes any free one.
        host: address to listen on. The page asks nobody who they are.
        workers_url: returns the address of the worker host's page, which is fetched at each scrape; None while
            there is no host. Where it does not answer, the rest is served without it.

    Raises:
        ServingError: the address cannot be used.
    """
    scraping = threading.Lock()

    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        url = workers_url()
        theirs = _fetch(url) if url else None
        with scraping:  # so that the gauge is that of this scrape
            metrics.workers_up.set(theirs is not None)
            ours = generate_latest(metrics.registry)
        start_response("200 OK", [("Content-Type", _CONTENT_TYPE)])
        return [ours, theirs or b""]

    try:
        server = make_server(host, port, application, page_server(host), handler_class=_QuietHandler)
    except OSError as cause:
        raise ServingError(
            f"the gateway's metrics cannot use port {port} on {host} ({cause.strerror}): choose another with "
            "--gateway-metrics-port or DEEPHYPEBOT_GATEWAY_METRICS_PORT, and another address with "
            "--gateway-metrics-host or DEEPHYPEBOT_GATEWAY_METRICS_HOST"
        ) from cause
    thread = threading.Thread(target=server.serve_forever, name="metrics page", daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _fetch(url: str) -> bytes | None:
    """Fetch a page of metrics; None if it is not there in time."""
    address = urlsplit(url)
    # http.client itself, because urllib uses the environment's proxies even for loopback.
    connection = http.client.HTTPConnection(address.hostname or LOOPBACK, address.port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", address.path)
        response = connection.getresponse()
        page = response.read(_MAX_PAGE_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return page if response.status == http.client.OK else None
