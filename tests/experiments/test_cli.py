"""Commands of `deephypebot experiment`, as they are typed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot.domain.errors import StoreError
from experiments.cli import app_experiment
from experiments.errors import ExperimentError
from experiments.watching import only_watcher
from serving.errors import RegistryError, ServingError
from tests.experiments.lab import Lab, exposure
from tests.serving.support import free_port, wait_until

pytestmark = pytest.mark.integration

Run = Callable[..., str]
START = ("start", "winter", "--treatment", "2", "--control", "1")


@pytest.fixture
def run(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder, where no gateway listens; return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPHYPEBOT_WORKSPACE", str(lab.folder))
    monkeypatch.setenv("DEEPHYPEBOT_TARGET", f"127.0.0.1:{free_port()}")

    def run_command(*arguments: str, status: int = 0) -> str:
        result = CliRunner(env={"COLUMNS": "300"}).invoke(app_experiment, arguments)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return result.stdout

    return run_command


@pytest.mark.parametrize("command", ["start", "list", "status", "report", "stop", "sync", "watch", "verdicts"])
def test_every_command_explains_itself(run: Run, command: str) -> None:
    assert f"deephypebot experiment {command}" in run(command, "--help")


def test_an_experiment_is_started_listed_looked_at_and_stopped(run: Run, lab: Lab) -> None:
    told = run("start", "winter", "--treatment", "lcgan/2", "--max-slowdown", "2")
    assert "registry: lcgan/1 against lcgan/2 is the experiment winter (interleaved)" in told
    assert "gateway: none serves lcgan at" in told
    assert "next: keep `deephypebot experiment watch` running" in told
    assert "winter" in run("list")
    (listed,) = json.loads(run("list", "--json"))
    assert (listed["control"], listed["treatments"], listed["guardrails"]["max_slowdown"]) == ("1", ["2"], 2.0)

    for _ in range(3):
        lab.add_song([("1", True), ("2", False)])
    lab.add_song([("1", True), ("2", None)])
    lab.expose(exposure("e1", "1"), exposure("e2", "2"))
    told = run("status", "winter")
    assert "songs: 3 judged whole, 1 half, 0 waiting" in told
    assert "lcgan/2" in told
    assert "Go on" in told

    assert "registry: the experiment winter is over" in run("stop", "winter", "--no-wait")
    assert "was over already: It was stopped by hand." in run("stop", "winter", "--no-wait")
    assert lab.tags() == {}
    assert "ended: It was stopped by hand." in run("list")


def test_a_report_is_written_and_logged_and_a_second_one_updates_the_same_run(run: Run, lab: Lab) -> None:
    run(*START, "--no-wait")
    lab.add_song([("1", True), ("2", False)])
    first = json.loads(run("report", "winter", "--json"))
    told = run("report", "winter")
    assert f"MLflow: run {first['run_id']}" in told
    assert [Path(path).name for path in first["files"]] == ["report.json", "report.html"]
    assert all(Path(path).is_file() for path in first["files"])
    assert first["songs"]["whole"] == 1
    assert json.loads(run("status", "winter", "--json"))["arms"][0]["version"] == "1"


def test_a_stop_may_promote_one_of_the_versions(run: Run, lab: Lab) -> None:
    run(*START, "--no-wait")
    assert "registry: lcgan/2 is the champion" in run("stop", "winter", "--promote", "2", "--no-wait")
    assert lab.models.resolve("lcgan").version == "2"
    assert lab.registry.get("winter").outcome == "lcgan/2 was promoted by hand."
    with pytest.raises(ExperimentError, match="'3' is not one of the experiment winter, whose versions are: 1, 2"):
        run("stop", "winter", "--promote", "3")
    assert "was over already" in run("stop", "winter", "--promote", "2", "--no-wait")
    with pytest.raises(
        ExperimentError, match=r"has ended \(lcgan/2 was promoted .* `deephypebot models promote lcgan/1`"
    ):
        run("stop", "winter", "--promote", "1")
    assert lab.models.resolve("lcgan").version == "2"


def test_verdicts_are_written(run: Run, lab: Lab, tmp_path: Path) -> None:
    lab.add_song([("1", True), ("2", False)])
    told = run("verdicts", "--out", str(tmp_path / "v.jsonl"))
    assert "2 verdicts, 1 accepted (0 of them edited), 1 rejected" in told
    assert "the exposures of 2 samples were not found" in told
    assert len((tmp_path / "v.jsonl").read_text(encoding="utf-8").splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "fault", "said"),
    [
        (("start", "../x", "--treatment", "2"), ExperimentError, "is not a name of an experiment"),
        (("start", "winter", "--treatment", "9"), RegistryError, "has no version '9'; its versions are: 1, 2, 3, 4"),
        (("start", "winter", "--treatment", "4"), ExperimentError, "lcgan/4 has no archive"),
        (("start", "winter", "--treatment", "1"), ExperimentError, "must differ"),
        (("start", "winter", "--treatment", "cvae/2"), ExperimentError, "is a version of cvae"),
        (("start", "winter", "--treatment", "best"), RegistryError, "no alias 'best'"),
        (("start", "winter", "--treatment", "2", "--model", "cvae"), RegistryError, "'cvae' is not registered"),
        (("start", "winter", "--treatment", "2", "--alpha", "1"), ExperimentError, "alpha must be"),
        (("start", "winter", "--treatment", "2", "--max-slowdown", "1"), ExperimentError, "max_slowdown must be"),
        (("status", "winter"), ExperimentError, "no experiment 'winter'; the experiments are: none"),
        (("report", "winter"), ExperimentError, "no experiment 'winter'"),
        (("stop", "winter"), ExperimentError, "no experiment 'winter'"),
        (("verdicts", "--out", "v.jsonl"), StoreError, "no bot has run in"),
    ],
)
def test_what_makes_no_sense_is_an_error_and_changes_nothing(
    run: Run, lab: Lab, arguments: tuple[str, ...], fault: type[Exception], said: str
) -> None:
    with pytest.raises(fault, match=said):
        run(*arguments)
    assert (lab.tags(), lab.registry.list()) == ({}, ())


def test_a_missing_store_a_missing_folder_of_exposures_and_a_newer_store_are_told(
    run: Run, lab: Lab, tmp_path: Path
) -> None:
    run(*START, "--no-wait")
    with pytest.raises(StoreError, match="no bot has run in"):
        run("status", "winter")
    with lab.store() as store:
        with pytest.raises(ServingError, match="there are no exposures in"):
            run("status", "winter", "--exposures", str(tmp_path / "nowhere"))
        store._connection.execute("PRAGMA user_version = 9999")
    with pytest.raises(StoreError, match="newer"):
        run("report", "winter")


def test_verdicts_are_sent_once_and_wait_while_mlflow_is_away(run: Run, lab: Lab) -> None:
    with pytest.raises(StoreError, match="no bot has run in"):
        run("sync")
    lab.add_song([("1", True)])
    assert "lcgan/1 has no logged model in the registry" in run("sync")
    away = f"http://127.0.0.1:{free_port()}"
    assert "MLflow has been away since" in run("sync", "--tracking-uri", away, status=1)
    with only_watcher(lab.folder / "experiments"), pytest.raises(ExperimentError, match="another"):
        run("sync")


def test_several_folders_of_exposures_may_be_named_by_options_or_by_the_environment(
    run: Run, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(*START, "--no-wait")
    lab.store().close()
    now = datetime.now(UTC) + timedelta(seconds=1)
    lab.expose(exposure("a" * 32, "1", time=now))
    other = tmp_path / "other"
    lab.exposures_folder.rename(other)
    lab.expose(exposure("b" * 32, "1", time=now))

    def calls(*options: str) -> int:
        return int(json.loads(run("status", "winter", "--json", *options))["arms"][0]["calls"])

    assert calls() == 1
    assert calls("--exposures", str(other), "--exposures", str(lab.exposures_folder)) == 2
    monkeypatch.setenv("DEEPHYPEBOT_EXPOSURES", f"{other}:{lab.exposures_folder}")
    assert calls() == 2


def test_one_pass_ends_with_1_if_anything_failed(run: Run, lab: Lab) -> None:
    run(*START, "--no-wait")
    run("watch", "--once", status=1)
    lab.store().close()
    run("watch", "--once")
    run("watch", "winter", "--once", "--no-verdicts")


def test_a_watch_ends_at_sigterm_and_a_second_one_is_refused_meanwhile(run: Run, lab: Lab) -> None:
    run(*START, "--no-wait")
    lab.store().close()
    program = "from experiments.cli import app_experiment; app_experiment()"
    options = ("watch", "--every", "1", "--workspace", str(lab.folder), "--tracking-uri", lab.uri)
    with subprocess.Popen(
        [sys.executable, "-c", program, *options], stderr=subprocess.PIPE, text=True, cwd=lab.folder
    ) as process:
        try:
            wait_until((lab.folder / "experiments" / "winter" / "report.json").exists, timeout_s=60)
            with pytest.raises(ExperimentError, match="another `deephypebot experiment watch` runs on"):
                run("watch", "--once")
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
        assert process.stderr is not None
        assert "INFO winter: Go on: no song is judged whole yet." in process.stderr.read()
