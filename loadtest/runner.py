"""Runs of locust as a child process, and their reports."""

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
from serving.credentials import PATH_VARIABLES

CSV_PREFIX: Final = "locust"
HTML_FILE: Final = "report.html"
LOG_FILE: Final = "locust.log"
LOCUSTFILE: Final = Path(__file__).with_name("locustfile.py")

_PATIENCE_S: Final = 60.0
"""Time beyond the length of the run for locust to start its processes and to write its files."""
_REAPING_S: Final = 5.0
"""Time for killed processes to disappear; where process 1 does not reap orphans, they remain as zombies."""
_LOG_LINES: Final = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Requests, users and length of a run.

    Raises:
        ValueError: the values contradict each other.
    """

    target: str = GATEWAY_TARGET
    """Address of the gateway, host:port."""
    users: int = 4
    """Concurrent users; ignored with a plan."""
    seconds: int = 10
    """Length of the run in seconds; ignored with a plan."""
    plan: Plan | None = None
    """Steps or a spike instead of a constant number of users."""
    user_classes: tuple[str, ...] = ()
    """Names of user classes; if empty, LcganUser and CvaeUser, and PinnedUser if `pinned_version` is set."""
    num_samples: int = 5
    """Samples per request."""
    deadline_s: float = 5.0
    user_rate: float = 0.0
    """Maximum requests per second of a user; 0 for no limit."""
    genres_file: Path | None = None
    pinned_model: str = DEFAULT_MODEL
    pinned_version: str | None = None
    processes: int = 1
    """Number of processes that share the users."""

    def __post_init__(self) -> None:
        for name in ("users", "seconds", "num_samples", "processes", "deadline_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be more than 0, got {getattr(self, name):g}")
        if "PinnedUser" in self.user_classes and not self.pinned_version:
            raise ValueError("PinnedUser needs pinned_version")

    @property
    def total_seconds(self) -> float:
        """Length of the run in seconds."""
        return self.plan.total_seconds if self.plan else self.seconds


def run_headless(load: Load, directory: Path, *, on_progress: Callable[[float], None] | None = None) -> Report:
    """Run locust and wait for its end; no process of it remains when this returns or raises.

    Args:
        load: requests, users and length of the run.
        directory: folder for locust's CSV files, report.html and locust.log; created if it does not exist.
        on_progress: called a few times a second with the seconds since the start. They exceed `load.total_seconds` at
            the end, since locust needs a second or two to start.

    Raises:
        LocustError: locust did not start or did not end properly; failed requests do not count.
        ReportError: locust's files cannot be read.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob(f"{CSV_PREFIX}_*.csv"):
        old.unlink()  # an aborted run must not be read as this one
    with (directory / LOG_FILE).open("wb") as log:
        child = subprocess.Popen(  # noqa: S603  # this package's locustfile, with checked arguments
            [sys.executable, "-m", "locust", *_arguments(load, directory)],
            cwd=directory,  # locust reads locust.conf and pyproject.toml from the current folder
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal reaches this process alone, which stops the child in order
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
    # --stop-timeout: requests in flight at the end are waited for and counted
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
    """Return the environment without locust's own variables, which would override the arguments.

    Files of credentials are named from the root, since locust runs in another folder.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return kept | {variable: str(Path(kept[variable]).resolve()) for variable in PATH_VARIABLES if kept.get(variable)}


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
    """End locust and its forked workers: by SIGTERM first, then, also on a second Ctrl-C, by SIGKILL."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass  # SIGKILL follows
    finally:
        # The child leads its own process group, in which its workers may remain.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            _wait_until_empty(child.pid)
        child.wait()


def _wait_until_empty(group: int) -> None:
    """Poll a process group until it is empty, since orphaned workers cannot be waited for.

    Raises:
        ProcessLookupError: the group is empty.
    """
    end = time.monotonic() + _REAPING_S
    while time.monotonic() < end:
        os.killpg(group, 0)
        time.sleep(0.02)


def _check(returncode: int, directory: Path) -> None:
    log = directory / LOG_FILE
    if returncode != 0:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:])
        raise LocustError(f"locust ended with status {returncode}; the end of {log}:\n{end}")
    exceptions = directory / f"{CSV_PREFIX}_exceptions.csv"
    if not exceptions.exists():
        return  # the report names what is missing
    with exceptions.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            raise LocustError(
                f"a user of the load test raised an exception, {row['Count']} times: {row['Message']} (see {log})"
            )
