"""Disks that are full, folders that are cleaned away, clocks that jump, and two services in one place, under load."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from serving.client import CommentaryClient
from serving.registry.versions import SYNC_ERROR_TAG
from tests.faults.load import ONCE, RETRYING, Load, running_load, wait_for
from tests.faults.models import request_of
from tests.faults.reporting import Row
from tests.faults.scene import House, make_house, observing
from tests.serving.support import EchoRegistry, free_port

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.timeout(300)]


def champion(house: House) -> str:
    with CommentaryClient(house.target, model=house.model) as client:
        return client.describe(house.model)[0].champion


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """A file system of its own at a folder; the test is skipped where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system of its own for the test: {done.stderr.strip()} (mounting needs root)")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_bytes(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def fill_inodes(folder: Path) -> None:
    (folder / "filler").mkdir()
    with contextlib.suppress(OSError):
        for number in range(10**6):
            (folder / "filler" / str(number)).touch()


def make_room(folder: Path) -> None:
    filler = folder / "filler"
    if filler.is_dir():
        shutil.rmtree(filler)
    else:
        filler.unlink()


@pytest.mark.promise(
    "machine", "", "serving goes on; a promotion is refused with the reason, and succeeds when there is room"
)
@pytest.mark.parametrize("lack", ["bytes", "inodes"])
def test_disk_full(empty_registry: EchoRegistry, row: Row, tmp_path: Path, lack: str) -> None:
    row.fault = f"no {lack} left where workspace, logs, store and TMPDIR lie"
    house = make_house(empty_registry, tmp_path, f"flooded-{lack}")
    new = house.register()
    with small_disk(house.folder, "size=96m,nr_inodes=2k"):
        try:
            house.start()
            wait_for(house.is_well, timeout_s=60, what="the start")
            with observing(house, row, versions_change=True) as seen:
                (fill_bytes if lack == "bytes" else fill_inodes)(house.folder)
                seen.last(2)
                house.registry.alias(house.model, "challenger", new)
                wait_for(lambda: house.registry.tag(house.model, new, SYNC_ERROR_TAG), timeout_s=30, what="the refusal")
                reason = house.registry.tag(house.model, new, SYNC_ERROR_TAG)
                seen.note(f"“{reason[:110]}…”")
                seen.last(3)
                make_room(house.folder)
                seen.heal()
                house.control.promote(house.model, new)
                with contextlib.suppress(Exception):
                    house.registry.client.delete_model_version_tag(house.model, new, SYNC_ERROR_TAG)
                wait_for(lambda: champion(house) == new, timeout_s=60, what="the promotion once there is room")
                seen.wait_normal()
            assert seen.failures(ONCE) == seen.failures(RETRYING) == {}
            assert seen.serving_throughout
            assert "space" in reason.casefold() or "free" in reason
        finally:
            house.close()


@pytest.mark.promise(
    "machine",
    "disk full, and the JVM killed meanwhile",
    "serve does not end; it is back within a minute of there being room",
)
def test_disk_full_and_jvm_killed(empty_registry: EchoRegistry, row: Row, tmp_path: Path) -> None:
    house = make_house(empty_registry, tmp_path, "drowned")
    with small_disk(house.folder, "size=96m,nr_inodes=2k"):
        try:
            house.start()
            wait_for(house.is_well, timeout_s=60, what="the start")
            with observing(house, row) as seen:
                fill_inodes(house.folder)
                house.running.jvm.kill()
                seen.last(8)
                assert house.running.process.poll() is None
                make_room(house.folder)
                seen.heal()
                seen.wait_normal(90)
            assert not seen.serving_throughout
            assert row.normal_s < 60
        finally:
            house.close()


@pytest.fixture
def outside_tmp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a short path that is not below TMPDIR, with the user's caches in it."""
    with tempfile.TemporaryDirectory(prefix="f", dir="/var/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/cache")
        yield Path(folder)


