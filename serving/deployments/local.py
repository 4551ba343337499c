"""`mlflow deployments run-local`: a deployment, and a service for it on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from mlflow.exceptions import MlflowException

from serving.deployments.faults import invalid, mlflow_errors
from serving.deployments.names import resolve
from serving.deployments.reading import open_registry, tracking_uri

_SETTINGS: Final = {"port": "--port", "workspace": "--workspace", "ready_file": "--ready-file", "poll": "--poll"}
"""Settings, and the options of `deephypebot serve` that they become."""


def serve_locally(client: Any, name: str, model_uri: str, config: Mapping[str, Any] | None) -> None:
    """Make a registered version the deployment of a name, and serve its model until Ctrl-C.

    Args:
        client: client of the target, of MLflow's class, which has no types.
        name: name of the deployment.
        model_uri: URI of the version.
        config: settings of the service.

    Raises:
        MlflowException: a value is wrong, the name is taken, or the service fails.
    """
    given = dict(config or {})
    if unknown := [key for key in given if key not in _SETTINGS]:
        raise invalid(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(_SETTINGS))}")
    registry = open_registry()
    with mlflow_errors():
        model = resolve(registry, model_uri).model
    unawaited = {"wait": False}  # the gateway starts below
    if any(each["name"] == name for each in client.list_deployments()):
        client.update_deployment(name, model_uri, config=unawaited)
    else:
        client.create_deployment(name, model_uri, config=unawaited)
    options = [text for key, value in given.items() for text in (_SETTINGS[key], str(value))]
    command = [sys.executable, "-m", "deephypebot", "serve", "--models", model, *options]
    # Not as an option: every user of the machine can read command lines, and the address may hold a password.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri()}
    code = subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - our own command
    if code not in (0, 130):
        raise MlflowException(f"`deephypebot serve` ended with code {code}; its messages are above")
