"""A lab for each test, copied from one that is filled once: a registry needs seconds to make its tables."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.experiments.lab import Lab, fill_registry


@pytest.fixture(scope="session")
def filled_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's database to copy."""
    database = tmp_path_factory.mktemp("filled") / "mlflow.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        fill_registry(f"sqlite:///{database}")
    return database


@pytest.fixture
def lab(filled_registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "workspace"
    folder.mkdir()
    shutil.copy(filled_registry, folder / "mlflow.db")
    return Lab(folder=folder, uri=f"sqlite:///{folder / 'mlflow.db'}")
