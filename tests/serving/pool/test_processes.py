"""Processes of the pool: what ends them, what they leave, and what is not believed of them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from serving.errors import WorkerHostError
from serving.pool.pool import Pool
from serving.pool.repairs import HOPELESS_STARTS
from serving.pool.running import RunningPool
from serving.pool.settings import PoolSettings
from serving.pool.worker import LENGTHS, pack_frame
from serving.workers.confinement import version
from serving.workers.faults import Failure, InferenceError
from serving.workers.host import Repair
from tests.serving.loopback_gateway import until
from tests.serving.pool.conftest import Pooled
from tests.serving.support import ask, assert_gone

PROGRAM = Path(__file__).with_name("killed_pool.py")
RAW: dict[str, Any] = {"model": "pooled", "version": "1"}
pytestmark = pytest.mark.slow


async def register(running: RunningPool, workers: int = 1, source: str = "pooled_1.mar") -> None:
    await running.register(source, **RAW, workers=workers, timeout_s=60)


def replaced(archive: Path, source: str) -> None:
    """Give an archive another handler."""
    with zipfile.ZipFile(archive) as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    with zipfile.ZipFile(archive, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, source if name == "echo_handler.py" else content)


def test_workers_do_not_outlive_a_pool_that_is_killed_whatever_they_do(pooled_archive: Path) -> None:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(pooled_archive.parent)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[3])])},
    ) as program:
        try:
            assert program.stdout is not None
            workers = [psutil.Process(int(pid)) for pid in program.stdout.readline().split()]
            assert len(workers) == 2
        finally:
            program.kill()
        assert_gone(workers)


def test_a_stopped_pool_leaves_neither_process_nor_folder(pooled: Pooled, tmp_path: Path) -> None:
    async def scene() -> None:
        async with pooled() as running:
            await register(running, workers=2)
            busy = asyncio.create_task(running.inference.generate(ask(artist="work 600"), **RAW, timeout_s=60))
            await asyncio.sleep(0.2)
        with pytest.raises(InferenceError) as fault:
            await busy
        assert fault.value.code is grpc.StatusCode.UNAVAILABLE

    before = psutil.Process().children(recursive=True)
    asyncio.run(scene())
    assert set(psutil.Process().children(recursive=True)) <= set(before)
    assert list((tmp_path / "logs" / "run").iterdir()) == []


def test_calls_that_wait_share_a_call_of_the_handler_and_those_whose_callers_left_are_dropped(pooled: Pooled) -> None:
    async def scene() -> None:
        async with pooled() as running:
            await register(running)
            one = asyncio.create_task(running.inference.generate(ask(artist="sleep 0.5"), **RAW, timeout_s=60))
            await asyncio.sleep(0.2)
            left = asyncio.create_task(running.inference.generate(ask(artist="sleep 30"), **RAW, timeout_s=60))
            rest = [running.inference.generate(ask(title=str(n)), **RAW, timeout_s=20) for n in range(5)]
            waiting = asyncio.gather(*rest)
            await asyncio.sleep(0)
            left.cancel()
            assert [answer.samples[0].text for answer in await waiting] == [str(n) for n in range(5)]
            await one

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_version_whose_workers_cannot_start_any_more_is_to_be_loaded_again(pooled: Pooled) -> None:
    async def scene() -> None:
        async with pooled() as running:
            await register(running)
            (worker,) = (await running.take_census()).look_at(**RAW) or ()
            repairs = running.new_repairs(**RAW)
            assert repairs.plan((worker,), wanted=1, now_s=0) is None
            assert repairs.plan((worker,), wanted=2, now_s=0) == Repair(scale_to=(2,))
            assert repairs.plan((worker,), wanted=2, now_s=1) is None  # it has been asked for
            folder = Path(psutil.Process(worker.pid).cwd())
            (folder / "echo_handler.py").write_text("raise ImportError('the disk is gone')\n")
            os.kill(worker.pid, signal.SIGKILL)
            held = running._versions["pooled", "1"]
            await until(lambda: held.failed_starts >= HOPELESS_STARTS)
            assert repairs.plan((), wanted=1, now_s=100) == Repair(reload=True)
            await until(lambda: held.look()[0].pid == 0)
            with pytest.raises(InferenceError) as fault:
                await running.inference.generate(ask(), **RAW, timeout_s=5)
            assert fault.value.failure in {Failure.NO_WORKER, Failure.OTHER}
            assert fault.value.code is not grpc.StatusCode.INTERNAL

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_worker_in_a_dead_ones_place_that_hangs_while_it_loads_is_ended_and_counts_as_one_that_cannot(
    pooled: Pooled,
) -> None:
    async def scene() -> None:
        async with pooled() as running:
            await register(running)
            held = running._versions["pooled", "1"]
            held._load_timeout_s = 0.5
            (worker,) = held.look()
            folder = Path(psutil.Process(worker.pid).cwd())
            (folder / "echo_handler.py").write_text("import time\ntime.sleep(600)\n")
            os.kill(worker.pid, signal.SIGKILL)
            await until(lambda: held.failed_starts >= HOPELESS_STARTS)

    asyncio.run(asyncio.wait_for(scene(), 60))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise ImportError('no such library')", "ImportError: no such library.*workers.log"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)", "signal SIGSEGV while it loaded.*workers.log"),
        ("import os\nos._exit(7)", "status 7 while it loaded.*workers.log"),
        ("class A: pass\nclass B: pass", "must define one class or a function `handle`, got 2"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("raise ValueError('x' * 2**21)", "ValueError: xxx"),
        ("import time\ntime.sleep(600)", "within 2 s"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_told_with_its_reason(
    pooled: Pooled, source: str, reason: str, tmp_path: Path
) -> None:
    replaced(tmp_path / "pooled_1.mar", source)

    async def scene() -> None:
        async with pooled() as running:
            with pytest.raises(WorkerHostError, match=reason):
                await running.register("pooled_1.mar", **RAW, workers=2, timeout_s=2 if "sleep" in source else 60)
            assert (await running.take_census()).look_at(**RAW) is None

    asyncio.run(asyncio.wait_for(scene(), 90))


def test_the_time_of_a_load_bounds_the_compilation_of_its_code_too(
    pooled: Pooled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 600\n")
    endless.chmod(0o755)

    async def scene() -> None:
        async with pooled() as running:
            monkeypatch.setattr(sys, "executable", str(endless))
            with pytest.raises(WorkerHostError, match="within 1 s"):
                await running.register("pooled_1.mar", **RAW, workers=1, timeout_s=1)
            assert (await running.take_census()).look_at(**RAW) is None

    asyncio.run(asyncio.wait_for(scene(), 30))


def test_an_archive_with_a_member_that_leads_elsewhere_is_refused_before_it_is_unpacked(
    pooled: Pooled, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "pooled_1.mar", "a") as archive:
        archive.writestr("../elsewhere.py", "")

    async def scene() -> None:
        async with pooled() as running:
            with pytest.raises(WorkerHostError, match=r"elsewhere\.py.*register the model again"):
                await register(running)
            assert unpacked() == []

    def unpacked() -> list[Path]:
        return [path for path in tmp_path.rglob("*.py") if path.name in {"elsewhere.py", "echo_handler.py"}]

    asyncio.run(scene())


RAW_SOCKET = """
import os, socket, stat, sys
class Handler:
    def initialize(self, context): pass
    def handle(self, rows, context):
        for fd in map(int, os.listdir("/proc/self/fd")):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.write(fd, {written!r})
            except OSError:
                pass
        return [b'{{}}'] * {answers}
