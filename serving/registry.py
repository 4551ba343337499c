"""Model registry of the serving side: versions, aliases, promotion and rollback.

This is the only module of the package that imports mlflow, and it does so on first use: the import takes seconds.

    champion    answers requests that pin no version
    previous    the champion before; stays live, so that a rollback is immediate
    challenger  live as well, for requests that pin it
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from foundation.artifact_folder import artifact_path
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG, CHAMPION, PREVIOUS
from serving.errors import RegistryError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.tracking import MlflowClient

CHALLENGER: Final = "challenger"
LIVE_ALIASES: Final = (CHAMPION, PREVIOUS, CHALLENGER)
SYNC_ERROR_TAG: Final = "sync_error"
"""Tag that holds the reason for which a version could not be made live."""

_URI: Final = re.compile(r"(?:models:/)?(?P<model>[^/@]+)(?:/(?P<version>\d+)|@(?P<alias>[^/@]+))")
_ENVIRONMENT: Final = {
    # Nothing of this project uses the internet.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # The sync loop itself retries a registry that is down; by default MLflow would block for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredVersion:
    """One version of a registered model."""

    model: str
    version: str
    aliases: tuple[str, ...]
    run_id: str
    archive_path: str
    """The archive among the artifacts of the run; empty if the version has none."""
    archive_sha256: str
    sync_error: str
    """Reason for which the version could not be made live; empty if there is none."""

    @property
    def name(self) -> str:
        """Name for messages, such as `lcgan 2`."""
        return f"{self.model} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSnapshot:
    """Versions of one model that should be live, from one reading of the registry."""

    model: str
    versions: tuple[RegisteredVersion, ...]

    @property
    def champion(self) -> RegisteredVersion | None:
        """Version that holds the alias `champion`."""
        return self.holder(CHAMPION)

    def holder(self, alias: str) -> RegisteredVersion | None:
        """Return the version that holds an alias."""
        return next((version for version in self.versions if alias in version.aliases), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A change of champion."""

    model: str
    champion: str
    previous: str | None
    """The champion before the change; None if there was none."""


