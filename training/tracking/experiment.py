"""Experiment of the trainings, and the run that `mlflow run` made for the command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage

from foundation.artifact_folder import ARTIFACTS_ROOT, database_file
from foundation.redaction import redacted
from training.errors import TrackingError
from training.tracking.faults import restore

EXPERIMENT: Final = "deephypebot"
_DEFAULT: Final = "Default"
"""Experiment that `mlflow run` uses unless it is told another; its artifacts lie in the working folder."""
_ORIGIN: Final = ("mlflow.project.", "mlflow.source.", "mlflow.user")


def project_run(client: MlflowClient) -> tuple[str, dict[str, str]]:
    """Return the run that `mlflow run` made, as the parent of the stages, and tags for a parent of our own.

    The run is empty without `mlflow run`, and where it was not told an experiment: nobody looks for a training in
    MLflow's default experiment. The training then has a parent of its own with the project's tags.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID", "")
    if not run_id:
        return "", {}
    run = client.get_run(run_id)
    if client.get_experiment(run.info.experiment_id).name != _DEFAULT:
        return run_id, {}
    note = f"The training's runs are in the experiment {EXPERIMENT}; their parent has the tag project_run = {run_id}."
    client.set_tag(run_id, "mlflow.note.content", note)
    return "", {
        **{key: value for key, value in run.data.tags.items() if key.startswith(_ORIGIN)},
        "project_run": run_id,
    }


def open_experiment(client: MlflowClient, artifacts: Path | None) -> str:
    """Return the id of the experiment for new runs, after making it if it does not exist.

    Args:
        client: client of the tracking server or database.
        artifacts: folder for artifacts of a database that is neither SQLite nor behind a server.

    Raises:
        TrackingError: the experiment is deleted.
    """
    uri = str(client.tracking_uri)
    chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
    if chosen and (told := client.get_experiment(chosen)).name != _DEFAULT:
        return _active(told, uri)
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return _active(found, uri)
    location = ARTIFACTS_ROOT if database_file(uri) else None if artifacts is None else artifacts.absolute().as_uri()
    # A server keeps artifacts itself; a local folder would be out of reach of its other clients.
    place = None if uri.startswith(("http://", "https://")) else location
    return str(client.create_experiment(EXPERIMENT, artifact_location=place))


def _active(experiment: Experiment, uri: str) -> str:
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        raise TrackingError(
            f"MLflow at {redacted(uri)} cannot be used: experiment {experiment.name!r} is deleted; "
            f"{restore(redacted(uri), 'experiments', str(experiment.experiment_id))}"
        )
    return str(experiment.experiment_id)
