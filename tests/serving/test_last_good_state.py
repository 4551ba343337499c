"""Services whose registry, champion or loads fail: each test runs a service of its own, with a registry of its own."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from foundation.hashes import file_sha256
from serving.client import CommentaryClient, LiveModel
from serving.registry.client import Registry
from serving.registry.versions import SYNC_ERROR_TAG
from tests.serving.support import (
    ONE_ATTEMPT,
    EchoRegistry,
    ask,
    running_service,
    steady_load,
    wait_until,
)

pytestmark = pytest.mark.integration


@dataclass
class OwnRegistry:
    """A copy of the shared registry, which a test may take away."""

    path: Path

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @contextmanager
    def away(self) -> Iterator[None]:
        hidden = self.path.with_name("hidden.db")
        self.path.rename(hidden)
        try:
            yield
        finally:
            hidden.rename(self.path)


def own_registry(shared: EchoRegistry, folder: Path) -> OwnRegistry:
    path = folder / "own.db"
    with (
        closing(sqlite3.connect(shared.uri.removeprefix("sqlite:///"))) as source,
        closing(sqlite3.connect(path)) as to,
    ):
        source.backup(to)
    return OwnRegistry(path=path)


def live(client: CommentaryClient, model: str) -> LiveModel:
    (described,) = client.describe(model)
    return described


def state(client: CommentaryClient, model: str) -> tuple[str, list[str]]:
    described = live(client, model)
    return described.champion, [version.version for version in described.versions]


def is_state(client: CommentaryClient, model: str, champion: str, versions: list[str]) -> bool:
    return state(client, model) == (champion, versions)


@pytest.mark.torchserve
def test_a_restart_without_the_registry_serves_the_last_good_state_and_follows_the_registry_when_it_is_back(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    model = "kept"
    registry.alias(model, "previous", registry.register(model))
    registry.alias(model, "champion", registry.register(model))
    registry.client.set_model_version_tag(model, registry.register(model), "traffic_weight", "25")
    own, folder = own_registry(registry, tmp_path), tmp_path / "service"
    with running_service(own.uri, folder, [model]) as service, CommentaryClient(service.target, model=model) as client:
        wait_until(partial(is_state, client, model, "2", ["1", "2", "3"]))
        wait_until((folder / "last_good" / f"{model}.json").exists)
        wait_until(lambda: len(kept(folder, model)["versions"]) == 3)
        revision = live(client, model).policy_revision
    for version in ("1", "2", "3"):
        assert (folder / "store" / f"{model}_{version}.mar").is_file()
    with (
        own.away(),
        running_service(own.uri, folder, [model]) as service,
        CommentaryClient(service.target, model=model) as client,
    ):
        assert "starting with the last good state" in service.log()
        wait_until(partial(is_state, client, model, "2", ["1", "2", "3"]))
        assert live(client, model).policy_revision == revision
        assert client.generate(ask(), version="1").model.version == "1"
        # And TorchServe dies while the registry is away.
        jvm = service.jvm
        jvm.kill()
        wait_until(lambda: not client.is_serving())
        wait_until(client.is_serving, timeout_s=60)
        wait_until(partial(is_state, client, model, "2", ["1", "2", "3"]))
        assert client.generate(ask()).model.version in {"2", "3"}
        assert not own.path.exists()
        # The registry is back, with another champion than the one of the last good state.
        hidden = OwnRegistry(path=own.path.with_name("hidden.db"))
        Registry(hidden.uri).promote(model, "1")
        with steady_load(service.target, model) as load:
            hidden.path.rename(own.path)
            wait_until(lambda: live(client, model).champion == "1")
            wait_until(lambda: "the registry is available again" in service.log())
        own.path.rename(hidden.path)
        assert load.failures == []
        assert service.log().count("cannot be used") + service.log().count("there is no registry") == 2


def kept(folder: Path, model: str) -> dict[str, list[object]]:
    document: dict[str, list[object]] = json.loads((folder / "last_good" / f"{model}.json").read_text())
    return document


def test_previous_answers_in_place_of_a_champion_that_cannot_until_the_champion_is_proven(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    model = "stood-in"
    good = registry.register(model)
    bad = registry.register(model, digest="0" * 64)
    registry.alias(model, "previous", good)
    registry.alias(model, "champion", bad)
    own, folder = own_registry(registry, tmp_path), tmp_path / "service"
    with running_service(own.uri, folder, [model]) as service, CommentaryClient(service.target, model=model) as client:
        assert state(client, model) == (good, [good])
        assert live(client, model).versions[0].aliases == ("previous",)
        assert f"{model}/{good} answers in place of the champion {model}/{bad}" in service.log()
        assert "the registry has 000000000000" in own.client.get_model_version(model, bad).tags[SYNC_ERROR_TAG]
        assert client.is_serving()
        with steady_load(service.target, model) as load:
            built = registry.folder / "built" / f"{model}_{bad}.mar"
            own.client.set_model_version_tag(model, bad, "archive_sha256", file_sha256(built))
            own.client.delete_model_version_tag(model, bad, SYNC_ERROR_TAG)
            wait_until(partial(is_state, client, model, bad, [good, bad]))
            wait_until(lambda: load.answered.get(bad, 0) > 5)
        assert load.failures == []
        aliases = own.client.get_registered_model(model).aliases
        assert {alias: str(held) for alias, held in aliases.items()} == {"previous": good, "champion": bad}


def test_a_version_that_hangs_while_it_loads_delays_neither_another_model_nor_another_champion(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    for model in ("hanging", "followed"):
        registry.alias(model, "champion", registry.register(model))
    stuck = registry.register("hanging", load_s=100)
    good, other = registry.register("hanging"), registry.register("followed")
    own, folder = own_registry(registry, tmp_path), tmp_path / "service"
    with (
        running_service(own.uri, folder, ["hanging", "followed"]) as service,
        CommentaryClient(service.target) as client,
    ):
        with steady_load(service.target, "hanging") as load:
            control = Registry(own.uri)
            control.promote("hanging", stuck)
            time.sleep(1)
            started = time.monotonic()
            control.promote("followed", other)
            wait_until(lambda: live(client, "followed").champion == other)
            control.promote("hanging", good)
            wait_until(lambda: live(client, "hanging").champion == good)
            assert time.monotonic() - started < 40
            wait_until(lambda: load.answered.get(good, 0) > 0)
        assert load.failures == []
        assert set(load.answered) == {"1", good}
        assert " is refused" not in service.log()


@pytest.mark.torchserve
def test_a_version_whose_load_torchserve_did_not_survive_is_not_blamed(registry: EchoRegistry, tmp_path: Path) -> None:
    model = "blameless"
    registry.alias(model, "champion", registry.register(model))
    challenger = registry.register(model, load_s=3)
    own, folder = own_registry(registry, tmp_path), tmp_path / "service"
    with (
        running_service(own.uri, folder, [model]) as service,
        CommentaryClient(service.target, model=model, retry=ONE_ATTEMPT) as client,
    ):
        workers = len(service.jvm.children())
        own.client.set_registered_model_alias(model, "challenger", challenger)
        wait_until(lambda: len(service.jvm.children()) > workers)
        service.jvm.kill()
        wait_until(partial(is_state, client, model, "1", ["1", challenger]), timeout_s=60)
        assert " is refused" not in service.log()
        assert SYNC_ERROR_TAG not in own.client.get_model_version(model, challenger).tags


def test_neither_an_unwritable_folder_for_the_last_good_state_nor_a_stray_archive_tag_ends_the_service(
    registry: EchoRegistry, tmp_path: Path
) -> None:
    model = "unwritable"
    registry.alias(model, "champion", registry.register(model))
    stray = registry.register(model)
    registry.client.set_model_version_tag(model, stray, "archive", "../../../../../../etc/passwd")
    own, folder = own_registry(registry, tmp_path), tmp_path / "service"
    folder.mkdir()
    (folder / "last_good").touch()
    with running_service(own.uri, folder, [model]) as service, CommentaryClient(service.target, model=model) as client:
        wait_until(lambda: "the last good state cannot be kept" in service.log())
        own.client.set_registered_model_alias(model, "challenger", stray)
        wait_until(lambda: f"{model}/{stray} is refused" in service.log())
        reason = wait_until(lambda: own.client.get_model_version(model, stray).tags.get(SYNC_ERROR_TAG))
        assert "leads out of the artifacts of its run" in reason
        time.sleep(2)
        assert service.log().count("the last good state cannot be kept") == 1
        assert client.generate(ask()).model.version == "1"
    assert [path.name for path in (folder / "store").iterdir()] == [f"{model}_1.mar"]
