"""Whatever MLflow refuses reaches the user as our error, in a line, with the way out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serving.support import free_port
from tests.training.tracking.conftest import Registered
from training.errors import TrackingError
from training.options import make_tracker

pytestmark = pytest.mark.integration


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
