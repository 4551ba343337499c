"""`mlflow run` of this project makes its run in the project's experiment, in the workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from mlflow import MlflowClient

from training.tracking.project_experiment import ProjectExperiment, _project, workspace

PROJECT = Path(__file__).parents[3] / "mlflow"


@pytest.mark.parametrize(
    ("arguments", "ours"),
    [
        (["/venv/bin/mlflow", "run", str(PROJECT), "-e", "train"], True),
        (["/lib/mlflow/__main__.py", "run", "--env-manager", "local", str(PROJECT)], True),
        (["mlflow", "run", "elsewhere"], False),
        (["mlflow", "ui", str(PROJECT)], False),
        (["/venv/bin/pytest", "run", str(PROJECT)], False),
        (["mlflow"], False),
        ([], False),
    ],
)
def test_only_a_run_of_this_project_is_ours(arguments: list[str], ours: bool) -> None:
    assert _project(arguments) == (PROJECT if ours else None)


def test_a_project_of_another_name_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "MLproject").write_text("name: deephypebot-fork\n")
    assert _project(["mlflow", "run", str(tmp_path)]) is None
    (tmp_path / "MLproject").write_bytes(b"\xff\xfe")
    assert _project(["mlflow", "run", str(tmp_path)]) is None


def test_the_workspace_is_that_of_the_parameter_from_the_projects_folder_or_the_default() -> None:
    run = ["mlflow", "run", "mlflow", "-e", "train"]
    assert workspace(run, PROJECT) == PROJECT.parent / "workspace"
    assert workspace([*run, "-P", "workspace=../other"], PROJECT) == PROJECT.parent / "other"
    assert workspace([*run, "-P", "workspace=/srv/w"], PROJECT) == Path("/srv/w")


def test_mlflow_itself_finds_the_plug_in_of_the_installed_package() -> None:
    (found,) = entry_points(group="mlflow.default_experiment_provider", name="deephypebot")
    assert found.load() is ProjectExperiment


@pytest.mark.integration
@pytest.mark.parametrize("told", ["nothing", "experiment", "uri"])
def test_a_run_that_is_told_little_is_in_the_experiment_and_leaves_nothing_in_the_working_folder(
    tmp_path: Path, told: str
) -> None:
    project = tmp_path / "repository" / "mlflow"
    project.mkdir(parents=True)
    # The project's name, and a command that opens the tracker, as `train` does.
    train = "from training.options import *; from pathlib import Path; import os; "
    train += "make_tracker(os.environ['MLFLOW_TRACKING_URI'], Path('../workspace')).run('train demo').__enter__()"
    project.joinpath("MLproject").write_text(
        f'name: deephypebot\nentry_points:\n  train:\n    command: "{sys.executable} -c \\"{train}\\""\n'
    )
    database = project.parent / "workspace" / "mlflow.db"
    database.parent.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    environment = {
        "nothing": {},
        "uri": {"MLFLOW_TRACKING_URI": f"sqlite:///{database}"},
        "experiment": {"MLFLOW_TRACKING_URI": f"sqlite:///{database}", "MLFLOW_EXPERIMENT_NAME": "deephypebot"},
    }[told]
    working = tmp_path / "working"
    working.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(project), "-e", "train", "--env-manager", "local"],
        env={**clean, **environment, "MLFLOW_DISABLE_TELEMETRY": "true", "GIT_PYTHON_REFRESH": "quiet"},
        cwd=working, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    client = MlflowClient(f"sqlite:///{database}")
    experiments = {each.name: each for each in client.search_experiments()}
    runs = client.search_runs([each.experiment_id for each in experiments.values()])
    assert [run.info.run_name for run in runs] == ["train demo"]
    assert runs[0].info.experiment_id == experiments["deephypebot"].experiment_id
    assert runs[0].info.status == "FINISHED"
    assert experiments["deephypebot"].artifact_location == "mlflow-artifacts:/"
    assert runs[0].info.artifact_uri == f"mlflow-artifacts:/{runs[0].info.run_id}/artifacts"
    assert list(working.iterdir()) == []
