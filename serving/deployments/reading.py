"""Registry and gateway of the deployments, checks of what a caller names, and the descriptions that MLflow prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import mlflow

from serving.client import CommentaryClient
from serving.credentials import Credentials
from serving.deployments import found
from serving.deployments.changes import Changes
from serving.deployments.config import DeploymentConfig, EndpointConfig
from serving.deployments.faults import invalid, missing, mlflow_errors, taken
from serving.deployments.names import check_name
from serving.registry.client import Registry
from serving.registry.versions import RegisteredVersion
from serving.settings import default_tracking_uri

_WORKSPACE: Final = Path("workspace")


@contextmanager
def connected(target: str) -> Iterator[CommentaryClient]:
    """Connect to a gateway for the length of the block, whose errors become MLflow's.

    Args:
        target: address of the gateway.
    """
    with mlflow_errors(), CommentaryClient(target, credentials=Credentials.from_environment()) as client:
        yield client


def open_registry() -> Registry:
    """Return the registry of `tracking_uri`."""
    with mlflow_errors():
        return Registry(tracking_uri())


def tracking_uri() -> str:
    """Return MLflow's registry where one is set, else the one that `deephypebot` takes."""
    registry = mlflow.get_registry_uri()
    is_set: Callable[[], bool] = mlflow.is_tracking_uri_set
    if registry != mlflow.get_tracking_uri() or is_set():
        return registry
    return default_tracking_uri(_WORKSPACE)


def changes_of(
    registry: Registry, client: CommentaryClient, model: str, settings: DeploymentConfig | EndpointConfig
) -> Changes:
    """Return the changes of a model, which wait for the gateway as its settings say."""
    return Changes(registry=registry, client=client, model=model, wait=settings.wait, timeout_s=settings.timeout_s)


def document(registry: Registry, client: CommentaryClient, name: str) -> dict[str, Any]:
    """Return the description of a deployment."""
    deployment = found.find(found.deployments(registry), name)
    return found.deployment_document(deployment, found.live_models(client).get(deployment.endpoint))


def endpoint_document(registry: Registry, client: CommentaryClient, model: str) -> dict[str, Any]:
    """Return the description of an endpoint."""
    return found.endpoint_document(model, found.deployments(registry, model), found.live_models(client).get(model))


def check_flavor(flavor: str | None) -> None:
    """Refuse a flavor that is not served.

    Raises:
        MlflowException: it is not.
    """
    if flavor not in (None, "", found.FLAVOR):
        raise invalid(f"the flavor {flavor!r} cannot be served here: leave it out, or give {found.FLAVOR}")


def check_free(registry: Registry, name: str, entry: RegisteredVersion) -> None:
    """Refuse a name that a deployment has, or that another registered version gets when it is live without one.

    Args:
        registry: registry of the deployments.
        name: the name.
        entry: version that is to have it.

    Raises:
        MlflowException: it is taken.
    """
    for each in found.deployments(registry):
        if each.name == name and (each.entry.deployment or each.entry.name != entry.name):
            raise taken(f"there is a deployment {name!r} of {each.entry.name} already: update or delete it")
    if name == found.derived_name(entry):
        return
    for model in registry.models():
        if any(found.derived_name(each) == name for each in registry.versions(model)):
            raise taken(f"{name!r} is already the name of a version that has no other: take one that ends otherwise")


def of_endpoint(entry: RegisteredVersion, endpoint: str | None) -> RegisteredVersion:
    """Return a version that belongs to an endpoint; None for any.

    Raises:
        MlflowException: it belongs to another.
    """
    if endpoint is not None and check_name("an endpoint", endpoint) != entry.model:
        raise invalid(f"{entry.name} belongs to the endpoint {entry.model}, not to {endpoint}")
    return entry


def check_endpoint(registry: Registry, endpoint: str) -> None:
    """Refuse a model that is not an endpoint.

    Raises:
        MlflowException: it has no champion, or no such model is registered.
    """
    if not any(each.is_champion for each in found.deployments(registry, endpoint)):
        raise missing(f"{endpoint} has no champion, so it is not an endpoint yet: create it with -C champion=VERSION")