"""


@pytest.mark.parametrize(
    ("written", "answers"),
    [
        (b"\xff" * 64, 1),  # four gigabytes
        pytest.param(pack_frame({"kind": "answers", "lengths": [0], "more": "x" * 2**20}), 1, id="a long document"),
        (LENGTHS.pack(2, 0) + b"[]", 1),  # JSON, and not an object
        (LENGTHS.pack(1, 0) + b"{", 1),
        (pack_frame({"kind": "answers", "lengths": [9]}), 1),
        (pack_frame({"kind": "answers", "lengths": "no"}), 1),
        (pack_frame({"kind": "answers", "lengths": []}), 1),
        (pack_frame({"kind": "answers"}), 1),
    ],
)
def test_what_a_worker_writes_into_its_socket_is_not_believed(
    pooled: Pooled, written: bytes, answers: int, tmp_path: Path
) -> None:
    replaced(tmp_path / "pooled_1.mar", RAW_SOCKET.format(written=written, answers=answers))

    async def scene() -> None:
        async with pooled() as running:
            await register(running)
            with pytest.raises(InferenceError) as fault:
                await running.inference.predict({"data": b"{}"}, **RAW, timeout_s=20)
            assert fault.value.failure is Failure.WORKER_DIED

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_handler_with_too_few_answers_fails_its_call_and_stays(pooled: Pooled, tmp_path: Path) -> None:
    replaced(tmp_path / "pooled_1.mar", RAW_SOCKET.format(written=b"", answers=0))

    async def scene() -> None:
        async with pooled() as running:
            await register(running)
            with pytest.raises(InferenceError) as fault:
                await running.inference.predict({"data": b"{}"}, **RAW, timeout_s=20)
            assert fault.value.code is grpc.StatusCode.INTERNAL

    asyncio.run(asyncio.wait_for(scene(), 60))


def test_a_pool_without_a_folder_or_port_says_what_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkerHostError, match="could not be started"):
        asyncio.run(Pool(PoolSettings(model_store=tmp_path, log_dir=tmp_path / "file"), on_down=lambda: None).start())
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = PoolSettings(model_store=tmp_path, log_dir=tmp_path / "logs", metrics_port=port)
        with pytest.raises(WorkerHostError, match=rf"port {port} .*in use.*--metrics-port"):
            asyncio.run(Pool(settings, on_down=lambda: None).start())
    assert list((tmp_path / "logs" / "run").iterdir()) == []


NOSY = """
import json, os, signal, socket
from pathlib import Path
TRIED = json.loads({tried!r})
def _try(call):
    try:
        call()
    except OSError as fault:
        return type(fault).__name__
    return "done"
