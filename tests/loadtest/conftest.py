import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

LOOPBACK = Path(__file__).with_name("loopback_server.py")


@dataclass
class LoopbackServer:
    """The Commentary service of loopback_server.py, in a process of its own."""

    process: subprocess.Popen[str]
    target: str
    told: dict[str, Any] = field(default_factory=dict)

    def stop(self) -> dict[str, Any]:
        """End it and hear how often it did what."""
        if not self.told:
            self.process.send_signal(signal.SIGTERM)
            out, _ = self.process.communicate(timeout=20)
            self.told = json.loads(out.splitlines()[-1])
        return self.told


@pytest.fixture
def serve() -> Iterator[Callable[..., LoopbackServer]]:
    """Start servers with behaviours; all are gone after the test."""
    started: list[LoopbackServer] = []

    def start(*behaviours: str) -> LoopbackServer:
        process = subprocess.Popen(
            [sys.executable, str(LOOPBACK), *behaviours], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )
        assert process.stdout
        server = LoopbackServer(process, f"127.0.0.1:{int(process.stdout.readline())}")
        started.append(server)
        return server

    yield start
    for server in started:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def shapes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """loadtest.shapes, imported without locust's gevent patches, which would change this whole test run."""
    monkeypatch.setenv("LOCUST_SKIP_MONKEY_PATCH", "1")
    from loadtest import shapes as module

    return module


@pytest.fixture
def living() -> Callable[[Path], list[int]]:
    """Find the living processes whose command line names a directory."""

    def find(directory: Path) -> list[int]:
        return [pid for pid in map(int, _process_ids()) if str(directory) in _command_line(pid) and pid != os.getpid()]

    return find


def _process_ids() -> list[str]:
    return [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:  # it ended in between
        return ""
