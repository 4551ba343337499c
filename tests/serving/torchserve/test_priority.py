from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from serving.torchserve.priority import LOWERED, may_raise, permits_raise, set_priority

THREADS = """
import sys, threading
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def worker() -> Iterator[int]:
    """A process with four threads."""
    with subprocess.Popen([sys.executable, "-c", THREADS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def nice_values(pid: int) -> list[int]:
    return [os.getpriority(os.PRIO_PROCESS, int(thread.name)) for thread in Path(f"/proc/{pid}/task").iterdir()]


def test_all_threads_of_a_worker_are_lowered(worker: int) -> None:
    set_priority([worker], LOWERED)
    assert nice_values(worker) == [LOWERED] * 4


@pytest.mark.skipif(not may_raise(), reason="this user may not raise a priority")
def test_whoever_may_raise_a_priority_can(worker: int) -> None:
    own = os.getpriority(os.PRIO_PROCESS, 0)
    set_priority([worker], LOWERED)
    set_priority([worker], own)
    assert nice_values(worker) == [own] * 4


@pytest.mark.parametrize(
    ("capabilities", "limit", "own", "permitted"),
    [
        ("000001ffffffffff", 0, 0, True),
        ("0000000000800000", 0, 0, True),
        ("0000000000000000", 0, 0, False),
        ("0000000000000000", 20, 0, True),
        ("0000000000000000", 19, 0, False),
        ("0000000000000000", 15, 5, True),
        ("0000000000000000", resource.RLIM_INFINITY, 0, True),
    ],
)
def test_root_and_users_with_a_limit_may_raise_a_priority(
    capabilities: str, limit: int, own: int, permitted: bool
) -> None:
    status = f"Name:\tpython\nCapPrm:\t{'0' * 16}\nCapEff:\t{capabilities}\n"
    assert permits_raise(status, limit=limit, own=own) is permitted


def test_workers_that_have_ended_are_left_out() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    set_priority([process.pid], LOWERED)
