from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from serving.traffic.segments import ExposureSettings, Segments, remove_old, segment_paths

ROW = b'{"row":"%s"}' % (b"x" * 500)
MIB = 2**20


def writer(folder: Path, **values: Any) -> Segments:
    return Segments(ExposureSettings(folder=folder, **values), host="one")


def lines(folder: Path) -> list[bytes]:
    return [line for path in segment_paths(folder) for line in path.read_bytes().split(b"\n")]


@contextmanager
def disk_full_after(num_bytes: int) -> Iterator[None]:
    """Let the kernel cut off every file at a size, as a full disk does: with a short write, and then with an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_row_is_in_the_file_when_append_returns(tmp_path: Path) -> None:
    to = writer(tmp_path / "new" / "folder")
    assert to.append(ROW)
    (path,) = segment_paths(tmp_path / "new" / "folder")
    assert path.read_bytes() == ROW + b"\n"
    assert to.append(ROW)
    assert path.read_bytes() == 2 * (ROW + b"\n")
    assert (to.written, to.lost) == (2, 0)


def test_files_and_folder_are_for_their_owner(tmp_path: Path) -> None:
    writer(tmp_path / "folder").append(ROW)
    (path,) = segment_paths(tmp_path / "folder")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_no_file_is_made_before_there_is_a_row(tmp_path: Path) -> None:
    writer(tmp_path / "folder").close()
    assert not (tmp_path / "folder").exists()


def test_a_row_that_a_full_disk_cut_off_is_not_glued_to_the_next(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    to = writer(tmp_path)
    for _ in range(3):
        assert to.append(ROW)
    with disk_full_after(3 * (len(ROW) + 1) + 100):
        assert [to.append(ROW) for _ in range(4)] == [False] * 4
    assert [to.append(ROW) for _ in range(2)] == [True, True]
    assert lines(tmp_path) == [ROW, ROW, ROW, ROW[:100], ROW, ROW, b""]
    assert (to.written, to.lost) == (5, 4)
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == [logging.ERROR, logging.WARNING], told
    assert "requests are answered" in told[0][1]
    assert told[1][1].endswith("; 4 were lost")


def test_a_folder_that_cannot_be_written_loses_rows_and_is_used_as_soon_as_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("serving.traffic.segments._REOPEN_S", 0.0)
    (tmp_path / "folder").write_text("a file where the folder should be")
    to = writer(tmp_path / "folder")
    assert [to.append(ROW) for _ in range(3)] == [False] * 3
    (tmp_path / "folder").unlink()
    assert to.append(ROW)
    assert (to.written, to.lost) == (1, 3)
    assert len(caplog.records) == 2


def test_a_folder_that_fails_is_not_tried_for_every_row(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("")
    to = writer(tmp_path / "folder")
    to.append(ROW)
    (tmp_path / "folder").unlink()
    assert not to.append(ROW)
    assert not (tmp_path / "folder").exists()


def test_a_folder_that_somebody_removes_is_made_again_within_a_sync(tmp_path: Path) -> None:
    async def scene() -> None:
        to = writer(tmp_path / "folder", sync_s=0.01)
        to.append(ROW)
        syncing = asyncio.create_task(to.run())
        shutil.rmtree(tmp_path / "folder")
        while True:
            await asyncio.sleep(0.02)
            to.append(ROW)
            if segment_paths(tmp_path / "folder"):
                break
        syncing.cancel()
        await asyncio.gather(syncing, return_exceptions=True)
        to.close()

    asyncio.run(asyncio.wait_for(scene(), 20))


def test_a_segment_ends_at_its_size_and_with_its_day(tmp_path: Path) -> None:
    days = [datetime(2026, 11, 29, 23, 59, tzinfo=UTC)]
    to = Segments(ExposureSettings(folder=tmp_path, segment_mb=1, max_mb=9), host="one", now=lambda: days[-1])
    for _ in range(MIB // 500 + 1):
        to.append(ROW)
    assert len(segment_paths(tmp_path)) == 2
    days.append(days[-1] + timedelta(minutes=2))
    to.close()
    to.append(ROW)
    assert [path.name[:8] for path in segment_paths(tmp_path)] == ["20261129", "20261129", "20261130"]
    to.close()


def test_a_running_writer_leaves_the_segment_of_yesterday_by_itself(tmp_path: Path) -> None:
    async def scene() -> None:
        days = [datetime(2026, 11, 29, 23, 59, tzinfo=UTC)]
        to = Segments(ExposureSettings(folder=tmp_path, sync_s=0.01), host="one", now=lambda: days[-1])
        to.append(ROW)
        days.append(days[-1] + timedelta(minutes=2))
        syncing = asyncio.create_task(to.run())
        while len(segment_paths(tmp_path)) < 2:
            await asyncio.sleep(0.02)
            to.append(ROW)
        syncing.cancel()
        await asyncio.gather(syncing, return_exceptions=True)
        to.close()

    asyncio.run(asyncio.wait_for(scene(), 20))


def make_segments(folder: Path, *ages_days: float, size: int = MIB) -> list[Path]:
    now = datetime.now(UTC)
    paths = []
    for index, days in enumerate(ages_days):
        begun = now - timedelta(days=days)
        path = folder / f"{begun:%Y%m%dT%H%M%S.%fZ}_one_{index + 1}_0123abcd.jsonl"
        path.write_bytes(b"x" * size)
        os.utime(path, (begun.timestamp(), begun.timestamp()))
        paths.append(path)
    return paths


def test_segments_are_removed_by_age_and_then_by_size_the_oldest_first(tmp_path: Path) -> None:
    paths = make_segments(tmp_path, 40, 31, 29, 3, 2, 1)
    (tmp_path / "notes.jsonl").write_text("kept, though it is old and no segment")
    settings = ExposureSettings(folder=tmp_path, max_days=30, max_mb=3, segment_mb=1)
    assert remove_old(settings) == (paths[0], paths[1], paths[2])
    assert segment_paths(tmp_path) == paths[3:]
    assert (tmp_path / "notes.jsonl").exists()
    assert remove_old(settings) == ()


def test_a_segment_that_cannot_be_opened_keeps_no_other_from_its_removal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, *paths = make_segments(tmp_path, 50, 40, 3, 2, 1, size=MIB - 10_000)
    gone = stuck.with_name(stuck.name.replace("_1_", "_7_"))
    gone.symlink_to("nowhere")
    stuck.unlink()
    stuck.mkdir()
    os.utime(stuck, (0, 0))
    settings = ExposureSettings(folder=tmp_path, max_days=30, max_mb=2, segment_mb=1)
    told: set[Path] = set()
    with caplog.at_level(logging.WARNING):
        assert remove_old(settings, told=told) == (paths[0], paths[1])
        assert remove_old(settings, now_s=1e12, told=told) == (paths[2], paths[3])
    assert [stuck.name in record.getMessage() for record in caplog.records] == [True]
    assert sorted(segment_paths(tmp_path)) == sorted([stuck, gone])


def test_the_segment_that_another_process_writes_stays_whatever_its_age(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from serving.traffic.segments import *; "
        "to = Segments(ExposureSettings(folder=pathlib.Path(sys.argv[1]))); to.append(b'{}'); "
        "print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (used,) = segment_paths(tmp_path)
        os.utime(used, (0, 0))
        settings = ExposureSettings(folder=tmp_path, max_days=1)
        assert remove_old(settings) == ()
        process.kill()
    assert remove_old(settings) == (used,), "its writer is gone"


def test_on_a_file_system_without_locks_segments_of_some_days_are_removed_and_new_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    to = writer(tmp_path)
    assert to.append(ROW)
    old, ripe, _ = make_segments(tmp_path, 40, 3, 1)
    settings = ExposureSettings(folder=tmp_path, max_days=30, max_mb=1, segment_mb=1)
    assert remove_old(settings) == (old, ripe)
    assert remove_old(settings, now_s=1e12) == ()
    to.close()


def test_a_writer_does_not_remove_its_own_segment(tmp_path: Path) -> None:
    to = writer(tmp_path)
    to.append(ROW)
    assert remove_old(ExposureSettings(folder=tmp_path), now_s=1e12) == ()
    to.close()
    assert len(remove_old(ExposureSettings(folder=tmp_path), now_s=1e12)) == 1


def test_nothing_stays_open_when_the_writer_is_closed(tmp_path: Path) -> None:
    def num_open() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = num_open()
    to = writer(tmp_path, segment_mb=1)
    for _ in range(3 * MIB // 500):
        to.append(ROW)
    assert num_open() > before
    to.close()
    assert num_open() == before
    assert len(segment_paths(tmp_path)) == 4


@pytest.mark.parametrize(
    ("values", "words"), [({"max_days": 0}, "max_days must be above 0"), ({"max_mb": 15}, "max_mb must be at least 16")]
)
def test_limits_that_make_no_sense_are_named(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ExposureSettings(folder=Path("x"), **values)
