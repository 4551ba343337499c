"""Training against a tracking server, as docs/guides/mlflow.md starts it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError

import mlflow
import pytest
from mlflow import MlflowClient

from foundation.hashes import file_sha256
from serving.registry.client import Registry
from tests.handlers.tiny_bundles import tiny_bundle
from tests.serving.support import free_port, wait_until
from training.options import make_tracker
from training.packaging.export import save_bundle

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.integration


def _settings() -> dict[str, str]:
    lines = (ROOT / "mlflow" / "server.env").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 - our own loopback server
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def _trained(workspace: Path) -> None:
    """A workspace with a registered model, made without a server."""
    workspace.mkdir()
    tracker = make_tracker(f"sqlite:///{workspace / 'mlflow.db'}", workspace)
    save_bundle(tiny_bundle(generator=True), workspace / "bundle", figures={}, samples=[])
    version = tracker.register("", "lcgan", workspace / "bundle", tags={})
    (workspace / "lcgan_1.mar").write_text("an archive")
    tracker.attach_archive(version, workspace / "lcgan_1.mar", file_sha256(workspace / "lcgan_1.mar"))
    tracker.set_champion(version, only_first=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a workspace that was used without a server, elsewhere, and then copied."""
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        _trained(folder / "before")
    shutil.copytree(folder / "before", folder / "workspace")
    shutil.rmtree(folder / "before")
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[str]:
    """`mlflow server` with the settings that the project ships, on a free port, in a folder of its own."""
    port = str(free_port())
    settings = {**_settings(), "MLFLOW_PORT": port, "MLFLOW_WORKERS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (place / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"],
            env={**os.environ, **settings},
            cwd=place,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: child.poll() is not None or _is_healthy(f"http://127.0.0.1:{port}"), timeout_s=60)
            assert child.poll() is None, (place / "server.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(child.pid, 9)
            child.wait()


def test_artifacts_go_to_the_server_and_not_to_a_folder_of_the_clients(
    server: str, place: Path, tmp_path: Path
) -> None:
    client_workspace = tmp_path / "client"
    tracker = make_tracker(server, client_workspace)
    note = tmp_path / "note.txt"
    note.write_text("kept")
    with tracker.run("probe") as run:
        run.log_file(note)
        run_id = run.run_id
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("deephypebot")
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    assert [entry.path for entry in client.list_artifacts(run_id)] == ["note.txt"]
    assert list((place / "workspace" / "mlartifacts").rglob("note.txt"))
    assert not (client_workspace / "mlartifacts").exists()


def test_a_workspace_that_was_used_without_a_server_and_copied_is_served_to_clients_without_its_files(
    server: str, place: Path, tmp_path: Path
) -> None:
    registry = Registry(server)
    assert registry.fetch_archive(registry.resolve("lcgan@champion"), tmp_path).read_text() == "an archive"
    mlflow.set_tracking_uri(server)
    downloaded = Path(mlflow.artifacts.download_artifacts("models:/lcgan@champion", dst_path=str(tmp_path / "model")))
    assert not downloaded.is_relative_to(place)
    table = mlflow.pyfunc.load_model(str(downloaded)).predict([{"genres": ["pop"]}], params={"seed": 7})
    assert len(table) == 5


@pytest.mark.parametrize(
    ("host", "status"), [("mlflow.example:5000", 200), ("10.0.0.7:5000", 200), ("elsewhere.example", 403)]
)
def test_the_server_answers_to_the_names_that_its_settings_list(server: str, host: str, status: int) -> None:
    request = urllib.request.Request(f"{server}/", headers={"Host": host})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - our own loopback server
            found = answer.status
    except HTTPError as refused:
        found = refused.code
    assert found == status


def test_the_settings_list_the_name_that_the_documentation_uses() -> None:
    hosts = _settings()["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    for page in (ROOT / "docs" / "guides").glob("*.md"):
        for host in re.findall(r"http://(mlflow[\w.-]*):5000", page.read_text(encoding="utf-8")):
            assert f"{host}:*" in hosts, page
