"""Start and end of the benchmark's programs, none of which outlives the benchmark."""

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
_OF_THE_PROJECT: Final = ("gateway", "torchserve", "load")
"""Programs that speak to workers and clients by whichever contract, as `serve` does; with the code of an older archive
they would not start. The others decode, with the archive's code, as TorchServe's workers do."""
_GRACE_S: Final = 10.0
"""Time for a server to end by itself."""
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
    """Folders and threads of programs."""

    folder: Path
    """Folder for logs and results."""
    model: Path
    """Folder of the unpacked archive, whose handlers package all programs that decode use."""
    threads: int
    """Threads of torch and OpenMP in every process."""


class Program:
    """A running program; see `running`."""

    def __init__(self, process: subprocess.Popen[bytes], name: str, log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def wait_for(self, path: Path, seconds: float) -> Any:
        """Wait until the program has written a JSON file, and read it.

        Raises:
            ServerError: the program ends without it, or takes too long.
        """
        deadline = time.monotonic() + seconds
        while not path.exists():
            # A file written just before the end counts.
            if self._process.poll() is not None and not path.exists():
                raise ServerError(f"{self.name} ended with status {self._process.returncode}: {self.last_output()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} took longer than {seconds:.0f} s: {self.last_output()}")
            time.sleep(_POLL_S)
        return json.loads(path.read_text(encoding="utf-8"))

    def itself(self) -> psutil.Process:
        """Return the process of the program: the only child of its guard.

        Raises:
            ServerError: it has ended.
        """
        try:
            return psutil.Process(self._process.pid).children()[0]
        except (psutil.NoSuchProcess, IndexError) as cause:
            raise ServerError(f"{self.name} has ended: {self.last_output()}") from cause

    def last_output(self) -> str:
        """Return the end of its output."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(line for line in lines[-_LOG_LINES:] if line.strip()) or "it printed nothing"

    def end(self) -> None:
        """End the program and its children, and wait for them."""
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
        name: name of the module.
        settings: argument of the program.
        place: folders and threads.
        python: interpreter; by default the current one.
        scratch: working folder, removed at the end; by default a new one.
    """
    log = place.folder / f"{name}.log"
    folder = scratch or Path(tempfile.mkdtemp(prefix="bench-", dir=place.folder))
    # The guard ends the program and its process group when its standard input is closed, also if this process dies.
    command = [sys.executable, "-I", "-S", guard.__file__, str(_GRACE_S), str(folder)]
    command += [str(python or sys.executable), "-m", f"{_PROGRAMS}.{name}", settings]
    with log.open("wb") as opened:
        process = subprocess.Popen(  # noqa: S603 - the project's programs
            command,
            cwd=folder,
            env=environment(os.environ, place, own_code=name in _OF_THE_PROJECT),
            stdin=subprocess.PIPE,
            stdout=opened,
            stderr=opened,
            start_new_session=True,  # Ctrl-C in the terminal reaches this process alone, which ends it in order
        )
    program = Program(process, name, log)
    try:
        yield program
    finally:
        program.end()


def environment(base: Mapping[str, str], place: Place, *, own_code: bool) -> dict[str, str]:
    """Return an environment in which programs print little.

    Args:
        base: variables to begin with.
        place: folders and threads.
        own_code: whether the project's code is used; if not, the archive's comes first on the path.
    """
    path = [*([] if own_code else [str(place.model)]), *filter(None, [base.get("PYTHONPATH")])]
    threads = str(place.threads)
    return {
        **base,
        **_QUIET,
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "PYTHONPATH": os.pathsep.join(path),
    }


def free_port() -> int:
    """Return a port of the loopback address that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _kill(processes: list[psutil.Process]) -> None:
    """Kill processes that left their process group, as those of some frameworks do; psutil detects reused ids."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
