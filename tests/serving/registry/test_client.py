from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import time
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from foundation.model_versions import TRAINED_CHAMPION_TAG
from serving.errors import PolicyError, RegistryError
from serving.registry.client import Registry
from serving.registry.owned_reasons import STALE_S, OwnedReasons
from serving.registry.versions import (
    RAMP_TAG,
    SALT_TAG,
    SHADOW_TAG,
    TRAFFIC_TAGS,
    UNITS_TAG,
    WEIGHT_TAG,
    Move,
    TagChange,
)
from serving.traffic.policy import make_policy
from tests.serving.support import EchoRegistry

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def reader(registry: EchoRegistry) -> Registry:
    return Registry(registry.uri)


@pytest.fixture(scope="module")
def model(registry: EchoRegistry) -> str:
    """Three versions, the first of them champion."""
    for _ in range(3):
        registry.register("registry-model")
    return "registry-model"


@pytest.fixture(autouse=True)
def first_is_champion(registry: EchoRegistry, model: str) -> None:
    for alias in ("previous", "challenger"):
        registry.client.delete_registered_model_alias(model, alias)
    registry.alias(model, "champion", "1")


def aliases(reader: Registry, model: str) -> dict[str, str]:
    return {alias: entry.version for entry in reader.versions(model) for alias in entry.aliases}


def test_a_promotion_keeps_the_old_champion_as_previous(reader: Registry, model: str) -> None:
    assert reader.promote(model, "2") == Move(model=model, champion="2", previous="1")
    assert aliases(reader, model) == {"champion": "2", "previous": "1"}


def test_a_rollback_swaps_and_a_second_one_swaps_back(reader: Registry, model: str) -> None:
    reader.promote(model, "2")
    assert reader.rollback(model) == Move(model=model, champion="1", previous="2")
    assert reader.rollback(model) == Move(model=model, champion="2", previous="1")


def test_promoting_the_champion_changes_nothing(reader: Registry, model: str) -> None:
    reader.promote(model, "2")
    assert reader.promote(model, "2") == Move(model=model, champion="2", previous="1", changed=False)
    assert aliases(reader, model) == {"champion": "2", "previous": "1"}


def test_a_version_that_a_person_promotes_is_a_persons_choice_even_if_it_was_the_champion(
    registry: EchoRegistry, reader: Registry, model: str
) -> None:
    for version, was_champion in (("1", True), ("2", False)):
        registry.client.set_registered_model_tag(model, TRAINED_CHAMPION_TAG, "1 after")
        assert reader.promote(model, version).changed != was_champion
        assert TRAINED_CHAMPION_TAG not in registry.client.get_registered_model(model).tags
    registry.client.set_registered_model_tag(model, TRAINED_CHAMPION_TAG, "2 after 1")
    reader.rollback(model)
    # Twice back is where the training left it, and a person chose it all the same.
    reader.rollback(model)
    assert TRAINED_CHAMPION_TAG not in registry.client.get_registered_model(model).tags


def test_a_model_alone_is_its_champion(reader: Registry, model: str) -> None:
    assert reader.resolve(model).version == "1"


def test_a_promoted_challenger_is_no_challenger_any_more(registry: EchoRegistry, reader: Registry, model: str) -> None:
    registry.alias(model, "challenger", "3")
    reader.promote(model, "3")
    assert aliases(reader, model) == {"champion": "3", "previous": "1"}


def test_a_snapshot_holds_the_versions_with_live_aliases_alone(
    registry: EchoRegistry, reader: Registry, model: str
) -> None:
    registry.alias(model, "challenger", "3")
    registry.alias(model, "favourite", "2")
    snapshot = reader.snapshot(model)
    registry.client.delete_registered_model_alias(model, "favourite")
    assert [(entry.version, entry.aliases) for entry in snapshot.versions] == [
        ("1", ("champion",)),
        ("3", ("challenger",)),
    ]
    assert snapshot.champion is not None
    assert snapshot.champion.archive_path == f"archives/{model}_1.mar"
    assert len(snapshot.champion.archive_sha256) == 64


