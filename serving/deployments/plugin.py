"""Deployment target `torchserve` of MLflow: the module that MLflow loads for `mlflow deployments -t torchserve`.

MLflow looks for one client class, `run_local` and `target_help`, and accepts no second client class among the module's
names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mlflow.deployments import BaseDeploymentClient, PredictionsResponse
from typing_extensions import override

from serving.deployments import found, predictions
from serving.deployments.config import DeploymentConfig
from serving.deployments.endpoints import Endpoints
from serving.deployments.faults import invalid, mlflow_errors, wrong_state
from serving.deployments.help_text import HELP
from serving.deployments.local import serve_locally
from serving.deployments.names import TARGET_NAME, check_name, gateway_target, resolve
from serving.deployments.reading import (
    changes_of,
    check_flavor,
    check_free,
    connected,
    document,
    of_endpoint,
    open_registry,
)


class TorchServeDeployments(Endpoints, BaseDeploymentClient):
    """Deployments and endpoints of a registry, at the gateway that follows it.

    A deployment is a version that the registry keeps live. An endpoint is a registered model with a champion, and
    carries the split. The registry is MLflow's: that of MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI, else the database
    of the folder `workspace`.

    Args:
        target_uri: `torchserve`, or `torchserve:/HOST:PORT` with the gateway's address.
    """

    def __init__(self, target_uri: str) -> None:
        Endpoints.__init__(self, gateway_target(target_uri))
        BaseDeploymentClient.__init__(self, target_uri)  # type: ignore[no-untyped-call] # MLflow has no types there

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
        settings, registry = DeploymentConfig.parse(config), open_registry()
        check_flavor(flavor)
        with connected(self._target) as client:
            entry = of_endpoint(resolve(registry, model_uri), endpoint)
            check_free(registry, name, entry)
            changes_of(registry, client, entry.model, settings).create(name, entry, settings)
            return document(registry, client, name)

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
        A name that a version has for want of another, such as lcgan-1, becomes that of the new version, lcgan-2.

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
        settings, registry = DeploymentConfig.parse(config), open_registry()
        check_flavor(flavor)
        with connected(self._target) as client:
            deployment = found.find(found.deployments(registry), name)
            of_endpoint(deployment.entry, endpoint)
            changes = changes_of(registry, client, deployment.endpoint, settings)
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
            if settings.gives_traffic:
                changes.give(deployment, settings)
            return document(registry, client, name)

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
        registry = open_registry()
        settings = DeploymentConfig(wait=False)
        with connected(self._target) as client:
            for deployment in found.deployments(registry):
                if deployment.name == name:
                    of_endpoint(deployment.entry, endpoint)
                    changes_of(registry, client, deployment.endpoint, settings).delete(deployment)

    @override
    def list_deployments(self, endpoint: str | None = None) -> list[dict[str, Any]]:
        """Return the descriptions of the deployments of one endpoint, or of all.

        Raises:
            MlflowException: no such model is registered, or the registry cannot be read.
        """
        if endpoint is not None:
            check_name("an endpoint", endpoint)
        registry = open_registry()
        with connected(self._target) as client:
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
        registry = open_registry()
        with connected(self._target) as client:
            of_endpoint(found.find(found.deployments(registry), name).entry, endpoint)
            return document(registry, client, name)

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
        with connected(self._target) as client:
            model, version = _asked(deployment_name, endpoint)
            return predictions.predict(client, inputs, model=model, version=version)

    @override
    def predict_stream(
        self, deployment_name: str | None = None, inputs: Any = None, endpoint: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Yield the samples as they are ready, of one row of the input after the other.

        Args:
            deployment_name: name of a deployment; None with an endpoint.
            inputs: see `serving.deployments.predictions.predict`.
            endpoint: registered model; None with a deployment.

        Returns:
            Rows of `predict`. `version` is None where the split chose it, since a stream tells it at its end.

        Raises:
            MlflowException: as for `predict`, also while the rows are taken.
        """
        with mlflow_errors():
            model, version = _asked(deployment_name, endpoint)
        requests = predictions.requests_of(inputs)

        def rows() -> Iterator[dict[str, Any]]:
            with connected(self._target) as client:
                yield from predictions.stream(client, requests, model=model, version=version)

        return rows()

    @override
    def explain(self, deployment_name: str | None = None, df: Any = None, endpoint: str | None = None) -> Any:
        """Refuse: samples have no explanation.

        Raises:
            MlflowException: always.
        """
        raise wrong_state("samples of commentary have no explanation: `predict` gives their log-probabilities")


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
    check_flavor(flavor)
    serve_locally(TorchServeDeployments(TARGET_NAME), name, model_uri, config)


def target_help() -> str:
    """Return the help of `mlflow deployments help -t torchserve`."""
    return HELP


def _asked(deployment_name: str | None, endpoint: str | None) -> tuple[str, str | None]:
    """Return the model and the version of a deployment; of an endpoint, the model alone.

    Raises:
        MlflowException: both or none are given, or there is no such deployment.
    """
    if (deployment_name is None) == (endpoint is None):
        raise invalid("name either a deployment or an endpoint")
    if endpoint is not None:
        return check_name("an endpoint", endpoint), None
    named = found.find(found.deployments(open_registry()), check_name("a deployment", deployment_name)).entry
    return named.model, named.version
