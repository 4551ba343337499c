"""The real locust against a loopback server that counts what it did."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from loadtest.errors import LocustError
from loadtest.plans import StepPlan
from loadtest.runner import Load, run_headless

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.integration

Serve = Callable[..., Any]
Living = Callable[[Path], list[int]]


def agrees(counted: int, told: int, *, users: int) -> bool:
    """Whether locust counted what the server did: it may stop a user just when that has sent its last request."""
    return 0 <= told - counted <= users


def test_a_run_counts_what_the_server_answered_and_leaves_its_files(
    serve: Serve, living: Living, tmp_path: Path
) -> None:
    server = serve("ok")
    told: list[float] = []
    report = run_headless(
        Load(target=server.target, users=4, seconds=2, num_samples=3), tmp_path / "run", on_progress=told.append
    )
    heard = server.stop()
    assert agrees(report.requests, heard["calls"]["ok"], users=4)
    assert report.requests > 50
    assert (report.failures, report.errors) == (0, {})
    assert report.samples == 3 * report.requests
    assert report.tokens == 7 * report.samples
    assert 0 <= report.p50_ms <= report.p95_ms <= report.p99_ms <= report.max_ms < 5000
    assert report.samples_per_s == pytest.approx(3 * report.requests_per_s, rel=0.01)
    assert set(heard["models"]) == {"lcgan", "cvae"}
    assert {figures.name for figures in report.models} == {"Generate lcgan", "Generate cvae"}
    assert "<html" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert told == sorted(told)
    assert told[-1] > 1.5
    assert living(tmp_path) == []


def test_every_kind_of_failure_is_counted_under_its_name(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok", "invalid", "unavailable", "slow", "short", "empty", "other-model", "other-id", "internal")
    report = run_headless(Load(target=server.target, users=4, seconds=3, deadline_s=0.5), tmp_path)
    calls = server.stop()["calls"]
    happened = {
        "WRONG_ANSWER": calls["short"] + calls["empty"] + calls["other-model"] + calls["other-id"],
        "DEADLINE_EXCEEDED": calls["slow"],
        "INVALID_ARGUMENT": calls["invalid"],
        "UNAVAILABLE": calls["unavailable"],
        "INTERNAL": calls["internal"],
    }
    assert set(report.errors) == set(happened)
    assert all(agrees(report.errors[kind], told, users=4) for kind, told in happened.items())
    assert agrees(report.requests, sum(calls.values()), users=4)
    assert report.failures == sum(report.errors.values())
    assert report.samples == 5 * (report.requests - report.failures)
    log = (tmp_path / "locust.log").read_text(encoding="utf-8")
    assert log.count("first WRONG_ANSWER") == 1


def test_a_refused_user_waits_as_long_as_the_gateway_asks_for(serve: Serve, tmp_path: Path) -> None:
    server = serve("crowded")
    report = run_headless(Load(target=server.target, users=1, seconds=3, user_classes=("LcganUser",)), tmp_path)
    assert 2 <= server.stop()["calls"]["crowded"] <= 4  # 30 with a pause of 0.1 s
    assert set(report.errors) == {"RESOURCE_EXHAUSTED"}


def test_forked_processes_ask_over_connections_of_their_own(serve: Serve, living: Living, tmp_path: Path) -> None:
    server = serve("ok")
    report = run_headless(Load(target=server.target, users=4, seconds=2, processes=2), tmp_path)
    heard = server.stop()
    # On a busy machine a process may be late with the last of its reports, which locust does not wait for long.
    assert 50 < report.requests <= heard["calls"]["ok"]
    assert report.failures == 0
    assert report.samples == 5 * report.requests
    assert heard["peers"] == 2
    assert (tmp_path / "report.html").stat().st_size > 0
    assert living(tmp_path) == []


def test_the_pinned_user_asks_for_its_version_and_finds_another_out(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok", "other-version")
    load = Load(
        target=server.target,
        users=1,
        seconds=2,
        user_classes=("PinnedUser",),
        pinned_model="cvae",
        pinned_version="7",
        user_rate=20,
    )
    report = run_headless(load, tmp_path)
    heard = server.stop()
    assert set(heard["models"]) == {"cvae 7"}
    assert set(report.errors) == {"WRONG_ANSWER"}
    assert agrees(report.errors["WRONG_ANSWER"], heard["calls"]["other-version"], users=1)
    assert 5 < report.requests <= 42


def test_a_step_run_climbs_its_steps(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok")
    plan = StepPlan(users=2, seconds=2, steps=2)
    report = run_headless(Load(target=server.target, plan=plan, user_classes=("LcganUser",), user_rate=10), tmp_path)
    users = [level.users for level in report.levels]
    assert (users[0], users[-1]) == (2, 4)
    assert users == sorted(users)
    assert set(server.stop()["models"]) == {"lcgan"}


def test_a_target_where_nobody_listens_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(LocustError, match=r"nothing answers at 127\.0\.0\.1:1: start a gateway"):
        run_headless(Load(target="127.0.0.1:1", users=2, seconds=30), tmp_path)


def test_a_run_that_locust_refuses_says_why(tmp_path: Path) -> None:
    with pytest.raises(LocustError, match="cannot read genres from"):
        run_headless(Load(genres_file=tmp_path / "none.txt"), tmp_path / "run")


def test_an_exception_on_the_way_leaves_no_process(serve: Serve, living: Living, tmp_path: Path) -> None:
    def give_up(elapsed: float) -> None:
        if elapsed > 2:
            raise KeyboardInterrupt

    server = serve("ok")
    with pytest.raises(KeyboardInterrupt):
        run_headless(Load(target=server.target, seconds=60, processes=2), tmp_path, on_progress=give_up)
    assert living(tmp_path) == []


def locust(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "loadtest/locustfile.py", "--headless", "--only-summary"]
    return subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_locust_itself_runs_the_spike_from_the_repository_root(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok")
    sizes = ("--calm-users", "1", "--spike-users", "3", "--calm-time", "1", "--spike-time", "1", "--user-rate", "20")
    done = locust("--host", server.target, "--shape", "spike", *sizes, "--csv", str(tmp_path / "x"), "CvaeUser")
    assert done.returncode == 0, done.stderr
    assert "samples/s" in done.stdout
    assert "updating to 3 users" in done.stderr
    assert set(server.stop()["models"]) == {"cvae"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["PinnedUser"], "--pinned-version"),
        (["--num-samples", "65"], "between 1 and 64"),
        (["--host", "ftp://gateway.example:443"], "--host: the target"),
        (["--host", "http://127.0.0.1:1"], "nothing answers at 127.0.0.1:1"),
        (["--shape", "spike", "--spike-users", "1"], "spike_users must be more than calm_users"),
    ],
)
def test_a_wrong_command_line_ends_at_once_without_a_traceback(arguments: list[str], words: str) -> None:
    done = locust(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_versions_and_models_that_are_not_live_end_a_run_at_once(serve: Serve) -> None:
    server = serve("ok")
    host = ["--host", f"http://{server.target}", "-t", "30s"]
    done = locust(*host, "--pinned-version", "99")
    assert done.returncode != 0
    assert "lcgan/99 is not live at" in done.stderr
    assert "live are lcgan/1, lcgan/7, cvae/1, cvae/7" in done.stderr
    assert sum(server.stop()["calls"].values()) == 0


def test_help_lists_the_options_of_the_load_test() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    for option in ("--headless", "--num-samples", "--pinned-version", "--shape"):
        assert option in done.stdout


def test_a_terminated_locust_still_writes_what_it_counted(serve: Serve, tmp_path: Path) -> None:
    server = serve("ok")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest/locustfile.py"), "--headless", "-u", "2"]
    with log.open("w") as out:
        child = subprocess.Popen(
            [*command, "--host", server.target, "--csv", str(tmp_path / "x")], stdout=out, stderr=out, cwd=tmp_path
        )
    try:
        wait_for(lambda: "All users spawned" in log.read_text())
        child.send_signal(signal.SIGTERM)
        child.wait(timeout=30)
    finally:
        child.kill()
        child.wait()
    told = server.stop()["calls"]["ok"]
    assert "samples/s" in log.read_text()
    counted = int((tmp_path / "x_samples.csv").read_text().splitlines()[1].split(",")[0])
    assert agrees(counted // 5, told, users=2)


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