@pytest.mark.promise("machine", "", "serving goes on")
@pytest.mark.parametrize("length", ["short", "long"])
def test_temporary_folder_cleaned(
    empty_registry: EchoRegistry, row: Row, tmp_path: Path, outside_tmp: Path, length: str
) -> None:
    # TorchServe's folder lies beside the logs where their path is short enough for its sockets, else with the caches.
    row.fault = f"everything below TMPDIR removed, then a worker killed; the workspace has a {length} path"
    root = outside_tmp if length == "short" else outside_tmp / ("long" * 20)
    house = make_house(empty_registry, root, f"swept-{length}")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    house.temporary = temporary
    house.start()
    try:
        wait_for(house.is_well, timeout_s=60, what="the start")
        with observing(house, row) as seen:
            for path in temporary.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            os.kill(house.worker_pids()[0], signal.SIGKILL)
            seen.last(2)
            seen.wait_normal(90)
        assert seen.failures(RETRYING) == {}
        assert seen.serving_throughout
    finally:
        house.close()


@pytest.fixture(scope="module")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The moved clock, compiled; skipped where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler for the moved clock")
    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(source), "-ldl", "-pthread"], check=True
    )
    return library


@pytest.mark.promise(
    "machine", "the clock an hour ahead, two hours back, a day ahead; a worker killed after each", "answers go on"
)
def test_clock_jumps(
    empty_registry: EchoRegistry, row: Row, tmp_path: Path, clock_library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = make_house(empty_registry, tmp_path, "traveller")
    new = house.register()
    offset = tmp_path / "offset"
    offset.write_bytes(bytes(8))
    with monkeypatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(clock_library))
        patch.setenv("FAULTS_CLOCK", str(offset))
        house.start()
    try:
        wait_for(house.is_well, timeout_s=60, what="the start")
        with observing(house, row, versions_change=True) as seen:
            for seconds in (3600, -7200, 86_400):
                _move(offset, seconds)
                seen.last(2)
                os.kill(house.worker_pids()[0], signal.SIGKILL)
                seen.last(1)
                seen.wait_normal()
            house.control.promote(house.model, new)
            wait_for(lambda: champion(house) == new, timeout_s=60, what="a promotion on the moved clock")
            seen.wait_normal()
        assert seen.failures(ONCE) == seen.failures(RETRYING) == {}
        assert seen.serving_throughout
        days = {line[:10] for line in house.running.log().splitlines() if line[:2] == "20"}
        assert len(days) > 1, "the service did not see the clock move"
    finally:
        house.close()


def _move(offset: Path, seconds: int) -> None:
    with offset.open("r+b") as file:
        file.write(seconds.to_bytes(8, "little", signed=True))


@pytest.mark.promise(
    "machine",
    "a second service on the same workspace, store and registry, which ends after a while",
    "both answer; the first is unharmed by the end of the second",
)
def test_two_services_on_one_workspace(house: House, row: Row, tmp_path: Path) -> None:
    same = ("--workspace", str(house.folder), "--model-store", str(house.folder / "store"))
    second = replace(house, folder=tmp_path / "second", port=free_port(), service=None, options=same)
    with observing(house, row) as seen:
        second.start()
        try:
            wait_for(second.is_well, timeout_s=60, what="the start of the second service")
            with running_load(second.target, house.model, house.tables, workers=house.workers) as other:
                seen.last(4)
                other_promotion = "2" if champion(house) == "1" else "1"
                house.control.promote(house.model, other_promotion)
                follow = (house, second)
                wait_for(
                    lambda: all(champion(each) == other_promotion for each in follow),
                    timeout_s=30,
                    what="the promotion",
                )
                seen.last(2)
            _all_right(other)
            row.notes.append(f"the second service: {other.answers(ONCE.name) + other.answers(RETRYING.name):,} OK")
        finally:
            second.close()
        seen.heal()
        os.kill(house.worker_pids()[0], signal.SIGKILL)
        seen.last(1)
        seen.wait_normal()
    assert seen.failures(ONCE) == seen.failures(RETRYING) == {}
    assert seen.serving_throughout
    with CommentaryClient(house.target, model=house.model) as client:
        assert client.generate(request_of(0)).model.version == other_promotion


def _all_right(load: Load) -> None:
    assert load.wrong == []
    assert load.failures(ONCE.name) == load.failures(RETRYING.name) == []
