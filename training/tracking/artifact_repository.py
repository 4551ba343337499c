"""Plug-in for MLflow: artifacts of a local database in the folder beside it.

MLflow finds `artifact_repository` by an entry point of this package, so `mlflow.pyfunc.load_model` works on a workspace
as well; the tracker registers it where the package is used without being installed.
"""

from __future__ import annotations

from typing import Any

from mlflow.store.artifact import artifact_repository_registry
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository
from mlflow.tracking._tracking_service.utils import get_tracking_uri

from foundation.artifact_folder import artifact_path


def artifact_repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ArtifactRepository:
    """Return the repository of an mlflow-artifacts URI: the folder of a local database, or the server's."""
    path = artifact_path(artifact_uri, tracking_uri or get_tracking_uri())
    if path is None:
        return MlflowArtifactsRepository(artifact_uri, tracking_uri, registry_uri)
    return LocalArtifactRepository(path.as_uri(), tracking_uri, registry_uri)


def register_artifact_repository() -> None:
    """Register the plug-in in this process, whether or not the package is installed."""
    registry: Any = artifact_repository_registry._artifact_repository_registry  # noqa: SLF001 - no public way
    registry.register("mlflow-artifacts", artifact_repository)
