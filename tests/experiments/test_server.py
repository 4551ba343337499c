"""A watch with a tracking server, which goes away and comes back: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
from mlflow import MlflowClient

from experiments.registry import ExperimentRegistry
from experiments.sources import Sources
from experiments.watching import Watcher
from serving.registry.client import Registry
from tests.experiments.lab import EXPERIMENT, Lab
from tests.serving.support import free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

SETTINGS = Path(__file__).parents[2] / "mlflow" / "server.env"


def _is_healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 - our own loopback server
            return bool(answer.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


@contextmanager
def server(lab: Lab, port: int) -> Iterator[None]:
    """`mlflow server` with the settings that the project ships, on the lab's workspace."""
    lines = SETTINGS.read_text(encoding="utf-8").splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    settings |= {"MLFLOW_PORT": str(port), "MLFLOW_WORKERS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (lab.folder.parent / "server.log").open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server"],
            env={**os.environ, **settings},
            cwd=lab.folder.parent,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            wait_until(lambda: child.poll() is not None or _is_healthy(f"http://127.0.0.1:{port}"), timeout_s=90)
            assert child.poll() is None, (lab.folder.parent / "server.log").read_text()
            yield
        finally:
            os.killpg(child.pid, 9)
            child.wait()


def test_a_watch_waits_for_its_server_and_then_promotes(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with server(lab, port):
        registry = ExperimentRegistry(Registry(address), now=lab.now)
        registry.start(replace(EXPERIMENT, auto=True))
        watcher = Watcher(sources=Sources(workspace=lab.folder), tracking_uri=address, now=lab.now)
        lab.store().close()
        assert watcher.run_once()
    for _ in range(25):
        lab.add_song([("1", False), ("2", True)])
    lab.pass_time(hours=1)
    assert not watcher.run_once()
    assert "no server answers there" in caplog.text
    assert lab.models.resolve("lcgan").version == "1"
    with server(lab, port):
        assert watcher.run_once()
        client = MlflowClient(address, address)
        project = client.get_experiment_by_name("deephypebot")
        assert project is not None
        runs = {str(run.info.run_name): run for run in client.search_runs([project.experiment_id])}
        files = {file.path for file in client.list_artifacts(runs["experiment winter"].info.run_id)}
    assert lab.models.resolve("lcgan").version == "2"
    assert sorted(name for name in runs if name.startswith("experiment")) == [
        "experiment winter",
        "experiment winter: promote 2",
    ]
    assert files == {"report.json", "report.html"}