class Handler:
    def initialize(self, context): pass
    def handle(self, rows, context):
        parent = os.getppid()
        own = Path(os.environ["TMPDIR"], "own")
        return [json.dumps({{
            "own": _try(lambda: own.write_text("x") and own.unlink()),
            "archive": _try(lambda: Path(TRIED["archive"]).write_bytes(b"x")),
            "remove": _try(lambda: Path(TRIED["archive"]).unlink()),
            "truncate": _try(lambda: os.truncate(TRIED["archive"], 0)),
            "registry": _try(lambda: Path(TRIED["folder"], "new").write_text("x")),
            "code": _try(lambda: Path("echo_handler.py").write_text("x")),
            "signal": _try(lambda: os.kill(parent, 0)),
            "environment": _try(lambda: Path(f"/proc/{{parent}}/environ").read_bytes()),
            "tcp": _try(lambda: socket.create_connection(("127.0.0.1", TRIED["port"]), 5).close()),
            "disk": _try(lambda: os.open(TRIED["disk"], os.O_WRONLY)),
            "nothing": _try(lambda: Path("/dev/null").write_text("x")),
            "started": _try(lambda: os.system(f"rm -f {{TRIED['archive']}}")),
        }})]
"""


@pytest.mark.skipif(version() < 6, reason="this kernel's Landlock keeps signals and TCP from nobody")
def test_the_code_of_an_archive_can_change_nothing_of_the_service_and_reaches_none_of_its_processes(
    pooled: Pooled, tmp_path: Path
) -> None:
    archive = tmp_path / "other.mar"
    archive.write_bytes(b"an archive")
    disk = next((path for path in ("/dev/loop0", "/dev/vda", "/dev/sda") if Path(path).exists()), "/dev/kmsg")
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        door.listen()
        tried = {"archive": str(archive), "folder": str(tmp_path), "port": door.getsockname()[1], "disk": disk}
        replaced(tmp_path / "pooled_1.mar", NOSY.format(tried=json.dumps(tried)))

        async def scene() -> dict[str, str]:
            async with pooled() as running:
                await register(running)
                return dict(json.loads(await running.inference.predict({"data": b"{}"}, **RAW, timeout_s=20)))

        found = asyncio.run(asyncio.wait_for(scene(), 60))
    assert found.pop("own") == "done"
    assert found.pop("nothing") == "done"
    assert found.pop("started") == "done"  # which is refused likewise, as the archive shows
    assert set(found.values()) == {"PermissionError"}, found
    assert archive.read_bytes() == b"an archive"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give folders away")
def test_roots_workers_read_a_model_store_of_another_user(pooled: Pooled, tmp_path: Path) -> None:
    def give_away() -> None:
        for path in (tmp_path, *tmp_path.rglob("*")):
            os.chown(path, 12345, 12345)
            path.chmod(0o700)

    async def scene() -> None:
        async with pooled() as running:
            give_away()
            await register(running)
            answer = await running.inference.generate(ask(title="x"), **RAW, timeout_s=20)
            assert answer.samples[0].text == "x"

    asyncio.run(asyncio.wait_for(scene(), 60))
