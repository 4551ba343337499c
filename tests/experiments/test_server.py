"""A watch with a tracking server, which goes away and comes back: nothing is lost, and nothing is done twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mlflow import MlflowClient

from experiments.registry import ExperimentRegistry
from experiments.sources import Sources
from experiments.watching import Watcher
from serving.registry.client import Registry
from tests.experiments.lab import EXPERIMENT, Lab
from tests.experiments.tracking_server import tracking_server
from tests.serving.support import free_port

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def test_a_watch_waits_for_its_server_and_then_promotes(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tracking_server(lab.folder, port):
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
    with tracking_server(lab.folder, port):
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
