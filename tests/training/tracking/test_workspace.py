"""A workspace is one folder: it may be moved, copied and used from there."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from foundation.hashes import file_sha256
from handlers.model.bundle import Bundle
from serving.registry.client import Registry
from tests.handlers.tiny_bundles import tiny_bundle
from training.options import make_tracker
from training.packaging.export import save_bundle
from training.tracking.artifact_repository import artifact_repository
from training.tracking.port import Tracker

pytestmark = pytest.mark.integration

PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)


@pytest.fixture(autouse=True)
def no_telemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)


def opened(workspace: Path) -> Tracker:
    return make_tracker(f"sqlite:///{workspace / 'mlflow.db'}", workspace)


def train(workspace: Path) -> str:
    """Log a run, a model and its archive, as a training does; return another run, without a file.

    MLflow keeps the place of a run's files for the length of a process, and a workspace does not move within one.
    """
    tracker = opened(workspace)
    note = workspace / "note.txt"
    note.write_text("kept")
    with tracker.run("train") as run:
        run.log_file(note)
        run_id = run.run_id
    save_bundle(tiny_bundle(generator=True), workspace / "bundle", figures={}, samples=[])
    version = tracker.register(run_id, "lcgan", workspace / "bundle", tags={})
    tracker.attach_archive(version, note, file_sha256(note))
    tracker.set_champion(version, only_first=False)
    with tracker.run("other") as run:
        return run.run_id


def make_absolute(workspace: Path) -> None:
    """Rewrite a database as an earlier release made it."""
    folder = (workspace / "mlartifacts").as_uri()
    with closing(sqlite3.connect(workspace / "mlflow.db")) as connection, connection:
        for table, column in PLACES:
            places = connection.execute(f"SELECT {column} FROM {table}").fetchall()  # noqa: S608
            for (place,) in places:
                if place and place.startswith("mlflow-artifacts:/"):
                    absolute = f"{folder}/{place.removeprefix('mlflow-artifacts:/')}".rstrip("/")
                    update = f"UPDATE {table} SET {column} = ? WHERE {column} = ?"  # noqa: S608
                    connection.execute(update, (absolute, place))


def absolute_places(workspace: Path) -> set[str]:
    """Places of artifacts that name a folder of this machine, that of MLflow's default experiment aside."""
    with closing(sqlite3.connect(workspace / "mlflow.db")) as connection:
        return {
            str(place)
            for table, column in PLACES
            for (place,) in connection.execute(f"SELECT {column} FROM {table}")  # noqa: S608
            if str(place).startswith(("/", "file:")) and not str(place).endswith("/mlruns/0")
        }


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_a_workspace_works_where_it_was_moved_or_copied_to(tmp_path: Path, absolute: bool, copied: bool) -> None:
    # A blank and a percent sign, which mean something else in a URI.
    old, new = tmp_path / "old", tmp_path / "a 100% new one"
    old.mkdir()
    run_id = train(old)
    assert absolute_places(old) == set()
    if absolute:
        make_absolute(old)
        assert len(absolute_places(old)) == 4
    if copied:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}

    registry = Registry(f"sqlite:///{new / 'mlflow.db'}")
    fetched = registry.fetch_archive(registry.resolve("lcgan@champion"), tmp_path)
    assert fetched.read_text() == "kept"

    tracker = opened(new)
    assert absolute_places(new) == set()
    found = tracker.fetch("models:/lcgan@champion", tmp_path / "fetched")
    assert Bundle.load(found.bundle).config.model == "lcgan"
    later = tmp_path / "later.txt"
    later.write_text("new")
    tracker.reopen(run_id).log_file(later)
    with tracker.run("train again") as run:
        run.log_file(later)
    client = MlflowClient(tracker.uri)
    assert {each.path for each in client.list_artifacts(run_id)} == {"later.txt"}
    assert len(list((new / "mlartifacts").rglob("later.txt"))) == 2
    assert mlflow.pyfunc.load_model("models:/lcgan@champion").predict([{"genres": ["pop"]}], params={"seed": 1}).shape
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert old.exists() == copied


def test_artifacts_that_were_never_beside_the_database_are_found_where_they_are(tmp_path: Path) -> None:
    elsewhere, note = tmp_path / "elsewhere", tmp_path / "note.txt"
    note.write_text("kept")
    uri = f"sqlite:///{tmp_path / 'workspace' / 'mlflow.db'}"
    (tmp_path / "workspace").mkdir()
    client = MlflowClient(uri)
    experiment = client.create_experiment("deephypebot", artifact_location=elsewhere.as_uri())
    run_id = client.create_run(experiment).info.run_id
    client.log_artifact(run_id, str(note))
    opened(tmp_path / "workspace").reopen(run_id).log_file(note, "again")
    assert client.get_run(run_id).info.artifact_uri.startswith(elsewhere.as_uri())
    assert len(list(elsewhere.rglob("note.txt"))) == 2


def test_mlflow_itself_finds_the_plug_in_of_the_installed_package() -> None:
    (found,) = entry_points(group="mlflow.artifact_repository", name="mlflow-artifacts")
    assert found.load() is artifact_repository
