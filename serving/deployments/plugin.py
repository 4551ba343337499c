"""Deployment target `torchserve` of MLflow: the module that MLflow loads for `mlflow deployments -t torchserve`.

MLflow looks for one client class, `run_local` and `target_help`, and accepts no second client class among the module's
names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow
from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from mlflow.exceptions import MlflowException
from typing_extensions import override

from serving.client import CommentaryClient
from serving.credentials import Credentials
from serving.deployments import found, predictions
from serving.deployments.changes import Changes
from serving.deployments.config import DeploymentConfig, EndpointConfig
from serving.deployments.faults import invalid, missing, mlflow_errors, taken, wrong_state
from serving.deployments.help_text import HELP
from serving.deployments.names import check_name, gateway_target, resolve
from serving.registry.client import Registry
from serving.registry.versions import RegisteredVersion
from serving.settings import default_tracking_uri

_WORKSPACE: Final = Path("workspace")
_LOCAL_SETTINGS: Final = {"port": "--port", "workspace": "--workspace", "ready_file": "--ready-file", "poll": "--poll"}
"""Settings of `run-local`, and the options of `deephypebot serve` that they become."""


class TorchServeDeployments(BaseDeploymentClient):
    """Deployments and endpoints of a registry, at the gateway that follows it.

    A deployment is a version that the registry keeps live. An endpoint is a registered model with a champion, and
    carries the split. The registry is MLflow's: that of MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI, else the database
    of the folder `workspace`.

    Args:
        target_uri: `torchserve`, or `torchserve:/HOST:PORT` with the gateway's address.
    """

    def __init__(self, target_uri: str) -> None:
        super().__init__(target_uri)  # type: ignore[no-untyped-call] # MLflow has no types there
        self._target = gateway_target(target_uri)

    @override
    def create_deployment(
        self,
        name: str,
        model_uri: str,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Make a registered version live under a name, and wait for it.

        It answers `predict` with its name. Other traffic it gets by the settings `weight`, `shadow` and `champion`; the
        first of an endpoint without a champion becomes the champion.

        Args:
            name: name of the deployment.
            model_uri: `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN_ID/...`.
            flavor: `python_function`, or None.
            config: see `DeploymentConfig`.
            endpoint: registered model; None for that of the URI.

        Returns:
            Description of the deployment.

        Raises:
            MlflowException: a value is wrong, the name is taken, or the version does not become live; nothing of the
                deployment is left then.
        """
        check_name("a deployment", name)
        settings, registry = DeploymentConfig.parse(config), _registry()
        _check_flavor(flavor)
        with self._gateway() as client:
            entry = _of_endpoint(resolve(registry, model_uri), endpoint)
            for each in found.deployments(registry):
                if each.name == name and (each.entry.deployment or each.entry.name != entry.name):
                    raise taken(f"there is a deployment {name!r} of {each.entry.name} already: update or delete it")
            _changes(registry, client, entry.model, settings).create(name, entry, settings)
            return _document(registry, client, name)

    @override
    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Mapping[str, Any] | None = None,
        endpoint: str | None = None,
    ) -> dict[str, Any]:
        """Give a deployment's name and traffic to another version, or change its traffic; and wait for it.

        The new version is live before the earlier one loses a request. If it does not become live, all is as before.

        Args:
            name: name of the deployment.
            model_uri: URI of another version of the same model; None keeps the version.
            flavor: `python_function`, or None.
            config: see `DeploymentConfig`.
            endpoint: registered model of the deployment; None for any.

        Returns:
            Description of the deployment: MLflow's command prints its flavor.

        Raises:
            MlflowException: a value is wrong, there is no such deployment, or the change does not become live.
        """
        check_name("a deployment", name)
        settings, registry = DeploymentConfig.parse(config), _registry()
        _check_flavor(flavor)
        with self._gateway() as client:
            deployment = found.find(found.deployments(registry), name)
            _of_endpoint(deployment.entry, endpoint)
            changes = _changes(registry, client, deployment.endpoint, settings)
            if model_uri is not None:
                entry = resolve(registry, model_uri)
                if entry.model != deployment.endpoint:
                    raise invalid(
                        f"{name} is a deployment of {deployment.endpoint} and cannot become {entry.name}: create "
                        "another deployment"
                    )
                if entry.version != deployment.entry.version:
                    changes.move(deployment, entry)
                    name = found.name_of(registry.version(entry.model, entry.version))
                    deployment = found.find(found.deployments(registry, entry.model), name)
            if (settings.weight, settings.champion, settings.shadow) != (None, None, None):
                changes.give(deployment, settings)
            return _document(registry, client, name)

    @override
    def delete_deployment(
        self, name: str, config: Mapping[str, Any] | None = None, endpoint: str | None = None
    ) -> None:
        """Take a deployment away; nothing happens if there is none of the name. The version stays registered.

        Args:
            name: name of the deployment.
            config: no setting.
            endpoint: registered model of the deployment; None for any.

        Raises:
            MlflowException: the deployment is its endpoint's champion, or takes part in an experiment.
        """
        check_name("a deployment", name)
        if config:
            raise invalid(f"a deletion has no settings, got {', '.join(config)}")
        registry = _registry()
        settings = DeploymentConfig(wait=False)
        with self._gateway() as client:
            for deployment in found.deployments(registry):
                if deployment.name == name:
                    _of_endpoint(deployment.entry, endpoint)
                    _changes(registry, client, deployment.endpoint, settings).delete(deployment)

    @override
    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return the descriptions of the deployments of one endpoint, or of all.

        Raises:
            MlflowException: no such model is registered, or the registry cannot be read.
        """
        if endpoint is not None:
            check_name("an endpoint", endpoint)
        registry = _registry()
        with self._gateway() as client:
            live = found.live_models(client)
            return [
                found.deployment_document(each, live.get(each.endpoint))
                for each in found.deployments(registry, endpoint or "")
            ]

    @override
    def get_deployment(self, name: str, endpoint: str | None = None) -> dict[str, Any]:
        """Return the description of a deployment.

        Raises:
            MlflowException: there is none of the name.
        """
        check_name("a deployment", name)
        registry = _registry()
        with self._gateway() as client:
            _of_endpoint(found.find(found.deployments(registry), name).entry, endpoint)
            return _document(registry, client, name)

    @override
    def predict(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> PredictionsResponse:
        """Ask a deployment, or the version that an endpoint's split gives, for the samples of each row.

        Args:
            deployment_name: name of a deployment; None with an endpoint.
            inputs: see `serving.deployments.predictions.predict`.
            endpoint: registered model; None with a deployment.

        Raises:
            MlflowException: both or none are given, a row is not a request, or the gateway cannot answer.
        """
        if (deployment_name is None) == (endpoint is None):
            raise invalid("name either a deployment or an endpoint")
        with self._gateway() as client:
            if endpoint is not None:
                return predictions.predict(client, inputs, model=check_name("an endpoint", endpoint), version=None)
            named = found.find(found.deployments(_registry()), check_name("a deployment", deployment_name)).entry
            return predictions.predict(client, inputs, model=named.model, version=named.version)

    @override
    def create_endpoint(self, name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a registered model answer: give it a champion.

        Args:
            name: registered model.
            config: see `EndpointConfig`; `champion` is required.

        Raises:
            MlflowException: no such model is registered, it has a champion already, or the champion does not answer.
        """
        check_name("an endpoint", name)
        settings, registry = EndpointConfig.parse(config), _registry()
        with self._gateway() as client:
            if any(each.is_champion for each in found.deployments(registry, name)):
                raise taken(f"the endpoint {name} exists already: update or delete it")
            if not settings.champion:
                raise invalid(f"name the version that answers, as in -C champion=1, to create the endpoint {name}")
            _changes(registry, client, name, settings).set_endpoint(settings)
            return _endpoint_document(registry, client, name)

    @override
    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Change the champion or the split of an endpoint, and wait for it.

        Args:
            endpoint: registered model.
            config: see `EndpointConfig`.

        Raises:
            MlflowException: there is no such endpoint, or the gateway does not follow.
        """
        check_name("an endpoint", endpoint)
        settings, registry = EndpointConfig.parse(config), _registry()
        with self._gateway() as client:
            _existing_endpoint(registry, endpoint)
            _changes(registry, client, endpoint, settings).set_endpoint(settings)
            return _endpoint_document(registry, client, endpoint)

    @override
    def delete_endpoint(self, endpoint: str) -> None:
        """Take an endpoint's champion, split and deployments away in the registry; its versions stay registered.

        A gateway that runs keeps the last champion, by its rule that what answers stays while the registry names no
        other; one that starts later serves nothing for the model. Nothing happens if there is no such endpoint.

        Raises:
            MlflowException: the endpoint has a running experiment.
        """
        check_name("an endpoint", endpoint)
        registry = _registry()
        with self._gateway() as client:
            if endpoint in registry.models() and found.deployments(registry, endpoint):
                _changes(registry, client, endpoint, DeploymentConfig(wait=False)).delete_endpoint()

    @override
    def list_endpoints(self) -> list[dict[str, Any]]:
        """Return the descriptions of the endpoints: the registered models that have a champion."""
        registry = _registry()
        with self._gateway() as client:
            live, deployed = found.live_models(client), found.deployments(registry)
            return [
                found.endpoint_document(model, [each for each in deployed if each.endpoint == model], live.get(model))
                for model in dict.fromkeys(each.endpoint for each in deployed if each.is_champion)
            ]

    @override
    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return the description of an endpoint.

        Raises:
            MlflowException: there is no such endpoint.
        """
        check_name("an endpoint", endpoint)
        registry = _registry()
        with self._gateway() as client:
            _existing_endpoint(registry, endpoint)
            return _endpoint_document(registry, client, endpoint)

    @override
    def explain(self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None) -> Any:
        """Refuse: samples have no explanation.

        Raises:
            MlflowException: always.
        """
        raise wrong_state("samples of commentary have no explanation: `predict` gives their log-probabilities")

    @contextmanager
    def _gateway(self) -> Iterator[CommentaryClient]:
        """Connect to the gateway for the length of the block, whose errors become MLflow's."""
        with (
            mlflow_errors(),
            CommentaryClient(self._target, credentials=Credentials.from_environment()) as client,
        ):
            yield client


