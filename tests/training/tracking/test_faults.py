"""Whatever MLflow refuses reaches the user as our error, in a line, with the way out."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from foundation.hashes import file_sha256
from tests.handlers.tiny_bundles import tiny_bundle
from tests.serving.support import free_port
from training.errors import TrackingError
from training.options import make_tracker
from training.packaging.export import save_bundle
from training.tracking.port import RegisteredVersion, Tracker

pytestmark = pytest.mark.integration


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


def refused(call: Callable[[], object], told: str) -> str:
    with pytest.raises(TrackingError, match=told) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_deleted_experiment_is_told_with_the_command_that_restores_it_and_that_command_works(
    registered: Registered, tmp_path: Path
) -> None:
    client = registered.client
    experiment = client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    told = refused(lambda: make_tracker(registered.uri, tmp_path), "experiment 'deephypebot' is deleted")
    number = experiment.experiment_id
    command = f"MLFLOW_TRACKING_URI={registered.uri} mlflow experiments restore --experiment-id {number}"
    assert f"restore it: `{command}`" in told
    # It may be deleted while a training runs.
    started = refused(lambda: registered.tracker.run("train").__enter__(), f"experiment {number} is deleted")
    assert command in started
    client.restore_experiment(number)
    with make_tracker(registered.uri, tmp_path).run("train") as run:
        assert run.run_id


def test_a_deleted_run_is_told_with_the_command_that_restores_it(registered: Registered) -> None:
    with registered.tracker.run("train") as run:
        pass
    registered.client.delete_run(run.run_id)
    told = refused(lambda: run.set_tags({"a": "b"}), f"run {run.run_id} is deleted")
    assert f"`MLFLOW_TRACKING_URI={registered.uri} mlflow runs restore --run-id {run.run_id}`" in told
    # A training registers what it has with a new run, and links to no page that is not there.
    assert registered.tracker.run_page(run.run_id) == ""
    again = registered.tracker.register(run.run_id, "lcgan", registered.bundle, tags={})
    assert again.run_id != run.run_id
    assert registered.tracker.run_page(again.run_id).endswith(f"/runs/{again.run_id}?workflowType=machine_learning")


def test_a_dangling_alias_counts_as_no_champion_and_fetching_by_it_says_what_is_missing(
    registered: Registered, tmp_path: Path
) -> None:
    registered.change("UPDATE registered_model_aliases SET version = 99")
    assert registered.tracker.champion("lcgan") is None
    told = refused(
        lambda: registered.tracker.fetch("lcgan@champion", tmp_path / "to"), "^lcgan@champion cannot be fetched"
    )
    assert "version=99) not found" in told
    assert registered.tracker.set_champion(registered.version, only_first=True)


def test_a_version_that_is_not_registered_has_no_tags_and_a_registry_that_cannot_be_read_is_an_error(
    registered: Registered,
) -> None:
    tracker = registered.tracker
    assert tracker.version_tags("lcgan", "1") is not None
    for name, version in (("lcgan", "2"), ("nobody", "1"), ("lcgan", "two")):
        assert tracker.version_tags(name, version) is None
    registered.change("ALTER TABLE model_versions RENAME TO mislaid")
    # Taken for an answer, a training would register everything again.
    refused(lambda: tracker.version_tags("lcgan", "1"), "no such table: model_versions")
    refused(lambda: tracker.find_version("lcgan", "bundle_sha256", "ab"), "no such table: model_versions")


def test_a_server_that_is_away_is_told_with_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    address = f"http://127.0.0.1:{free_port()}"
    refused(
        lambda: make_tracker(address, tmp_path),
        f"^MLflow at {re.escape(address)} cannot be used: no server answers there; start it",
    )


def test_a_driver_that_is_missing_and_a_database_of_another_release_are_told_with_the_way_out(
    registered: Registered, tmp_path: Path
) -> None:
    told = refused(lambda: make_tracker("postgresql://db/mlflow", tmp_path), "No module named 'psycopg")
    assert re.search(r"install the database's driver: pip install psycopg\d?$", told)
    registered.change("UPDATE alembic_version SET version_num = 'deadbeef'")
    # Another process, whose store is not open yet.
    moved = tmp_path / "another.db"
    moved.write_bytes(Path(registered.uri.removeprefix("sqlite:///")).read_bytes())
    uri = f"sqlite:///{moved}"
    refused(lambda: make_tracker(uri, tmp_path), f"run 'mlflow db upgrade {re.escape(uri)}'")
