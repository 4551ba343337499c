"""Plug-in for MLflow: `mlflow run` of this project uses the project's experiment and workspace.

MLflow itself would make the run in its experiment "Default", and its artifacts in the working folder. It asks the
plug-in where neither an option nor the environment names an experiment.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from mlflow.tracking.default_experiment.abstract_context import DefaultExperimentProvider
from typing_extensions import override

_PROJECT: Final = "MLproject"
_NAME: Final = re.compile(r"^name: *deephypebot *$", re.MULTILINE)
_WORKSPACE: Final = re.compile(r"workspace=(?P<folder>.+)")


class ProjectExperiment(DefaultExperimentProvider):
    """The experiment of the trainings, for a process that is `mlflow run` of this project."""

    @override
    def in_context(self) -> bool:
        """Whether this process is `mlflow run` of the project."""
        return _project(sys.argv) is not None

    @override
    def get_experiment_id(self) -> str:
        """Return the experiment's id; where no tracking URI is set, the workspace's database gets it.

        Raises:
            TrackingError: the experiment is deleted.
        """
        # Every process that imports MLflow imports this module, and nearly none needs more.
        from mlflow import MlflowClient, is_tracking_uri_set, set_tracking_uri  # noqa: PLC0415

        from training.tracking.experiment import open_experiment  # noqa: PLC0415

        project = _project(sys.argv)
        if project is not None and not is_tracking_uri_set():  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
            folder = workspace(sys.argv, project)
            folder.mkdir(parents=True, exist_ok=True)
            set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
        return open_experiment(MlflowClient(), None)


def workspace(arguments: list[str], project: Path) -> Path:
    """Return the workspace of a run: its parameter of that name, which starts in the project's folder, or the default.

    >>> workspace(["mlflow", "run", "mlflow", "-P", "workspace=/srv/w"], Path("/repo/mlflow")).as_posix()
    '/srv/w'
    """
    given = [found["folder"] for each in arguments if (found := _WORKSPACE.fullmatch(each))]
    return (project / (given[-1] if given else "../workspace")).resolve()


def _project(arguments: list[str]) -> Path | None:
    """Return the folder of this project if a process with these arguments is `mlflow run` of it."""
    program = Path(arguments[0]) if arguments else Path()
    if arguments[1:2] != ["run"] or not (program.name == "mlflow" or program.parent.name == "mlflow"):
        return None
    for each in arguments[2:]:
        place = Path(each) / _PROJECT
        try:
            text = place.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        if _NAME.search(text):
            return place.parent
    return None
