from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from training.errors import OutputError
from training.lock import folder_alone, held_alone

_HOLD = "import sys, pathlib; from training.lock import held_alone; "
_HOLD += "lock = held_alone(pathlib.Path(sys.argv[1]), print); lock.__enter__(); print('held', flush=True); input()"


@contextmanager
def held_by_another(path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            yield holder
        finally:
            holder.kill()


def test_a_free_lock_is_taken_without_a_word(tmp_path: Path) -> None:
    for _ in range(2):
        with held_alone(tmp_path / "deeper" / "x.lock", pytest.fail):
            assert (tmp_path / "deeper" / "x.lock").read_text(encoding="utf-8") == f"{os.getpid()}\n"
    assert (tmp_path / "deeper" / "x.lock").read_text(encoding="utf-8") == ""


def test_the_process_that_is_waited_for_is_named_and_its_death_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    said: list[str] = []
    with held_by_another(path) as holder:

        def waiting(process: str) -> None:
            said.append(process)
            holder.kill()

        with held_alone(path, waiting):
            assert said == [f"process {holder.pid}"]
            assert path.read_text(encoding="utf-8") == f"{os.getpid()}\n"


def test_while_another_process_holds_it_the_block_does_not_begin(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    with held_by_another(path) as holder:
        code = _HOLD.replace("input()", "")
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == f"process {holder.pid}\n"
            time.sleep(0.2)
            assert second.poll() is None
            assert holder.stdin is not None
            holder.stdin.close()
            assert second.stdout.read() == "held\n"


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"), held_alone(tmp_path / "file" / "x.lock", print):
        pass


def test_a_locked_folder_holds_no_file_of_the_lock(tmp_path: Path) -> None:
    with folder_alone(tmp_path):
        assert list(tmp_path.iterdir()) == []
