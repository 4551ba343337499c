from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import pytest

from serving.pool.logs import _MAX_BYTES, WORKERS_LOG, WorkersLog
from tests.serving.support import wait_until


def test_what_a_worker_writes_is_in_the_log_with_its_name_and_the_log_stays_small(tmp_path: Path) -> None:
    log = WorkersLog(tmp_path)
    reading, writing = os.pipe()
    log.follow(reading, "lcgan/2#0")
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(b"a line\n\xff not UTF-8\n" + b"x" * 200_000)  # the last one has no end for long
        for _ in range(4 * _MAX_BYTES // 1000):
            pipe.write(b"y" * 999 + b"\n")
        pipe.write(b"the end")
    path = tmp_path / WORKERS_LOG
    wait_until(lambda: "the end" in path.read_text())
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == [WORKERS_LOG, f"{WORKERS_LOG}.1", f"{WORKERS_LOG}.2"]
    assert max(each.stat().st_size for each in files) <= _MAX_BYTES
    assert path.read_text().endswith("lcgan/2#0 - the end\n")
    log.close()
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of the buffer that is lost
def test_a_log_that_cannot_be_written_ends_no_thread_and_blocks_no_worker(tmp_path: Path) -> None:
    (tmp_path / WORKERS_LOG).symlink_to("/dev/full")
    log = WorkersLog(tmp_path)
    reading, writing = os.pipe()
    log.follow(reading, "lcgan/2#0")
    with os.fdopen(writing, "wb", buffering=0) as pipe:
        started = time.monotonic()
        for _ in range(200):
            pipe.write(b"z" * 999 + b"\n")  # more than a pipe holds
        assert time.monotonic() - started < 30
    log.close()
    gc.collect()
