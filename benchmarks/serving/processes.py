"""Starts the benchmark's programs and leaves nothing of them behind, however it ends itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.serving.errors import ServerError
from foundation.defaults import LOOPBACK
from serving.torchserve import guard

_PROGRAMS: Final = "benchmarks.serving.programs"
_GRACE_S: Final = 10.0
"""For a server to end by itself."""
_POLL_S: Final = 0.05
_LOG_LINES: Final = 12
_QUIET: Final = {
    # Idle threads of torch would spin on the cores that clients and servers share.
    "OMP_WAIT_POLICY": "PASSIVE",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "DO_NOT_TRACK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where programs run."""

    folder: Path
    """For logs and results."""
    model: Path
    """The unpacked archive, whose handlers package all programs use."""
    threads: int
    """Of torch and OpenMP in every process."""


class Program:
    """A program that runs; see `running`."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def wait_for(self, path: Path, seconds: float) -> Any:
        """Wait until the program has written a JSON file, and read it.

        Raises:
            ServerError: it ends without, or takes too long.
        """
        deadline = time.monotonic() + seconds
        while not path.exists():
            # What it wrote at the very end counts.
            if self._process.poll() is not None and not path.exists():
                raise ServerError(f"{self.name} ended with status {self._process.returncode}: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} took longer than {seconds:.0f} s: {self.last_words()}")
            time.sleep(_POLL_S)
        return json.loads(path.read_text(encoding="utf-8"))

    def last_words(self) -> str:
        """The end of what it printed."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines[-_LOG_LINES:] if line.strip()) or "it said nothing"

    def end(self) -> None:
        """Let go of it, and wait until nothing of it is left."""
        descendants = []
        with contextlib.suppress(psutil.NoSuchProcess):
            descendants = psutil.Process(self._process.pid).children(recursive=True)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE_S + 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            _kill(descendants)


@contextlib.contextmanager
def running(
    name: str, settings: str, place: Place, *, python: Path | None = None, scratch: Path | None = None
) -> Iterator[Program]:
    """Run `programs.NAME` for the length of the block.

    Args:
        name: the module.
        settings: its argument.
        place: where it runs.
        python: the interpreter; ours by default.
        scratch: a folder to run in, removed at the end; a fresh one by default.
    """
    log = place.folder / f"{name}.log"
    folder = scratch or Path(tempfile.mkdtemp(prefix="bench-", dir=place.folder))
    # The guard ends the program, and all of its process group, when we close its standard input or are gone.
    command = [sys.executable, "-I", "-S", guard.__file__, str(_GRACE_S), str(folder)]
    command += [str(python or sys.executable), "-m", f"{_PROGRAMS}.{name}", settings]
    with log.open("wb") as opened:
        process = subprocess.Popen(  # noqa: S603 - our own programs
            command,
            cwd=folder,
            env=environment(os.environ, place),
            stdin=subprocess.PIPE,
            stdout=opened,
            stderr=opened,
            start_new_session=True,  # the terminal's Ctrl-C reaches us alone, and we end it in order
        )
    program = Program(process, name, log)
    try:
        yield program
    finally:
        program.end()


def environment(base: Mapping[str, str], place: Place) -> dict[str, str]:
    """Our own, quiet, with the archive's code before any other."""
    path = [str(place.model), *filter(None, [base.get("PYTHONPATH")])]
    threads = str(place.threads)
    return {
        **base,
        **_QUIET,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(path),
    }


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _kill(processes: list[psutil.Process]) -> None:
    """End what left its process group, as some frameworks' processes do; psutil tells a reused id apart."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
