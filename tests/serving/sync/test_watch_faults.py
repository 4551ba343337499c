"""The watch while its own work fails, before a loopback server that lists versions as TorchServe does, or nonsense."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any, cast

import pytest

from serving.sync.background import Faults
from serving.sync.watch import Watch
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.keys import Keys
from serving.torchserve.management import Management
from serving.torchserve.process import Instance
from serving.torchserve.running import Running
from serving.torchserve.supervisor import Supervisor
from serving.traffic.route import Route
from serving.traffic.routes import RoutingTable
from serving.workers.host import HostGoneError
from serving.workers.replacements import Replacements
from tests.serving.loopback_gateway import route, until

NONSENSE = b"[" * 100_000
"""JSON so deep that reading it raises an error that no caller foresees."""


class Lists(BaseHTTPRequestHandler):
    """Answers with the server's next text, and then with a list of no model."""

    def do_GET(self) -> None:
        texts = cast("list[bytes]", cast("Any", self.server).texts)
        body = texts.pop(0) if texts else b'{"models": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


class UnixHttpServer(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def lists(*texts: bytes) -> Iterator[Path]:
    """Answer on a Unix socket, with these texts first."""
    with tempfile.TemporaryDirectory() as folder, UnixHttpServer(f"{folder}/x.sock", Lists) as server:
        cast("Any", server).texts = list(texts)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Path(folder, "x.sock")
        server.shutdown()
        thread.join()


@dataclass
class Pinged:
    """Connection whose first pings fail in a way that nobody foresees."""

    failing: int = 0
    answered: int = 0

    async def answers_ping(self, *, timeout_s: float) -> bool:
        assert timeout_s > 0
        if self.failing:
            self.failing -= 1
            raise RuntimeError("no ping")
        self.answered += 1
        return True


@dataclass
class Standing:
    """Supervisor of a TorchServe that stays."""

    running: Running

    async def wait_running(self) -> Running:
        return self.running


@dataclass
class Scene:
    """A watch over two versions that TorchServe does not list, so that each is to be loaded again."""

    folder: Path
    socket: Path
    pings: Pinged = field(default_factory=Pinged)
    on_change: Callable[[], None] = lambda: None
    reloaded: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = RoutingTable(("lcgan", "cvae"))
        self.routes: list[Route] = [route("2")]
        other = route("3")
        self.routes.append(replace(other, info=replace(other.info, model="cvae")))
        for each in self.routes:
            self.table.add(each)

    async def reload(self, model: str, _: str) -> bool:
        self.reloaded.append(model)
        return True

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[asyncio.Task[None]]:
        keys = Keys(management="m", inference="i")
        management = Management(management_socket=self.socket, inference_socket=self.socket, keys=keys)
        instance = Instance(
            guard=cast("Any", None),
            pid=os.getpid(),
            management=management,
            inference_target="",
            keys=keys,
            metrics_url="",
            folder=self.folder,
            threads_file=self.folder / "threads",
        )
        running = Running(instance=instance, inference=cast("TorchServeInference", self.pings))
        watch = Watch(
            host=cast("Supervisor", Standing(running)),
            table=self.table,
            workers=1,
            replacements=Replacements(),
            on_change=self.on_change,
            reload=self.reload,
            withdraw=lambda model, *_: self.withdrawn.append(model),
        )
        task = asyncio.create_task(watch.run())
        try:
            yield task
            assert not task.done()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if "failed and is tried again" in line]


def test_lists_that_cannot_be_read_are_told_once_and_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(socket: Path) -> None:
        it = Scene(tmp_path, socket)
        async with it.watching():
            await asyncio.wait_for(until(lambda: set(it.reloaded) == {"lcgan", "cvae"}), 20)

    with lists(NONSENSE, NONSENSE) as socket:
        asyncio.run(scene(socket))
    assert ["lists of workers" in line for line in told(caplog)] == [True]


def test_pings_that_fail_in_an_unknown_way_are_told_once_and_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(socket: Path) -> None:
        it = Scene(tmp_path, socket, pings=Pinged(failing=2))
        async with it.watching():
            await asyncio.wait_for(until(lambda: it.pings.answered > 1), 20)

    with lists() as socket:
        asyncio.run(scene(socket))
    assert ["pinging" in line for line in told(caplog)] == [True]


def test_a_look_that_fails_ends_nothing_and_hides_no_other_version(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left = [RuntimeError("nobody may be told")]

    def on_change() -> None:
        if left:
            raise left.pop()

    async def scene(socket: Path) -> None:
        it = Scene(tmp_path, socket, on_change=on_change)
        async with it.watching():
            await asyncio.wait_for(until(lambda: set(it.reloaded) == {"lcgan", "cvae"}), 20)
            assert not any(each.answers for each in it.routes)

    with lists() as socket:
        asyncio.run(scene(socket))
    assert len(told(caplog)) == 1


def test_a_version_stays_whose_load_again_torchserve_does_not_survive_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    @dataclass
    class Gone(Scene):
        async def reload(self, model: str, version: str) -> bool:
            await super().reload(model, version)
            raise HostGoneError("it went away")

    async def scene(socket: Path) -> None:
        it = Gone(tmp_path, socket)
        async with it.watching():
            await asyncio.wait_for(until(lambda: it.reloaded.count("lcgan") > 1), 20)
            assert it.withdrawn == []

    with lists() as socket:
        asyncio.run(scene(socket))
    assert told(caplog) == []


def test_a_fault_is_told_when_it_is_another_than_the_one_before(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults("the work")
    with caplog.at_level(logging.ERROR):
        news = [faults.tell(fault) for fault in (OSError("a"), OSError("a"), ValueError("a"), OSError("b"))]
        faults.forget()
        assert [*news, faults.tell(OSError("b"))] == [True, False, True, True, True]
    assert len(told(caplog)) == 4


def test_a_task_that_nobody_waits_for_tells_its_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise RuntimeError("the reason")

    async def scene() -> None:
        faults = Faults("the work")
        await asyncio.wait([faults.begin(fail())])
        cancelled = faults.begin(fail())
        cancelled.cancel()
        await asyncio.wait([cancelled])

    asyncio.run(scene())
    assert ["the reason" in line for line in told(caplog)] == [True]
