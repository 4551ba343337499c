"""`deephypebot studio` as a process: where it listens, how it ends, what it says when it cannot begin."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from tests.bot.helpers.studio_world import Client

pytestmark = pytest.mark.slow

COMMAND = [sys.executable, "-m", "deephypebot", "studio"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def process(filled: SqliteStore, database: Path) -> Iterator[subprocess.Popen[str]]:
    filled.close()
    arguments = ["--port", "0", "--workspace", str(database.parent), "--who", "ana", "--target", "127.0.0.1:1"]
    started = subprocess.Popen([*COMMAND, *arguments], stderr=subprocess.PIPE, text=True)
    yield started
    started.kill()
    started.communicate()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stderr
    found = re.search(r"http://127\.0\.0\.1:\d+/", process.stderr.readline())
    assert found
    return found[0]


@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_told_to_stop_and_then_ends_within_five_seconds(
    process: subprocess.Popen[str], kind: signal.Signals
) -> None:
    client = Client(address_of(process))
    assert "Slow Lamp, take 1." in client.get("/").text
    assert client.decide([("decision", "accept"), ("candidate", "101.1.1"), ("seen", "0")]).status == 303
    # A browser keeps its connection; that must not keep the studio.
    held = socket.create_connection(("127.0.0.1", int(client.host.partition(":")[2])))
    begun = time.monotonic()
    process.send_signal(kind)
    assert process.wait(10) == 0
    assert time.monotonic() - begun < 5
    held.close()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read memory from")
def test_it_takes_less_than_120_megabytes_and_never_torch(process: subprocess.Popen[str]) -> None:
    client = Client(address_of(process))
    for path in ("/", "/posted", "/try", "/models", "/experiments"):
        assert client.get(path).status == 200
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    peak_kb = int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0])
    assert peak_kb < 120_000
    assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8")


def test_a_port_that_is_taken_is_named(filled: SqliteStore, database: Path) -> None:
    filled.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port), "--workspace", str(database.parent))
    assert done.returncode == 1
    assert f"port {port} of 127.0.0.1" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_workspace_without_a_bot_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    done = run("--port", "0", "--workspace", str(tmp_path / "none"))
    assert done.returncode == 1
    assert "no bot has run in" in done.stderr
    assert list(tmp_path.iterdir()) == []
