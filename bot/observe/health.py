"""HTTP server of `/healthz` and `/metrics` on loopback."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from bot.domain.errors import SettingsError
from foundation.defaults import LOOPBACK

Start = Callable[..., Any]


@dataclass(slots=True, kw_only=True)
class Pulse:
    """Heartbeat of the bot's passes; written by the bot, read by the server's threads."""

    patience_s: float
    """Maximum seconds between the ends of two passes; beyond it, the bot is considered to hang."""
    now: Callable[[], float] = time.monotonic
    problem: str = "no pass has ended yet"
    last_end: float = field(init=False)

    def __post_init__(self) -> None:
        self.last_end = self.now()

    def beat(self, problem: str = "") -> None:
        """Record the end of a pass, with its problem if there was one."""
        self.problem = problem
        self.last_end = self.now()

    def as_document(self) -> dict[str, object]:
        """Return the answer of `/healthz`; an unreachable network does not make the bot unhealthy."""
        age = self.now() - self.last_end
        return {"healthy": age <= self.patience_s, "seconds_since_pass": round(age, 1), "problem": self.problem}


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the overridden name
        """Log nothing: scrapes come every few seconds."""


@contextmanager
def serving(port: int, metrics: CollectorRegistry, pulse: Pulse) -> Iterator[int]:
    """Serve on loopback until the block ends; yield the port, which the system chooses for 0.

    Raises:
        SettingsError: the port is taken.
    """
    scrape = make_wsgi_app(metrics)

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            answer: Iterable[bytes] = scrape(environ, start)
            return answer
        if environ["PATH_INFO"] != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/healthz and /metrics are here\n"]
        document = pulse.as_document()
        start("200 OK" if document["healthy"] else "503 Service Unavailable", [("Content-Type", "application/json")])
        return [json.dumps(document).encode() + b"\n"]

    try:
        server = make_server(LOOPBACK, port, app, server_class=_Server, handler_class=_Quiet)
    except OSError as cause:
        raise SettingsError(f"metrics_port {port} cannot be used: {cause.strerror}; choose another, or 0") from cause
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
