"""Endpoints of the target: registered models with a champion, which carry the split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from serving.deployments import found
from serving.deployments.config import DeploymentConfig, EndpointConfig
from serving.deployments.faults import invalid, taken
from serving.deployments.names import check_name
from serving.deployments.reading import changes_of, check_endpoint, connected, endpoint_document, open_registry


class Endpoints:
    """Half of the client that is about endpoints. Names of methods and arguments are MLflow's.

    Args:
        target: address of the gateway.
    """

    def __init__(self, target: str) -> None:
        self._target = target

    def create_endpoint(self, name: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a registered model answer: give it a champion.

        Args:
            name: registered model.
            config: see `EndpointConfig`; `champion` is required.

        Raises:
            MlflowException: no such model is registered, it has a champion already, or the champion does not answer.
        """
        check_name("an endpoint", name)
        settings, registry = EndpointConfig.parse(config), open_registry()
        with connected(self._target) as client:
            if any(each.is_champion for each in found.deployments(registry, name)):
                raise taken(f"the endpoint {name} exists already: update or delete it")
            if not settings.champion:
                raise invalid(f"name the version that answers, as in -C champion=1, to create the endpoint {name}")
            changes_of(registry, client, name, settings).set_endpoint(settings)
            return endpoint_document(registry, client, name)

    def update_endpoint(self, endpoint: str, config: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Change the champion or the split of an endpoint, and wait for it.

        Args:
            endpoint: registered model.
            config: see `EndpointConfig`.

        Raises:
            MlflowException: there is no such endpoint, or the gateway does not follow.
        """
        check_name("an endpoint", endpoint)
        settings, registry = EndpointConfig.parse(config), open_registry()
        with connected(self._target) as client:
            check_endpoint(registry, endpoint)
            changes_of(registry, client, endpoint, settings).set_endpoint(settings)
            return endpoint_document(registry, client, endpoint)

    def delete_endpoint(self, endpoint: str) -> None:
        """Take an endpoint's champion, split and deployments away in the registry; its versions stay registered.

        A gateway that runs keeps the last champion, by its rule that what answers stays while the registry names no
        other; one that starts later serves nothing for the model. Nothing happens if there is no such endpoint.

        Raises:
            MlflowException: the endpoint has a running experiment.
        """
        check_name("an endpoint", endpoint)
        registry = open_registry()
        with connected(self._target) as client:
            if endpoint in registry.models() and found.deployments(registry, endpoint):
                changes_of(registry, client, endpoint, DeploymentConfig(wait=False)).delete_endpoint()

    def list_endpoints(self) -> list[dict[str, Any]]:
        """Return the descriptions of the endpoints: the registered models that have a champion."""
        registry = open_registry()
        with connected(self._target) as client:
            live, deployed = found.live_models(client), found.deployments(registry)
            return [
                found.endpoint_document(model, [each for each in deployed if each.endpoint == model], live.get(model))
                for model in dict.fromkeys(each.endpoint for each in deployed if each.is_champion)
            ]

    def get_endpoint(self, endpoint: str) -> dict[str, Any]:
        """Return the description of an endpoint.

        Raises:
            MlflowException: there is no such endpoint.
        """
        check_name("an endpoint", endpoint)
        registry = open_registry()
        with connected(self._target) as client:
            check_endpoint(registry, endpoint)
            return endpoint_document(registry, client, endpoint)
