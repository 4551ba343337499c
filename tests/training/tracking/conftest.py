"""A registered version in a workspace of its own, for the tests of tracking."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from foundation.hashes import file_sha256
from tests.handlers.tiny_bundles import tiny_bundle
from training.options import make_tracker
from training.packaging.export import save_bundle
from training.tracking.port import RegisteredVersion, Tracker


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """A workspace with one version, as a training leaves it."""

    uri: str
    tracker: Tracker
    version: RegisteredVersion
    bundle: Path

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri)

    def change(self, statement: str) -> None:
        """Change the database as another release, or a hand in it, may have."""
        with closing(sqlite3.connect(self.uri.removeprefix("sqlite:///"))) as database, database:
            database.execute(statement)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace to copy: MLflow needs seconds to make its tables."""
    folder = tmp_path_factory.mktemp("registered")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        tracker = make_tracker(f"sqlite:///{folder / 'mlflow.db'}", folder)
        save_bundle(tiny_bundle(generator=True), folder / "bundle", figures={}, samples=[])
        version = tracker.register("", "lcgan", folder / "bundle", tags={})
        archive = folder / "lcgan_1.mar"
        archive.write_text("an archive")
        tracker.attach_archive(version, archive, file_sha256(archive))
        tracker.set_champion(version, only_first=False)
    return folder


@pytest.fixture
def registered(template: Path, tmp_path: Path) -> Registered:
    folder = tmp_path / "workspace"
    shutil.copytree(template, folder)
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    tracker = make_tracker(uri, folder)
    version = tracker.champion("lcgan")
    assert version is not None
    return Registered(uri=uri, tracker=tracker, version=version, bundle=folder / "bundle")
