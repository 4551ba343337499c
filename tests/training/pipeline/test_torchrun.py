"""`deephypebot train` in two processes that torchrun starts: all of it, and what happens when one is killed."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from mlflow import MlflowClient

from tests.training.conftest import SampleCorpus
from tests.training.pipeline.small_training import SETTINGS, STAGES, clean_environment, train_command
from tests.training.torchrun import torchrun
from training.pipeline.plan import TrainPlan
from training.pipeline.training import Training
from training.presets import preset
from training.progress import silent
from training.tracking.port import NullTracker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def _runs(workspace: Path) -> list[tuple[str, str]]:
    """Name and status of every run, sorted."""
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "deephypebot")
    runs = client.search_runs([experiment.experiment_id])
    return sorted((str(run.info.run_name).partition(" ")[0], str(run.info.status)) for run in runs)


def test_two_processes_train_track_and_register_once_and_one_process_reuses_it_all(
    sample_corpus: SampleCorpus, tmp_path: Path
) -> None:
    command = torchrun("-m", "deephypebot", *train_command(sample_corpus, tmp_path))
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=560, env=clean_environment())
    assert done.returncode == 0, done.stderr
    workspace = tmp_path / "workspace"
    assert _runs(workspace) == [(name, "FINISHED") for name in sorted((*STAGES, "demo"))]
    client = MlflowClient(f"sqlite:///{workspace / 'mlflow.db'}")
    versions = client.search_model_versions()
    assert sorted((each.name, str(each.version)) for each in versions) == [("cvae", "1"), ("lcgan", "1")]
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["cvae_1.mar", "lcgan_1.mar"]
    (cvae,) = (each for each in versions if each.name == "cvae")
    points = client.get_metric_history(str(cvae.run_id), "valid.perplexity_bound")
    assert [point.step for point in points if point.step > 0] == sorted({point.step for point in points} - {0})
    assert len([point for point in points if point.step > 0]) == SETTINGS.cvae.epochs
    assert sum(line.startswith("Versions") for line in done.stdout.splitlines()) == 1, "the first process alone speaks"
    # The number of processes is not a setting: it does not change a stage.
    small = preset("demo").with_overrides([each.removeprefix("--set=") for each in command if each.startswith("--set")])
    plan = TrainPlan(workspace=workspace, model_store=tmp_path / "store")
    again = Training(
        corpus=sample_corpus.corpus, settings=small, plan=plan, tracker=NullTracker(), watch=lambda _: silent
    )
    assert [stage.reused for stage in again.run().stages] == [True] * len(STAGES)


@contextmanager
def _training(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command, whose processes have all ended when the block has."""
    with log.open("wb") as output:
        launcher = subprocess.Popen(command, env=clean_environment(), stdout=output, stderr=subprocess.STDOUT)
        try:
            yield launcher
        finally:
            workers = psutil.Process(launcher.pid).children(recursive=True) if launcher.poll() is None else []
            launcher.kill()
            for each in workers:
                each.kill()
            launcher.wait()


def _ranks(launcher: subprocess.Popen[bytes]) -> dict[int, psutil.Process]:
    """The launcher's workers by rank."""
    children = psutil.Process(launcher.pid).children()
    return {int(each.environ()["RANK"]): each for each in children if "RANK" in each.environ()}


@pytest.mark.parametrize("killed", [0, 1])
def test_when_one_process_is_killed_the_other_ends_with_a_clear_error_and_the_checkpoint_stays(
    sample_corpus: SampleCorpus, tmp_path: Path, killed: int
) -> None:
    log, workspace = tmp_path / "log.txt", tmp_path / "workspace"
    # The process that is killed closes no run, so it need not open one.
    tracking = "none" if killed == 0 else "mlflow"
    long = train_command(sample_corpus, tmp_path, "--set=cvae.epochs=500", f"--tracking={tracking}")
    command = torchrun("-m", "deephypebot", *long)
    with _training(command, log) as launcher:
        end = time.monotonic() + 400
        while not list(workspace.glob("stages/cvae-*/checkpoint.pt")):
            assert launcher.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        ranks = _ranks(launcher)
        assert set(ranks) == {0, 1}
        ranks[killed].send_signal(signal.SIGKILL)
        assert launcher.wait(timeout=90) != 0
        assert not ranks[1 - killed].is_running()
    output = " ".join(log.read_text().split())
    assert "another process of this training has ended" in output or "terminated (SIGTERM)" in output, output
    assert "continue from the last checkpoint" in output or "continues from the last checkpoint" in output
    # torchrun has a trace of its own for the one that was killed; we have none.
    assert "deephypebot.py" not in output
    (checkpoint,) = workspace.glob("stages/cvae-*/checkpoint.pt")
    assert torch.load(checkpoint, weights_only=True)["done"] > 0
    assert not (tmp_path / "store").exists()
    if tracking == "mlflow":
        states = dict(_runs(workspace))
        assert set(states) == {"cvae", "topics", "demo"}
        assert states["topics"] == "FINISHED"
        assert {states["cvae"], states["demo"]} <= {"FAILED", "KILLED"}, "no run stays open"
