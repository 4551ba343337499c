from __future__ import annotations

import asyncio
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from serving.errors import RegistryError
from serving.sync.readings import Readings
from tests.serving.support import EchoRegistry

pytestmark = pytest.mark.integration


@pytest.fixture
def silent() -> Iterator[str]:
    """Address of a server that accepts connections and never answers, as one that was stopped."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_registry_that_hangs_is_given_up_and_the_event_loop_goes_on(
    silent: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def read() -> float:
        readings = Readings(silent, timeout_s=0.5)
        started, longest_s = time.monotonic(), 0.0
        both = asyncio.gather(*(readings.snapshot(model) for model in ("lcgan", "cvae")))
        while not both.done():
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest_s = max(longest_s, time.monotonic() - before)
        assert await both == [None, None]
        assert readings.is_away("lcgan")
        assert readings.is_away("cvae")
        assert time.monotonic() - started < 20, "MLflow's own patience is longer than the timeout"
        return longest_s

    asyncio.run(read())
    (line,) = [message for message in caplog.messages if "serving continues" in message]
    assert "did not answer within 0.5 s" in line


_HANGING = """
import asyncio, sys
from serving.sync.readings import Readings
asyncio.run(Readings(sys.argv[1], timeout_s=1.0).snapshot("lcgan"))
"""


def test_a_process_ends_although_a_call_to_its_registry_hangs(silent: str) -> None:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", _HANGING, silent], check=True, timeout=60)
    # MLflow gives up after three requests of 10 s.
    assert time.monotonic() - started < 25


def test_a_registry_that_appears_later_is_opened_then(registry: EchoRegistry, tmp_path: Path) -> None:
    registry.register("late")
    path = tmp_path / "mlflow.db"

    async def read() -> None:
        readings = Readings(f"sqlite:///{path}")
        with pytest.raises(RegistryError, match="there is no registry"):
            await readings.open()
        assert await readings.snapshot("late") is None
        assert not path.exists()
        with (
            closing(sqlite3.connect(registry.uri.removeprefix("sqlite:///"))) as source,
            closing(sqlite3.connect(path)) as copy,
        ):
            source.backup(copy)
        snapshot = await readings.snapshot("late")
        assert snapshot is not None
        assert snapshot.existing == {"1"}
        assert not readings.is_away("late")

    asyncio.run(read())


def test_a_model_and_a_version_have_a_reason_each(registry: EchoRegistry) -> None:
    version = registry.register("reasoned")
    registry.alias("reasoned", "champion", version)

    async def write(reason: str) -> tuple[str, str]:
        readings = Readings(registry.uri)
        await readings.set_sync_error("reasoned", "", reason and f"model: {reason}")
        await readings.set_sync_error("reasoned", version, reason)
        snapshot = await readings.snapshot("reasoned")
        assert snapshot is not None
        assert snapshot.champion is not None
        return snapshot.sync_error, snapshot.champion.sync_error

    assert asyncio.run(write("bad")) == ("model: bad", "bad")
    assert asyncio.run(write("")) == ("", "")
