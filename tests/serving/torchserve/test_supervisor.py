from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving.torchserve.errors import TorchServeError
from serving.torchserve.process import TorchServeSettings, start_instance
from serving.torchserve.supervisor import Supervisor
from tests.serving.loopback_gateway import until

pytestmark = pytest.mark.integration


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let the kernel refuse this process every further file and socket."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def settings(tmp_path: Path) -> TorchServeSettings:
    (tmp_path / "store").mkdir()
    return TorchServeSettings(model_store=tmp_path / "store", log_dir=tmp_path / "logs", restart_backoff_s=(0.05, 0.2))


def test_a_machine_that_lacks_what_a_start_needs_is_told_in_words(settings: TorchServeSettings) -> None:
    async def scene() -> None:
        with no_descriptor_left():
            await start_instance(settings)

    with pytest.raises(TorchServeError, match=r"could not be started: .*Too many open files"):
        asyncio.run(scene())


def test_the_supervisor_starts_torchserve_as_soon_as_the_machine_has_what_that_needs(
    settings: TorchServeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        supervisor = Supervisor(settings, on_down=lambda: None)
        await supervisor.start()
        first = await supervisor.wait_running()
        watching = asyncio.create_task(supervisor.watch())
        try:
            with no_descriptor_left():
                os.kill(first.instance.pid, signal.SIGKILL)
                await until(lambda: watching.done() or sum("does not start" in line for line in caplog.messages) > 1)
            assert not watching.done()
            assert (await asyncio.wait_for(supervisor.wait_running(), 60)).instance.pid != first.instance.pid
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await supervisor.stop()

    with caplog.at_level(logging.ERROR):
        asyncio.run(asyncio.wait_for(scene(), 120))


def test_no_fault_of_a_restart_ends_the_supervisor(
    settings: TorchServeSettings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    supervisor = Supervisor(settings, on_down=lambda: None)
    left = [RuntimeError("none of the known ones")] * 2

    async def start() -> None:
        if left:
            raise left.pop()

    monkeypatch.setattr(supervisor, "start", start)
    asyncio.run(asyncio.wait_for(supervisor._restart(0.0), 10))
    assert ["none of the known ones" in line for line in caplog.messages] == [True, True]
