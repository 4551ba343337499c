"""HTTP server of `/healthz` and `/metrics`, on loopback unless another address is given."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from bot.domain.errors import SettingsError
from foundation.defaults import LOOPBACK
from foundation.page_server import page_server

Start = Callable[..., Any]


class PassResult(StrEnum):
    """Result of a pass."""

    GOOD = "good"
    """Every part did its work."""
    PROBLEMS = "problems"
    """At least one part could not do its work, such as a network that does not answer."""
    FAILED = "failed"
    """The pass ended with an error, such as a database that cannot be written."""


@dataclass(slots=True, kw_only=True)
class Pulse:
    """Heartbeat of the bot's passes; written by the bot, read by the server's threads."""

    patience_s: float
    """Maximum seconds without a sign of life; beyond it, the bot is considered to hang."""
    now: Callable[[], float] = time.monotonic
    problem: str = "no pass has ended yet"
    unwritable: Callable[[], str] = str
    """Returns the reason why the database cannot be written; empty if it can."""
    failed: bool = False
    """Whether the last pass ended with an error."""
    last_end: float = field(init=False)
    last_good_at: float | None = None
    """Time of the end of the last good pass, in seconds since the epoch."""
    passes: Counter[str] = field(default_factory=Counter)
    """Number of passes by result, since the start of the process."""
    problems: Counter[str] = field(default_factory=Counter)
    """Number of problems by part of the bot, since the start of the process."""
    gateway_errors: int = 0
    """Number of passes whose requests for commentary ended early, since the start of the process."""

    def __post_init__(self) -> None:
        self.last_end = self.now()

    def beat(self, problem: str = "", *, failed: bool = False) -> None:
        """Record the end of a pass, with its problem if there was one."""
        result = PassResult.FAILED if failed else PassResult.PROBLEMS if problem else PassResult.GOOD
        self.passes[result] += 1
        if result is PassResult.GOOD:
            self.last_good_at = time.time()
        self.problem = problem
        self.failed = failed
        self.last_end = self.now()

    def live(self) -> None:
        """Record that the bot works: a long pass is not a hang as long as its work proceeds."""
        self.last_end = self.now()

    @property
    def hangs(self) -> bool:
        """Whether there was no sign of life for too long."""
        return self.now() - self.last_end > self.patience_s

    def as_document(self) -> dict[str, object]:
        """Return the answer of `/healthz`; an unreachable network does not make the bot unhealthy."""
        unwritable = self.unwritable()
        return {
            "healthy": not (self.hangs or self.failed or unwritable),
            "seconds_since_pass": round(self.now() - self.last_end, 1),
            "problem": "; ".join(filter(None, [unwritable, self.problem])),
        }


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the overridden name
        """Log nothing: scrapes come every few seconds."""


@contextmanager
def serving(port: int, metrics: CollectorRegistry, pulse: Pulse, *, host: str = LOOPBACK) -> Iterator[int]:
    """Serve until the block ends; yield the port, which the system chooses for 0.

    Raises:
        SettingsError: the address cannot be used.
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
        server = make_server(host, port, app, server_class=page_server(host), handler_class=_Quiet)
    except OSError as cause:
        place = "" if host == LOOPBACK else f" on {host}"
        raise SettingsError(
            f"metrics_port {port} cannot be used{place}: {cause.strerror}; choose another, or 0"
        ) from cause
    thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
