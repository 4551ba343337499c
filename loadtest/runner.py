"""Runs the real locust as a child process for a given time, and reads what it measured."""

from __future__ import annotations

import csv
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.defaults import DEFAULT_MODEL, GATEWAY_TARGET, LOOPBACK
from loadtest.errors import LocustError
from loadtest.plans import Plan, StepPlan
from loadtest.report import Report, read_report

CSV_PREFIX: Final = "locust"
HTML_FILE: Final = "report.html"
LOG_FILE: Final = "locust.log"
LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")

_PATIENCE_S: Final = 60.0
"""Seconds beyond the run's own length that locust may take to start its processes and to write its files."""
_REAPING_S: Final = 5.0
"""Seconds that killed processes get to be gone; where nobody collects orphans they stay, dead, for ever."""
_LOG_LINES: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Who asks what, how hard, for how long.

    Raises:
        ValueError: the values contradict each other.
    """

    target: str = GATEWAY_TARGET
    """Address of the gateway, host:port."""
    users: int = 4
    """Users at once; a plan sets its own."""
    seconds: int = 10
    """Length of the run; a plan sets its own."""
    plan: Plan | None = None
    """Steps or a spike instead of a steady number of users."""
    user_classes: tuple[str, ...] = ()
    """Names of the users; empty takes LcganUser and CvaeUser, and PinnedUser when there is a version."""
    num_samples: int = 5
    """Samples per request."""
    deadline_s: float = 5.0
    user_rate: float = 0.0
    """Requests per second that a user starts at most; 0 asks again at once."""
    genres_file: Path | None = None
    pinned_model: str = DEFAULT_MODEL
    pinned_version: str | None = None
    processes: int = 1
    """Processes that the users are spread over."""

    def __post_init__(self) -> None:
        for name in ("users", "seconds", "num_samples", "processes", "deadline_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name):g}")
        if "PinnedUser" in self.user_classes and not self.pinned_version:
            raise ValueError("PinnedUser needs pinned_version")

    @property
    def total_seconds(self) -> float:
        """Length of the run."""
        return self.plan.total_seconds if self.plan else self.seconds


def run_headless(load: Load, directory: Path, *, on_progress: Callable[[float], None] | None = None) -> Report:
    """Run locust and wait for its end; nothing of it is left when this returns or raises.

    Args:
        load: what to run.
        directory: made if it is missing; receives locust's CSV files, report.html and locust.log.
        on_progress: told the seconds since the start, a few times a second. Locust needs a second or two to start, so
            they run ahead of `load.total_seconds` by that.

    Raises:
        LocustError: locust did not start or did not end well; failed requests are no reason.
        ReportError: locust's files cannot be read.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob(f"{CSV_PREFIX}_*.csv"):
        old.unlink()  # an aborted run must not be read as this one
    with (directory / LOG_FILE).open("wb") as log:
        child = subprocess.Popen(  # noqa: S603  # our own locustfile, with checked arguments
            [sys.executable, "-m", "locust", *_arguments(load, directory)],
            cwd=directory,  # locust reads locust.conf and pyproject.toml from the current folder
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # the terminal's Ctrl-C reaches us alone, and we stop the child in order
        )
        try:
            _wait(child, load.total_seconds + load.deadline_s + _PATIENCE_S, on_progress)
        finally:
            _stop(child)
    _check(child.returncode, directory)
    return read_report(directory / CSV_PREFIX)


def _arguments(load: Load, directory: Path) -> list[str]:
    arguments = ["-f", str(LOCUSTFILE), "--headless", "--only-summary", "--exit-code-on-error", "0"]
    arguments += ["--host", load.target, "--num-samples", str(load.num_samples), "--deadline", str(load.deadline_s)]
    arguments += ["--user-rate", str(load.user_rate), "--csv", str(directory / CSV_PREFIX), "--csv-full-history"]
    # requests in flight at the end are waited for, and counted
    arguments += ["--html", str(directory / HTML_FILE), "--stop-timeout", str(math.ceil(load.deadline_s))]
    arguments += _amount(load)
    if load.genres_file:
        arguments += ["--genres-file", str(load.genres_file.resolve())]
    if load.pinned_version:
        arguments += ["--pinned-version", load.pinned_version, "--pinned-model", load.pinned_model]
    if load.processes > 1:
        port = str(_free_port())
        arguments += ["--processes", str(load.processes), "--expect-workers-max-wait", "30"]
        arguments += ["--master-bind-host", LOOPBACK, "--master-bind-port", port, "--master-port", port]
    return [*arguments, *load.user_classes]


def _amount(load: Load) -> list[str]:
    plan = load.plan
    if plan is None:
        return ["--users", str(load.users), "--spawn-rate", str(min(load.users, 100)), "--run-time", f"{load.seconds}s"]
    if isinstance(plan, StepPlan):
        step = ["--step-users", str(plan.users), "--step-time", str(plan.seconds), "--steps", str(plan.steps)]
        return ["--shape", "step", *step]
    calm = ["--calm-users", str(plan.calm_users), "--calm-time", str(plan.calm_seconds)]
    spike = ["--spike-users", str(plan.spike_users), "--spike-time", str(plan.spike_seconds)]
    return ["--shape", "spike", *calm, *spike]


def _environment() -> dict[str, str]:
    """Ours without locust's own settings, which would change the run behind its arguments' back."""
    return {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _wait(child: subprocess.Popen[bytes], limit_s: float, on_progress: Callable[[float], None] | None) -> None:
    start = time.monotonic()
    while child.poll() is None:
        elapsed = time.monotonic() - start
        if elapsed > limit_s:
            raise LocustError(f"locust did not end within {limit_s:.0f} seconds; it was stopped")
        if on_progress:
            on_progress(elapsed)
        time.sleep(0.1)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """End locust and its forked workers, first by request, then, also on a second Ctrl-C, by force."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass  # what follows does not ask
    finally:
        # The child leads its own group; when it is gone, its workers are what may be left there.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            _wait_until_empty(child.pid)
        child.wait()


def _wait_until_empty(group: int) -> None:
    """Workers whose parent is gone are nobody's to wait for, and a killed process takes a moment to end.

    Raises:
        ProcessLookupError: there is nobody left.
    """
    end = time.monotonic() + _REAPING_S
    while time.monotonic() < end:
        os.killpg(group, 0)
        time.sleep(0.02)


def _check(returncode: int, directory: Path) -> None:
    log = directory / LOG_FILE
    if returncode != 0:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
        raise LocustError(f"locust ended with code {returncode}; the end of {log}:\n{end}")
    exceptions = directory / f"{CSV_PREFIX}_exceptions.csv"
    if not exceptions.exists():
        return  # the report names what is missing
    with exceptions.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            raise LocustError(f"a user of the load test broke, {row['Count']} times: {row['Message']} (see {log})")
