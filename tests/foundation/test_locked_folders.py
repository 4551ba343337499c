from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foundation.locked_folders import lock, locked_folder, remove_left_over

HOLD = """
import sys, time
from pathlib import Path
from foundation.locked_folders import locked_folder
with locked_folder(Path(sys.argv[1]), ".own-") as folder:
    print(folder, flush=True)
    time.sleep(60)
"""


def _age(folder: Path) -> None:
    an_hour_ago = time.time() - 3600
    os.utime(folder, (an_hour_ago, an_hour_ago))


def test_the_folder_is_there_for_the_length_of_the_block(tmp_path: Path) -> None:
    with locked_folder(tmp_path, ".own-") as folder:
        (folder / "file").write_text("x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_killed_process_left_is_removed_and_one_in_use_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        left = Path(process.stdout.readline().strip())
        _age(left)
        with locked_folder(tmp_path, ".own-"):
            assert left.is_dir()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        with locked_folder(tmp_path, ".own-"):
            assert not left.exists()
    finally:
        process.kill()
        process.communicate()


def test_a_young_folder_and_one_of_somebody_else_stay(tmp_path: Path) -> None:
    young, other = tmp_path / ".own-young", tmp_path / ".own-other"
    for folder in (young, other):
        folder.mkdir()
    _age(other)
    remove_left_over(tmp_path, ".own-", is_ours=lambda _: False)
    assert young.is_dir()
    assert other.is_dir()
    remove_left_over(tmp_path, ".own-")
    assert young.is_dir()
    assert not other.exists()


def test_a_folder_has_one_lock(tmp_path: Path) -> None:
    with lock(tmp_path), pytest.raises(OSError, match="unavailable"), lock(tmp_path):
        pass
    with lock(tmp_path):
        pass