def run_local(name: str, model_uri: str, flavor: str | None = None, config: Mapping[str, Any] | None = None) -> None:
    """Serve a registered version on this machine until Ctrl-C, as a deployment of the registry.

    Args:
        name: name of the deployment.
        model_uri: `models:/NAME/VERSION`, `models:/NAME@ALIAS` or `runs:/RUN_ID/...`.
        flavor: `python_function`, or None.
        config: `port`, `workspace`, `ready_file` and `poll` of `deephypebot serve`.

    Raises:
        MlflowException: a value is wrong, the name is taken, or the service fails.
    """
    check_name("a deployment", name)
    _check_flavor(flavor)
    given = dict(config or {})
    if unknown := [key for key in given if key not in _LOCAL_SETTINGS]:
        raise invalid(f"unknown setting {unknown[0]!r}; the settings are {', '.join(sorted(_LOCAL_SETTINGS))}")
    registry = _registry()
    with mlflow_errors():
        model = resolve(registry, model_uri).model
    client = TorchServeDeployments("torchserve")
    if any(each["name"] == name for each in client.list_deployments()):
        client.update_deployment(name, model_uri, config={"wait": False})
    else:
        client.create_deployment(name, model_uri, config={"wait": False})
    options = [text for key, value in given.items() for text in (_LOCAL_SETTINGS[key], str(value))]
    command = [sys.executable, "-m", "deephypebot", "serve", "--models", model, *options]
    # Not as an option: every user of the machine can read command lines, and the address may hold a password.
    environment = {**os.environ, "MLFLOW_TRACKING_URI": _tracking_uri()}
    code = subprocess.run(command, check=False, env=environment).returncode  # noqa: S603 - our own command
    if code not in (0, 130):
        raise MlflowException(f"`deephypebot serve` ended with code {code}; its messages are above")


