"""Settings, start-up report and end of a program.

It needs only the standard library, since the interpreters of other environments import it.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Settings of a server program."""

    model: Path
    """Folder of the unpacked archive."""
    archive: Path
    """The archive, whose model-config.yaml holds the same settings as below."""
    scratch: Path
    """Private folder of the server."""
    ready: Path
    """File for the server's addresses, written as JSON when it listens."""
    port: int
    """Port on the loopback address for the server."""
    workers: int
    threads: int
    """Threads of torch in each worker."""
    batch_size: int
    delay_ms: int
    shadow: Path | None = None
    """Archive of another version of the same model, which gets a copy of each request; for the gateway alone."""
    arm: Path | None = None
    """Archive of another version, with which the first one is in an interleaved experiment; for the gateway alone."""
    drift: bool = True
    """Whether the gateway compares requests and answers with the versions' references."""
    traces: str = ""
    """Address of a collector to which the gateway sends a trace of each request; empty for none."""
    tls: bool = False
    """Whether the gateway speaks TLS."""
    tokens: bool = False
    """Whether the gateway's clients need a token, and have limits."""
    access_log: bool = False
    """Whether the gateway writes a line for each call."""
    http: bool = False
    """Whether the gateway's HTTP/JSON door is open, on a port of its own."""
    pool: bool = False
    """Whether the pool runs the gateway's workers, not TorchServe."""

    def to_json(self) -> str:
        """Encode the settings as one argument of a command line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Decode the result of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        named = ("model", "archive", "scratch", "ready", "shadow", "arm")
        paths = {name: Path(values[name]) for name in named if values.get(name) is not None}
        return cls(**{**values, **paths})


def server_settings() -> ServerSettings:
    """Return the settings that this program was started with."""
    return ServerSettings.from_json(sys.argv[1])


def announce(settings: ServerSettings, **addresses: str) -> None:
    """Write the server's addresses to the ready file, in one step."""
    write_whole(settings.ready, addresses)


def write_whole(path: Path, document: object) -> None:
    """Write a JSON document in one step, so that it is never read incomplete."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)


def wait_for_end() -> None:
    """Block until the benchmark ends this program with SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
