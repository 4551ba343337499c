from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from serving.torchserve import guard
from tests.serving.support import assert_gone, wait_until

pytestmark = pytest.mark.slow

STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(60)
"""
OBEDIENT = """
import signal, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
time.sleep(60)
"""


def command(folder: Path, program: str, grace_s: float = 0.5) -> list[str]:
    folder.mkdir()
    guarded = [sys.executable, "-c", program]
    return [sys.executable, "-I", "-S", guard.__file__, str(grace_s), str(folder), *guarded]


def family(process: psutil.Process) -> list[psutil.Process]:
    """The guard, its command, and the command's own child."""
    wait_until(lambda: len(process.children(recursive=True)) == 2)
    time.sleep(0.2)  # until the signal handlers of the command stand
    return [process, *process.children(recursive=True)]


@pytest.mark.parametrize(("program", "status"), [(OBEDIENT, 3), (STUBBORN, 128 + 9)])
def test_closing_the_pipe_ends_the_command_and_what_it_started(tmp_path: Path, program: str, status: int) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(command(folder, program), stdin=subprocess.PIPE) as process:
        members = family(psutil.Process(process.pid))
        assert int((folder / guard.PID_FILE).read_text()) == members[1].pid
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(5) == status
    assert_gone(members, timeout_s=0)  # not even as zombies
    assert not folder.exists()


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    owner_program = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen({command(folder, OBEDIENT)!r}, stdin=subprocess.PIPE, start_new_session=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", owner_program]) as owner:
        (started,) = wait_until(lambda: psutil.Process(owner.pid).children())
        members = family(started)
        owner.kill()
    assert_gone(members)
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_a_killed_guard_takes_the_command_along(tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path / "run", OBEDIENT), stdin=subprocess.PIPE) as process:
        guard_itself, jvm, worker = family(psutil.Process(process.pid))
        process.kill()
        assert_gone([guard_itself, jvm])
        worker.kill()  # TorchServe's workers leave by themselves when the JVM's socket closes


def test_a_command_that_ends_by_itself_gives_its_status(tmp_path: Path) -> None:
    with subprocess.Popen(command(tmp_path / "run", "import sys; sys.exit(7)"), stdin=subprocess.PIPE) as process:
        assert process.wait(5) == 7


def test_a_command_that_does_not_exist_is_status_127(tmp_path: Path) -> None:
    arguments = [sys.executable, "-I", "-S", guard.__file__, "1", str(tmp_path / "run"), "/no/such/program"]
    (tmp_path / "run").mkdir()
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.wait(5) == 127