def target_help() -> str:
    """Return the help of `mlflow deployments help -t torchserve`."""
    return HELP


def _changes(
    registry: Registry, client: CommentaryClient, model: str, settings: DeploymentConfig | EndpointConfig
) -> Changes:
    return Changes(registry=registry, client=client, model=model, wait=settings.wait, timeout_s=settings.timeout_s)


def _document(registry: Registry, client: CommentaryClient, name: str) -> dict[str, Any]:
    deployment = found.find(found.deployments(registry), name)
    return found.deployment_document(deployment, found.live_models(client).get(deployment.endpoint))


def _endpoint_document(registry: Registry, client: CommentaryClient, model: str) -> dict[str, Any]:
    return found.endpoint_document(model, found.deployments(registry, model), found.live_models(client).get(model))


def _registry() -> Registry:
    with mlflow_errors():
        return Registry(_tracking_uri())


def _tracking_uri() -> str:
    """Return MLflow's registry where one is set, else the one that `deephypebot` takes."""
    registry = mlflow.get_registry_uri()
    is_set: Callable[[], bool] = mlflow.is_tracking_uri_set
    if registry != mlflow.get_tracking_uri() or is_set():
        return registry
    return default_tracking_uri(_WORKSPACE)


def _check_flavor(flavor: str | None) -> None:
    if flavor not in (None, "", found.FLAVOR):
        raise invalid(f"the flavor {flavor!r} cannot be served here: leave it out, or give {found.FLAVOR}")


def _of_endpoint(entry: RegisteredVersion, endpoint: str | None) -> RegisteredVersion:
    if endpoint is not None and check_name("an endpoint", endpoint) != entry.model:
        raise invalid(f"{entry.name} belongs to the endpoint {entry.model}, not to {endpoint}")
    return entry


def _existing_endpoint(registry: Registry, endpoint: str) -> None:
    if not any(each.is_champion for each in found.deployments(registry, endpoint)):
        raise missing(f"{endpoint} has no champion, so it is not an endpoint yet: create it with -C champion=VERSION")
