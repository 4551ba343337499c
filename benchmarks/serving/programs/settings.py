"""How a program is told what to do, how it says that it is ready, and when it ends.

Only the standard library: the interpreters of other environments import this.
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
    """What every server program is told."""

    model: Path
    """Folder of the unpacked archive."""
    archive: Path
    """The archive itself, whose model-config.yaml says the same as the settings below."""
    scratch: Path
    """A folder of the server's own."""
    ready: Path
    """Where it writes its addresses, as JSON, when it listens."""
    port: int
    """A port of 127.0.0.1 that was free."""
    workers: int
    threads: int
    """Of torch, in each worker."""
    batch_size: int
    delay_ms: int

    def to_json(self) -> str:
        """As one argument of a command line."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> ServerSettings:
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        paths = {name: Path(values[name]) for name in ("model", "archive", "scratch", "ready")}
        return cls(**{**values, **paths})


def server_settings() -> ServerSettings:
    """The settings that this program was started with."""
    return ServerSettings.from_json(sys.argv[1])


def announce(settings: ServerSettings, **addresses: str) -> None:
    """Say where the server listens; in one step, so that nobody reads half of it."""
    write_whole(settings.ready, addresses)


def write_whole(path: Path, document: object) -> None:
    """Write a JSON document that appears whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(document), encoding="utf-8")
    partial.replace(path)


def wait_for_end() -> None:
    """Block until the benchmark lets go of this program (SIGTERM)."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
