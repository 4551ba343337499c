"""Training against a tracking server, as docs/guides/mlflow.md starts it."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest
from mlflow import MlflowClient

from tests.serving.support import free_port, wait_until
from training.options import make_tracker

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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """`mlflow server` with the settings that the project ships, on a free port, in a folder of its own."""
    (tmp_path / "workspace").mkdir()
    port = str(free_port())
    settings = {**_settings(), "MLFLOW_PORT": port, "MLFLOW_WORKERS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"],
            env={**os.environ, **settings},
            cwd=tmp_path,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: child.poll() is not None or _is_healthy(f"http://127.0.0.1:{port}"), timeout_s=60)
            assert child.poll() is None, (tmp_path / "server.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(child.pid, 9)
            child.wait()


def test_artifacts_go_to_the_server_and_not_to_a_folder_of_the_clients(server: str, tmp_path: Path) -> None:
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
    assert list((tmp_path / "workspace" / "mlartifacts").rglob("note.txt"))
    assert not (client_workspace / "mlartifacts").exists()
