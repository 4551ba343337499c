from __future__ import annotations

import subprocess
import sys
from typing import cast

import psutil
import pytest

from foundation.parallel.choosing import EngineName, choose_engine
from foundation.parallel.port import Engine, TaskLostError
from foundation.parallel.processes import Processes
from tests.foundation.parallel import work
from tests.foundation.parallel.engine_contract import EngineContract, counted


class TestProcesses(EngineContract):
    @pytest.fixture
    def engine(self) -> Engine:
        return Processes(2)


def test_how_a_process_ended_is_told() -> None:
    with pytest.raises(TaskLostError, match=r"the last one: exit code 7"):
        list(Processes(1).run(work.prepare_squares, [(0, cast("int", Exiting()))]))


class Exiting:
    """Payload that ends the process that reads it."""

    def __reduce__(self) -> tuple[object, tuple[int]]:
        from os import _exit

        return _exit, (7,)


def test_a_closed_run_leaves_no_process() -> None:
    before = {child.pid for child in psutil.Process().children()}
    running = Processes(2).run(work.prepare_squares, counted([], 50))
    next(running)
    children = [child for child in psutil.Process().children() if child.pid not in before]
    running.close()
    # The process that tracks resources is Python's own, and stays.
    assert [child for child in children if child.is_running() and "spawn_main" in " ".join(child.cmdline())] == []


def test_the_local_engine_needs_no_ray() -> None:
    code = (
        "import sys; from foundation.parallel.choosing import EngineName, choose_engine; "
        "choose_engine(EngineName.LOCAL, workers=2); print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False"
    assert isinstance(choose_engine(EngineName.LOCAL, workers=2), Processes)
