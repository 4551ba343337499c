"""`mlflow run mlflow` starts the same stages, under MLflow's own run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.integration.conftest import DemoRun

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_the_train_entry_point_puts_the_stages_below_the_projects_run_in_the_workspace(demo_run: DemoRun) -> None:
    place = demo_run.place
    parameters = {
        "corpus": place.workspace / "corpora" / "posts",
        "setting": "lcgan.steps=20",
        "workspace": place.workspace,
        "model_store": place.model_store,
    }
    options = [part for name, value in parameters.items() for part in ("-P", f"{name}={value}")]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mlflow",
            "run",
            str(ROOT / "mlflow"),
            "-e",
            "train",
            "--env-manager",
            "local",
            *options,
        ],
        # Neither an address nor an experiment is told: the plug-in finds those of the workspace.
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "GIT_PYTHON_REFRESH": "quiet",
        },
        cwd=place.root,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    client = MlflowClient(place.tracking_uri)
    experiment = client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    stages = client.search_runs([experiment.experiment_id], "tags.stage = 'lcgan'", order_by=["start_time DESC"])
    parent = client.get_run(stages[0].data.tags["mlflow.parentRunId"])
    assert parent.data.tags["mlflow.project.entryPoint"] == "train"
    assert parent.info.status == "FINISHED"
    assert parent.info.run_name.startswith("demo ")
    assert parent.data.metrics["cvae.valid.kl"] > 0
    assert parent.data.tags["reused.cvae"]
    (default,) = (each for each in client.search_experiments() if each.name == "Default")
    assert client.search_runs([default.experiment_id]) == []
    assert not (place.root / "mlflow.db").exists()
    assert not (place.root / "mlruns").exists()
    assert stages[0].data.params["lcgan.steps"] == "20"
