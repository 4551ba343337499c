from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving.support import EchoRegistry, ServiceProcess, running_service

MODELS = ("alpha", "beta", "gamma", "kappa", "omega")
"""What the shared service serves; each test has a model of its own, so that they do not meet."""


def pytest_configure(config: pytest.Config) -> None:
    # MLflow 3.17 on SQLAlchemy 2.1: theirs to settle.
    config.addinivalue_line("filterwarnings", "ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> EchoRegistry:
    """A registry that many tests share, as its first start takes seconds; each uses model names of its own."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("registry")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    experiment_id = client.create_experiment("serving", artifact_location=(folder / "artifacts").as_uri())
    return EchoRegistry(uri=uri, client=client, experiment_id=experiment_id, folder=folder)


@pytest.fixture(scope="session")
def service(registry: EchoRegistry, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """The service with version 1 of each model as champion."""
    for model in MODELS:
        registry.alias(model, "champion", registry.register(model))
    folder: Path = tmp_path_factory.mktemp("service")
    with running_service(registry.uri, folder, MODELS, "--http-port", "0") as running:
        yield running