@pytest.mark.parametrize(
    ("tag", "value", "expected"),
    [
        (WEIGHT_TAG, "20", ["1", "3"]),
        (WEIGHT_TAG, "0", ["1"]),
        (WEIGHT_TAG, "0.0%", ["1"]),
        (WEIGHT_TAG, " ", ["1"]),
        (WEIGHT_TAG, "2o", ["1", "3"]),
        (RAMP_TAG, "from=0 to=50 step=10 every=30m start=2099-01-01T00:00:00Z", ["1", "3"]),
        (SHADOW_TAG, "true", ["1", "3"]),
        (SHADOW_TAG, "False", ["1"]),
        (UNITS_TAG, "ona", ["1", "3"]),
        (SALT_TAG, "winter", ["1"]),
    ],
)
def test_a_version_whose_tag_wants_traffic_is_in_the_snapshot_with_its_tags(
    registry: EchoRegistry, reader: Registry, tag: str, value: str, expected: list[str]
) -> None:
    model = "registry-model"
    registry.client.set_model_version_tag(model, "3", tag, value)
    try:
        found = {entry.version: entry for entry in reader.snapshot(model).versions}
    finally:
        registry.client.delete_model_version_tag(model, "3", tag)
    assert list(found) == expected
    if "3" in found:
        assert found["3"].traffic == {tag: value}
        assert found["1"].traffic == {}


class Watched:
    """MLflow's client; after each of its writes, the policy that a reading finds is noted."""

    def __init__(self, client: MlflowClient, model: str, reader: Registry) -> None:
        self._client = client
        self._model = model
        self._reader = reader
        self.readings: list[dict[str, float] | str] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if not name.startswith(("set_", "delete_")):
            return call

        def write(*arguments: Any) -> None:
            call(*arguments)
            self.readings.append(self.reading())

        return write

    def reading(self) -> dict[str, float] | str:
        snapshot = self._reader.snapshot(self._model)
        champion = snapshot.champion.version if snapshot.champion else None
        try:
            made = make_policy(self._model, champion=champion, versions=snapshot.versions, now=0)
        except PolicyError as fault:
            return str(fault)
        return {arm.version: round(arm.share, 6) for arm in made.arms}


@pytest.fixture
def watched(registry: EchoRegistry, reader: Registry, model: str, monkeypatch: pytest.MonkeyPatch) -> Watched:
    proxy = Watched(registry.client, model, Registry(registry.uri))
    monkeypatch.setattr(reader, "_client", proxy)
    return proxy


@pytest.fixture
def split_model(registry: EchoRegistry, model: str) -> Iterator[str]:
    """Version 1 of three is champion and answers 50%, with a weight of its own."""
    tags = (("1", WEIGHT_TAG, "50"), ("2", WEIGHT_TAG, "30"), ("3", WEIGHT_TAG, "20"), ("3", SHADOW_TAG, "true"))
    salt = ("2", SALT_TAG, "winter")
    for version, tag, value in (*tags, salt):
        registry.client.set_model_version_tag(model, version, tag, value)
    yield model
    for version in ("1", "2", "3"):
        for tag in TRAFFIC_TAGS:
            registry.client.delete_model_version_tag(model, version, tag)


def test_a_promotion_ends_the_split_and_no_reading_during_it_gives_a_third_version_more(
    reader: Registry, split_model: str, watched: Watched
) -> None:
    move = reader.promote(split_model, "2")
    assert move == Move(model=split_model, champion="2", previous="1", unsplit=("1", "2", "3"))
    assert watched.readings[-1] == {"2": 1.0}
    for reading in watched.readings:
        assert isinstance(reading, dict), reading
        assert reading.get("3", 0) <= 0.2
        assert reading.get("1", 0) + reading.get("2", 0) >= 0.8
    tags = {entry.version: dict(entry.traffic) for entry in reader.versions(split_model)}
    assert tags == {"1": {}, "2": {}, "3": {SHADOW_TAG: "true"}}, "shadows stay"


def test_a_promotion_of_the_champion_ends_the_split(reader: Registry, split_model: str, watched: Watched) -> None:
    move = reader.promote(split_model, "1")
    assert move == Move(model=split_model, champion="1", previous=None, changed=False, unsplit=("1", "2", "3"))
    assert watched.readings[-1] == {"1": 1.0}
    assert [reading["1"] for reading in watched.readings if isinstance(reading, dict)] == sorted(
        reading["1"] for reading in watched.readings if isinstance(reading, dict)
    )


def test_a_rollback_ends_the_split_that_runs(reader: Registry, split_model: str, watched: Watched) -> None:
    reader.set_previous(split_model, "3")
    move = reader.rollback(split_model)
    assert (move.champion, move.previous, move.unsplit) == ("3", "1", ("1", "2", "3"))
    assert watched.readings[-1] == {"3": 1.0}
    assert all(isinstance(reading, dict) and reading.get("2", 0) <= 0.3 for reading in watched.readings)


def test_a_tag_of_a_version_that_does_not_exist_is_an_error_and_what_was_written_before_stays(
    reader: Registry, model: str
) -> None:
    changes = [TagChange(version=version, tag=WEIGHT_TAG, value="20") for version in ("2", "99")]
    with pytest.raises(RegistryError, match="99"):
        reader.write_tags(model, changes)
    assert reader.version(model, "2").traffic == {WEIGHT_TAG: "20"}
    reader.write_tags(model, [TagChange(version="2", tag=WEIGHT_TAG)])
    assert reader.version(model, "2").traffic == {}