class Registry:
    """Client of an MLflow registry.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.

    Raises:
        RegistryError: the database does not exist (MLflow would create an empty one without a word).
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        database = tracking_uri.partition("?")[0].removeprefix("sqlite:///")
        if tracking_uri.startswith("sqlite:///") and not Path(database).is_file():
            raise RegistryError(
                f"there is no registry at {tracking_uri}: train a model first (`deephypebot train`), or name another "
                "with --tracking-uri or MLFLOW_TRACKING_URI"
            )
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        with self._translated():
            from mlflow.tracking import MlflowClient  # noqa: PLC0415 - takes seconds

            self._client: MlflowClient = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def models(self) -> tuple[str, ...]:
        """Return the names of the registered models."""
        with self._translated():
            return tuple(sorted(model.name for model in self._client.search_registered_models()))

    def snapshot(self, model: str) -> ModelSnapshot:
        """Return the versions of a model that hold one of the live aliases; none if the model is not registered.

        Raises:
            RegistryError: the registry cannot be read.
        """
        with self._translated():
            from mlflow.exceptions import MlflowException  # noqa: PLC0415 - takes seconds

            try:
                registered = self._client.get_registered_model(model)
            except MlflowException as cause:
                if cause.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return ModelSnapshot(model=model, versions=())
                raise
            aliases = _aliases(registered)
            wanted = {aliases[alias] for alias in LIVE_ALIASES if alias in aliases}
            found = [self._client.get_model_version(model, version) for version in sorted(wanted, key=int)]
        return ModelSnapshot(model=model, versions=tuple(_version(entry, aliases) for entry in found))

    def versions(self, model: str) -> tuple[RegisteredVersion, ...]:
        """Return all versions of a model, oldest first.

        Raises:
            RegistryError: the registry cannot be read or lacks the model.
        """
        if model not in self.models():
            raise RegistryError(
                f"model {model!r} is not registered; the registered models are: {_enumeration(self.models())}"
            )
        with self._translated():
            aliases = _aliases(self._client.get_registered_model(model))
            found = list(self._client.search_model_versions(f"name = '{model}'"))
        return tuple(_version(entry, aliases) for entry in sorted(found, key=lambda entry: int(entry.version)))

    def version(self, model: str, version: str) -> RegisteredVersion:
        """Return one version.

        Raises:
            RegistryError: the version does not exist; the message lists the existing ones.
        """
        versions = self.versions(model)
        for entry in versions:
            if entry.version == version:
                return entry
        existing = _enumeration([entry.version for entry in versions])
        raise RegistryError(f"{model} has no version {version!r}; its versions are: {existing}")

    def resolve(self, uri: str) -> RegisteredVersion:
        """Return the version that `models:/lcgan/2`, `models:/lcgan@champion`, `lcgan/2` or `lcgan@champion` names.

        Raises:
            RegistryError: the text has another form, or names a version that does not exist.
        """
        parts = _URI.fullmatch(uri)
        if parts is None:
            raise RegistryError(
                f"{uri!r} does not name a version: write lcgan/2 or lcgan@champion (models:/ may precede)"
            )
        if parts["version"]:
            return self.version(parts["model"], parts["version"])
        versions = self.versions(parts["model"])
        for entry in versions:
            if parts["alias"] in entry.aliases:
                return entry
        held = sorted({alias for entry in versions for alias in entry.aliases})
        raise RegistryError(f"{parts['model']} has no alias {parts['alias']!r}; its aliases are: {_enumeration(held)}")

    def promote(self, model: str, version: str) -> Move:
        """Make a version the champion, and the current champion `previous`.

        The aliases are written in an order in which no version that is still needed loses its last alias.

        Raises:
            RegistryError: the model or version does not exist, or the version has no archive.
        """
        chosen = self.version(model, version)
        if not (chosen.archive_path and chosen.archive_sha256):
            raise RegistryError(
                f"{chosen.name} has no archive (tags {ARCHIVE_TAG!r} and {ARCHIVE_SHA256_TAG!r}): it cannot be served"
            )
        champion = self.snapshot(model).champion
        if champion is not None and champion.version == version:
            held = self.snapshot(model).holder(PREVIOUS)
            return Move(model=model, champion=version, previous=held.version if held else None)
        with self._translated():
            if champion is not None:
                self._client.set_registered_model_alias(model, PREVIOUS, champion.version)
            self._client.set_registered_model_alias(model, CHAMPION, version)
            if CHALLENGER in chosen.aliases:
                self._client.delete_registered_model_alias(model, CHALLENGER)
        return Move(model=model, champion=version, previous=champion.version if champion else None)

    def rollback(self, model: str) -> Move:
        """Swap champion and previous.

        Raises:
            RegistryError: the model does not exist, or it has no previous champion.
        """
        versions = self.versions(model)
        previous = next((entry for entry in versions if PREVIOUS in entry.aliases), None)
        if previous is None:
            raise RegistryError(
                f"{model} has no previous champion to go back to; promote one of "
                f"{_enumeration([entry.version for entry in versions])}"
            )
        return self.promote(model, previous.version)

    def set_sync_error(self, model: str, version: str, reason: str) -> None:
        """Tag a version with the reason for which it could not be made live; an empty reason removes the tag."""
        with self._translated():
            if reason:
                self._client.set_model_version_tag(model, version, SYNC_ERROR_TAG, reason[:4000])
            else:
                self._client.delete_model_version_tag(model, version, SYNC_ERROR_TAG)

    def fetch_archive(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download a version's archive into a folder.

        Raises:
            RegistryError: the version has no archive, or it cannot be downloaded.
        """
        if not version.archive_path:
            raise RegistryError(f"{version.name} has no archive: its tag {ARCHIVE_TAG!r} is missing; register it again")
        with self._translated(f"the archive of {version.name} cannot be downloaded"):
            # The folder beside a local database counts, wherever the workspace was when it was written.
            place = artifact_path(self._client.get_run(version.run_id).info.artifact_uri, self._uri)
            if place is not None and (place / version.archive_path).is_file():
                return Path(shutil.copy(place / version.archive_path, folder))
            from mlflow import artifacts  # noqa: PLC0415 - takes seconds

            return Path(
                artifacts.download_artifacts(
                    run_id=version.run_id,
                    artifact_path=version.archive_path,
                    dst_path=str(folder),
                    tracking_uri=self._uri,
                )
            )

    @contextlib.contextmanager
    def _translated(self, purpose: str = "the registry cannot be used") -> Iterator[None]:
        try:
            yield
        except RegistryError:
            raise
        # The exception depends on the store: MLflow's own, requests', SQLAlchemy's or an object store's. All of them
        # mean that the registry cannot be used now.
        except Exception as cause:
            raise RegistryError(f"{purpose} ({self._uri}): {type(cause).__name__}: {cause}") from cause


def _aliases(model: RegisteredModel) -> dict[str, str]:
    return {alias: str(version) for alias, version in model.aliases.items()}


def _version(entry: ModelVersion, aliases: dict[str, str]) -> RegisteredVersion:
    version = str(entry.version)
    return RegisteredVersion(
        model=entry.name,
        version=version,
        aliases=tuple(sorted(alias for alias, holder in aliases.items() if holder == version)),
        run_id=entry.run_id or "",
        archive_path=entry.tags.get(ARCHIVE_TAG, ""),
        archive_sha256=entry.tags.get(ARCHIVE_SHA256_TAG, ""),
        sync_error=entry.tags.get(SYNC_ERROR_TAG, ""),
    )


def _enumeration(values: tuple[str, ...] | list[str]) -> str:
    return ", ".join(values) or "none"
