from __future__ import annotations

import http.server
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.errors import ServingError
from serving.gateway.metrics import GatewayMetrics
from serving.gateway.metrics_page import metrics_page

WORKERS = b"# HELP deephypebot_worker_rows Rows.\n# TYPE deephypebot_worker_rows gauge\ndeephypebot_worker_rows 4\n"


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of ours
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return str(answer.read().decode())


def values(page: str) -> dict[str, float]:
    return {sample.name: sample.value for family in text_string_to_metric_families(page) for sample in family.samples}


@contextmanager
def torchserve_page(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A loopback server in the place of TorchServe's page of metrics."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer_well(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200 if handler.path == "/metrics" else 404)
    handler.end_headers()
    handler.wfile.write(WORKERS)


@pytest.mark.slow
def test_the_page_is_on_loopback_for_the_length_of_the_block() -> None:
    with metrics_page(GatewayMetrics(lambda: 3), 0) as url:
        assert url.startswith("http://127.0.0.1:")
        assert values(read(url))["deephypebot_gateway_in_flight"] == 3
    with pytest.raises(urllib.error.URLError):
        read(url)


@pytest.mark.slow
def test_torchserves_page_stands_behind_the_gateways_own() -> None:
    with (
        torchserve_page(answer_well) as theirs,
        metrics_page(GatewayMetrics(lambda: 3), 0, workers_url=lambda: theirs) as url,
    ):
        page = read(url)
    assert page.endswith(WORKERS.decode())
    seen = values(page)
    assert (seen["deephypebot_worker_rows"], seen["deephypebot_gateway_in_flight"]) == (4, 3)
    assert seen["deephypebot_gateway_torchserve_up"] == 1


def hang(_: http.server.BaseHTTPRequestHandler) -> None:
    time.sleep(1.5)


def fail(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_error(500)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["none", "nobody listens", "hangs", "fails"])
def test_without_torchserves_page_the_rest_is_served_and_a_gauge_says_so(fault: str) -> None:
    with torchserve_page(hang if fault == "hangs" else fail) as theirs:
        address = {"none": None, "nobody listens": "http://127.0.0.1:1/metrics"}.get(fault, theirs)
        with metrics_page(GatewayMetrics(lambda: 3), 0, workers_url=lambda: address) as url:
            started = time.monotonic()
            seen = values(read(url))
            assert time.monotonic() - started < 4
    assert seen["deephypebot_gateway_in_flight"] == 3
    assert seen["deephypebot_gateway_torchserve_up"] == 0


def test_a_port_in_use_is_named_with_the_setting_that_changes_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as owner:
        port = owner.getsockname()[1]
        with (
            pytest.raises(ServingError, match=rf"port {port} on 127\.0\.0\.1 .*--gateway-metrics-port"),
            metrics_page(GatewayMetrics(lambda: 0), port),
        ):
            pass


def test_an_address_that_is_not_this_machines_is_named_with_the_setting_that_changes_it() -> None:
    with (
        pytest.raises(ServingError, match=r"on 192\.0\.2\.1 .*--gateway-metrics-host"),
        metrics_page(GatewayMetrics(lambda: 0), 0, host="192.0.2.1"),
    ):
        pass


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_the_page_listens_on_the_address_that_is_asked_for_alone(host: str) -> None:
    shown = f"[{host}]" if ":" in host else host
    with metrics_page(GatewayMetrics(lambda: 3), 0, host=host) as url:
        assert url.startswith(f"http://{shown}:")
        assert values(read(url))["deephypebot_gateway_in_flight"] == 3
        with pytest.raises(urllib.error.URLError):
            read(url.replace(shown, "127.0.0.1"))
