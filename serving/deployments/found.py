"""Deployments and endpoints as the registry and the gateway have them.

Every version that the registry keeps live is a deployment. Its name is that of its tag, or `MODEL-VERSION` without one.
An endpoint is a registered model with a champion.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from foundation.model_versions import VersionName
from handlers.contract import CHAMPION
from serving.client import CommentaryClient, CommentaryError, LiveModel, LiveVersion
from serving.deployments.faults import missing
from serving.registry.client import Registry
from serving.registry.versions import EXPERIMENT_TAG, RegisteredVersion

FLAVOR: Final = "python_function"
"""Flavor that MLflow gives the models that `deephypebot train` registers."""
_DESCRIBE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One version that the registry keeps live."""

    name: str
    entry: RegisteredVersion

    @property
    def endpoint(self) -> str:
        """Registered model."""
        return self.entry.model

    @property
    def is_champion(self) -> bool:
        """Whether it answers what no share gives to others."""
        return CHAMPION in self.entry.aliases

    @property
    def experiment(self) -> str:
        """Mark of the experiment in which the version takes part; empty if it does in none."""
        return self.entry.traffic.get(EXPERIMENT_TAG, "").strip()


def deployments(registry: Registry, endpoint: str = "") -> list[Deployment]:
    """Return the deployments of one endpoint, or of all, oldest version first.

    Args:
        registry: registry to read.
        endpoint: registered model; empty for all.

    Raises:
        MlflowException: no such model is registered.
        RegistryError: the registry cannot be read.
    """
    models = registry.models()
    if endpoint and endpoint not in models:
        raise missing(f"no model {endpoint!r} is registered; the registered models are: {', '.join(models) or 'none'}")
    return [
        Deployment(name=name_of(entry), entry=entry)
        for model in models
        if endpoint in ("", model)
        for entry in registry.versions(model)
        if entry.should_be_live and entry.archive_path
    ]


def name_of(entry: RegisteredVersion) -> str:
    """Return the name of a version's deployment.

    >>> name_of(RegisteredVersion(model="lcgan", version="2", aliases=(), run_id="", archive_path="", archive_sha256="",
    ...         sync_error=""))
    'lcgan-2'
    """
    return entry.deployment or derived_name(entry)


def derived_name(entry: RegisteredVersion) -> str:
    """Return the name that a version has as long as it is given no other: `MODEL-VERSION`."""
    return f"{entry.model}-{entry.version}"


def find(found: Sequence[Deployment], name: str) -> Deployment:
    """Return the deployment of a name. An update that was interrupted leaves two; the newest version counts.

    Raises:
        MlflowException: none has the name; the message lists those that exist.
    """
    named = [each for each in found if each.name == name]
    if not named:
        known = ", ".join(each.name for each in found) or "none"
        raise missing(f"there is no deployment {name!r}; the deployments are: {known}")
    return named[-1]


def live_models(client: CommentaryClient) -> dict[str, LiveModel]:
    """Return what the gateway serves, by the models' names; empty if it does not answer."""
    try:
        return {model.name: model for model in client.describe(timeout_s=_DESCRIBE_S)}
    except CommentaryError:
        return {}


def deployment_document(deployment: Deployment, live: LiveModel | None) -> dict[str, Any]:
    """Return the description of a deployment that MLflow prints.

    Args:
        deployment: the deployment.
        live: its model at the gateway; None if the gateway does not serve it, or does not answer.
    """
    entry = deployment.entry
    version = next((each for each in live.versions if each.version == entry.version), None) if live else None
    return {
        "name": deployment.name,
        "flavor": FLAVOR,
        "model_uri": VersionName(model=entry.model, version=entry.version).uri,
        "endpoint": entry.model,
        "version": entry.version,
        "aliases": list(entry.aliases),
        "state": _state(entry, version),
        "reason": entry.sync_error,
        "share": version.share if version else 0.0,
        "shadow": version.shadow if version else False,
        "workers": f"{version.workers_ready} of {version.workers_wanted}" if version else "0 of 0",
    }


def endpoint_document(model: str, found: Sequence[Deployment], live: LiveModel | None) -> dict[str, Any]:
    """Return the description of an endpoint that MLflow prints."""
    champion = next((each for each in found if each.is_champion), None)
    return {
        "name": model,
        "champion": champion.name if champion else "",
        "state": "READY" if live is not None and live.champion else "NOT_READY",
        "policy_revision": live.policy_revision if live else "",
        "experiment": live.experiment if live else "",
        "deployments": [deployment_document(each, live) for each in found],
    }


def _state(entry: RegisteredVersion, live: LiveVersion | None) -> str:
    """Return READY, PENDING or FAILED.

    A version that was refused stays FAILED until the registry asks for it again. The workers of one that is live are
    counted where the gateway tells them.
    """
    if live is not None:
        return "READY" if live.workers_ready or not live.workers_wanted else "PENDING"
    return "FAILED" if entry.sync_error else "PENDING"
