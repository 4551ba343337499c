from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from training.options import make_tracker
from training.tracking.port import NullTracker, TrainedOn

CORPUS = TrainedOn(name="corpus", sha256="ab" * 32, source="posts.jsonl", profile={"train_sentences": 3})


@pytest.mark.integration
def test_a_run_shows_what_it_learned_from_and_how_the_machine_fared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = MlflowClient(uri)
    origin = {"mlflow.source.git.repoURL": "https://ann:planted@git.example/x.git"}
    with make_tracker(uri, tmp_path).run("train", tags=origin) as run:
        run.log_dataset(CORPUS)
        deadline = time.monotonic() + 20
        while "system/cpu_utilization_percentage" not in client.get_run(run.run_id).data.metrics:
            assert time.monotonic() < deadline, "no system metrics within 20 s"
            time.sleep(0.1)
    assert client.get_run(run.run_id).data.tags["mlflow.source.git.repoURL"] == "https://***@git.example/x.git"
    inputs = client.get_run(run.run_id).inputs
    assert inputs is not None
    (used,) = inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest, used.dataset.profile) == (
        "corpus",
        "ab" * 6,
        '{"train_sentences": 3}',
    )
    assert [(tag.key, tag.value) for tag in used.tags] == [("mlflow.data.context", "training")]


_OPEN = """import sys; from pathlib import Path; from training.options import make_tracker
sys.stdin.readline()
with make_tracker(f"sqlite:///{sys.argv[1]}/mlflow.db", Path(sys.argv[1])).run("train") as run: print(run.run_id)
"""


@pytest.mark.integration
def test_two_processes_that_make_the_database_of_a_new_workspace_at_once_both_log_to_it(tmp_path: Path) -> None:
    command, pipe = [sys.executable, "-c", _OPEN, str(tmp_path)], subprocess.PIPE
    opening = [subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) for _ in range(2)]
    for process in opening:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in opening]
    assert [process.returncode for process in opening] == [0, 0], [errors for _, errors in ended]
    logged = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert {logged.get_run(output.strip()).info.run_name for output, _ in ended} == {"train"}


@pytest.mark.slow
def test_a_figure_is_there_once_it_was_logged_and_the_points_of_a_curve_at_the_end_of_their_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As slow as a busy machine's may be.
    monkeypatch.setenv("MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS", "2")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    tracker, client = make_tracker(uri, tmp_path), MlflowClient(uri)
    with tracker.run("train") as run:
        run.log_metrics({"loss": 2.0}, step=1)
        assert "loss" not in client.get_run(run.run_id).data.metrics
    assert client.get_run(run.run_id).data.metrics["loss"] == 2.0
    tracker.reopen(run.run_id).log_metrics({"evaluate.length": 9.0})
    assert client.get_run(run.run_id).data.metrics["evaluate.length"] == 9.0


def test_without_a_server_datasets_are_taken_and_forgotten() -> None:
    with NullTracker().run("train") as run:
        run.log_dataset(CORPUS)
        assert run.run_id == ""