def test_a_models_own_tags_are_written_and_read(reader: Registry, model: str) -> None:
    reader.set_model_tag(model, "experiment.winter", "{}")
    assert reader.model_tags(model)["experiment.winter"] == "{}"
    with pytest.raises(RegistryError, match="'nobody' is not registered; the registered models are"):
        reader.model_tags("nobody")
    with pytest.raises(RegistryError, match="nobody"):
        reader.set_model_tag("nobody", "a", "b")


def test_a_model_that_is_not_registered_has_an_empty_snapshot(reader: Registry) -> None:
    assert reader.snapshot("nobody").versions == ()


@pytest.mark.parametrize("uri", ["models:/{}/2", "{}/2", "models:/{}@previous", "{}@previous"])
def test_every_way_to_write_a_version_is_understood(reader: Registry, model: str, uri: str) -> None:
    reader.promote(model, "2")
    reader.rollback(model)
    assert reader.resolve(uri.format(model)).version == "2"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("nobody/1", "model 'nobody' is not registered; the registered models are: .*registry-model"),
        ("registry-model/9", "registry-model has no version '9'; its versions are: 1, 2, 3"),
        ("registry-model@best", "registry-model has no alias 'best'; its aliases are: champion"),
        ("registry-model/two", "does not name a version: write lcgan/2"),
        ("../../etc/passwd", "does not name a version"),
        ("", "does not name a version"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(reader: Registry, model: str, uri: str, message: str) -> None:
    assert model == "registry-model"
    with pytest.raises(RegistryError, match=message):
        reader.resolve(uri)


def test_promoting_what_does_not_exist_changes_nothing(reader: Registry, model: str) -> None:
    with pytest.raises(RegistryError, match="its versions are: 1, 2, 3"):
        reader.promote(model, "4")
    assert aliases(reader, model) == {"champion": "1"}


def test_a_version_without_an_archive_cannot_be_promoted(registry: EchoRegistry, reader: Registry) -> None:
    registry.client.create_registered_model("bare")
    registry.client.create_model_version("bare", source="runs:/0/model")
    with pytest.raises(RegistryError, match="bare/1 has no archive"):
        reader.promote("bare", "1")


def test_a_rollback_without_a_previous_champion_says_what_to_do(reader: Registry, model: str) -> None:
    with pytest.raises(RegistryError, match="no previous champion to go back to; promote one of 2, 3"):
        reader.rollback(model)


def test_a_rollback_that_would_change_nothing_is_an_error_that_says_so(
    registry: EchoRegistry, reader: Registry, model: str
) -> None:
    registry.alias(model, "previous", "1")
    with pytest.raises(RegistryError, match="are both version 1: there is nothing to roll back; promote one of 2, 3"):
        reader.rollback(model)
    assert aliases(reader, model)["champion"] == "1"


def test_a_champion_that_was_refused_never_becomes_the_way_back(reader: Registry, model: str) -> None:
    reader.promote(model, "2")
    reader.set_sync_error(model, "2", "bad weights")
    try:
        assert reader.promote(model, "3") == Move(model=model, champion="3", previous="1")
        assert reader.rollback(model) == Move(model=model, champion="1", previous="3")
    finally:
        reader.set_sync_error(model, "2", "")


def test_a_champion_whose_reason_was_left_behind_answers_and_becomes_the_way_back(reader: Registry, model: str) -> None:
    reader.promote(model, "2")
    reader.set_sync_error(model, "2", OwnedReasons(host="gone").sign("no space", time.time() - STALE_S - 60))
    try:
        assert reader.promote(model, "3") == Move(model=model, champion="3", previous="2")
    finally:
        reader.set_sync_error(model, "2", "")


@pytest.mark.parametrize("alias", ["champion", "previous", "challenger"])
def test_an_alias_of_a_version_that_does_not_exist_is_ignored_and_named(
    registry: EchoRegistry, reader: Registry, model: str, alias: str
) -> None:
    # MLflow's own calls take the aliases along; an older release, or a hand in the database, may leave one.
    with closing(sqlite3.connect(registry.uri.removeprefix("sqlite:///"))) as database, database:
        row = "INSERT OR REPLACE INTO registered_model_aliases (alias, version, name) VALUES (?, 99, ?)"
        database.execute(row, (alias, model))
    snapshot = reader.snapshot(model)
    assert snapshot.ignored == (f"the alias {alias!r} of {model} is ignored: its version 99 does not exist",)
    assert [entry.version for entry in snapshot.versions] == ([] if alias == "champion" else ["1"])
    assert reader.promote(model, "2").champion == "2"
    assert reader.promote(model, "3") == Move(model=model, champion="3", previous="2")


def test_aliases_of_a_persons_own_are_named_with_those_that_are_served(
    registry: EchoRegistry, reader: Registry, model: str
) -> None:
    registry.alias(model, "production", "2")
    (told,) = reader.snapshot(model).ignored
    registry.client.delete_registered_model_alias(model, "production")
    assert told.startswith(
        f"the alias 'production' of {model}/2 is not served: only champion, previous, challenger are"
    )
    assert reader.snapshot(model).ignored == ()


def test_an_error_of_the_store_is_one_line(registry: EchoRegistry, reader: Registry, model: str) -> None:
    with closing(sqlite3.connect(registry.uri.removeprefix("sqlite:///"))) as database, database:
        database.execute("ALTER TABLE registered_models RENAME TO mislaid")
    try:
        with pytest.raises(RegistryError, match="no such table") as told:
            reader.snapshot(model)
    finally:
        with closing(sqlite3.connect(registry.uri.removeprefix("sqlite:///"))) as database, database:
            database.execute("ALTER TABLE mislaid RENAME TO registered_models")
    assert "\n" not in str(told.value)


def test_a_reason_for_refusal_is_kept_until_it_is_removed(reader: Registry, model: str) -> None:
    reader.set_sync_error(model, "2", "bad weights")
    assert reader.version(model, "2").sync_error == "bad weights"
    reader.set_sync_error(model, "2", "")
    assert reader.version(model, "2").sync_error == ""


def test_an_alarm_replaces_one_of_its_feature_and_keeps_those_of_other_gateways(
    registry: EchoRegistry, reader: Registry, model: str
) -> None:
    uri = registry.uri
    Registry(uri).set_drift(model, "1", "unknown", "unknown (yesterday): by one gateway")
    Registry(uri).set_drift(model, "1", "length", "length (today): by another gateway")
    Registry(uri).set_drift(model, "1", "unknown", "unknown (today): by one gateway")
    told = "length (today): by another gateway\nunknown (today): by one gateway"
    assert reader.version(model, "1").drift == told
    assert reader.version(model, "2").drift == ""
    reader.set_drift(model, "1", "length", "")
    reader.set_drift(model, "1", "unknown", "")
    assert reader.version(model, "1").drift == ""


def test_an_archive_is_downloaded(reader: Registry, model: str, tmp_path: Path) -> None:
    fetched = reader.fetch_archive(reader.version(model, "1"), tmp_path)
    assert fetched.name == f"{model}_1.mar"
    assert fetched.stat().st_size > 0


def test_a_missing_artifact_is_a_registry_error(registry: EchoRegistry, reader: Registry, tmp_path: Path) -> None:
    version = registry.register("hollow")
    registry.client.set_model_version_tag("hollow", version, "archive", "archives/gone.mar")
    with pytest.raises(RegistryError, match="the archive of hollow/1 cannot be downloaded"):
        reader.fetch_archive(reader.version("hollow", version), tmp_path)


def test_a_full_disk_is_named_as_the_reason_for_which_an_archive_cannot_be_downloaded(
    reader: Registry, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(RegistryError, match=r"\[Errno 28\] No space left on device"):
        reader.fetch_archive(reader.version(model, "1"), tmp_path)


def test_a_database_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    with pytest.raises(RegistryError, match="deephypebot train"):
        Registry(f"sqlite:///{path}")
    assert not path.exists()


def test_a_server_that_does_not_answer_is_a_registry_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryError, match=r"\(http://127\.0\.0\.1:9\): no server answers there; start it") as told:
        Registry("http://127.0.0.1:9").snapshot("lcgan")
    assert "HTTPConnectionPool" not in str(told.value)


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "archives/../../../x.mar"])
def test_an_archive_outside_of_its_run_is_not_fetched(
    registry: EchoRegistry, reader: Registry, tmp_path: Path, path: str
) -> None:
    version = registry.register("straying")
    registry.client.set_model_version_tag("straying", version, "archive", path)
    with pytest.raises(RegistryError, match="leads out of the artifacts of its run"):
        reader.fetch_archive(reader.version("straying", version), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_error_shows_the_password_of_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    secret = "".join(reversed("hsuh"))  # a traceback shows this source
    with pytest.raises(RegistryError, match=r"http://\*\*\*@127\.0\.0\.1:9") as told:
        Registry(f"http://ann:{secret}@127.0.0.1:9").snapshot("lcgan")
    assert secret not in "".join(traceback.format_exception(told.value))
    with pytest.raises(RegistryError) as told:
        Registry(f"nonsense+driver://ann:{secret}@127.0.0.1:9/mlflow").snapshot("lcgan")
    assert secret not in "".join(traceback.format_exception(told.value))
