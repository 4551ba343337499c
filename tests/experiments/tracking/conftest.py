"""An MLflow with registered versions, and a bot's store, for the tests of the sync."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.experiments.tracking.world import World, register_versions


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow to copy: it needs seconds to make its tables."""
    folder = tmp_path_factory.mktemp("verdicts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        # MLflow's registry looks the logged model up at the process's own address, which an earlier test may have set.
        patch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", uri)
        found = register_versions(uri)
    (folder / "models.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    folder = tmp_path / "workspace"
    shutil.copytree(template, folder)
    return World(
        folder=folder,
        uri=f"sqlite:///{folder / 'mlflow.db'}",
        model_ids=json.loads((folder / "models.json").read_text()),
    )
