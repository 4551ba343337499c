"""Model registry of the serving side: versions, aliases, promotion and rollback.

champion    answers requests that pin no version, less those that traffic tags give to others
previous    the champion before; stays live, so that a rollback is immediate
challenger  live as well, for requests that pin it
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from foundation.archive_members import is_relative
from foundation.artifact_folder import artifact_path
from foundation.model_versions import TRAINED_CHAMPION_TAG, VersionName, VersionNameError
from handlers.contract import ARCHIVE_SHA256_TAG, ARCHIVE_TAG, CHALLENGER, CHAMPION, PREVIOUS
from serving.errors import RegistryError
from serving.registry.connection import known, open_client, translated
from serving.registry.owned_reasons import is_left_behind
from serving.registry.versions import (
    DRIFT_TAG_PREFIX,
    SALT_TAG,
    SYNC_ERROR_TAG,
    ModelSnapshot,
    Move,
    RegisteredVersion,
    TagChange,
    aliases_of,
    end_of_split,
    ignored_aliases,
    registered_version,
)


class Registry:
    """Client of an MLflow registry.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.

    Raises:
        RegistryError: the database does not exist (MLflow would create an empty one without a word).
    """

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri
        self._client = open_client(tracking_uri)

    def models(self) -> tuple[str, ...]:
        """Return the names of the registered models."""
        with self._translated():
            return tuple(sorted(model.name for model in self._client.search_registered_models()))

    def snapshot(self, model: str) -> ModelSnapshot:
        """Return the versions of a model that should be live: those with a live alias or a tag that wants traffic.

        An alias of a version that does not exist counts as no alias. All tags are of one moment; the aliases may be a
        few milliseconds older.

        Raises:
            RegistryError: the registry cannot be read.
        """
        with self._translated():
            # Aliases first: a promotion ends the split before it moves them, so a reading in between finds the earlier
            # champion alone, and never a new one beside the weights of a split that is over.
            registered = known(self._client.get_registered_model, model)
            if registered is None:
                return ModelSnapshot(model=model, versions=(), registered=False)
            versions = self._entries(model, aliases_of(registered))
        existing = frozenset(entry.version for entry in versions)
        return ModelSnapshot(
            model=model,
            versions=tuple(entry for entry in versions if entry.should_be_live),
            ignored=ignored_aliases(model, aliases_of(registered), existing),
            existing=existing,
            sync_error=(registered.tags or {}).get(SYNC_ERROR_TAG, ""),
        )

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
            return self._entries(model, aliases_of(self._client.get_registered_model(model)))

    def _entries(self, model: str, aliases: dict[str, str]) -> tuple[RegisteredVersion, ...]:
        found = sorted(self._client.search_model_versions(f"name = '{model}'"), key=lambda entry: int(entry.version))
        return tuple(registered_version(entry, aliases) for entry in found)

    def version(self, model: str, version: str) -> RegisteredVersion:
        """Return one version.

        Raises:
            RegistryError: the version does not exist; the message lists the existing ones.
        """
        return _found(self.versions(model), model, version)

    def resolve(self, name: str | VersionName) -> RegisteredVersion:
        """Return the version that `lcgan/2`, `lcgan@champion`, or `lcgan` for its champion names.

        Raises:
            RegistryError: the text has another form, or names a version that does not exist.
        """
        try:
            named = VersionName.parse(name) if isinstance(name, str) else name
        except VersionNameError as fault:
            raise RegistryError(str(fault)) from fault
        if named.version:
            return self.version(named.model, named.version)
        versions = self.versions(named.model)
        for entry in versions:
            if named.alias in entry.aliases:
                return entry
        held = sorted({alias for entry in versions for alias in entry.aliases})
        raise RegistryError(f"{named.model} has no alias {named.alias!r}; its aliases are: {_enumeration(held)}")

    def promote(self, model: str, version: str) -> Move:
        """Make a version the champion, and the current champion `previous`; no training moves it from then on.

        A split of the requests ends with it; shadows stay. Everything is written in an order in which no version that
        is still needed loses its last alias, and no version gets more requests than before or after.

        Raises:
            RegistryError: the model or version does not exist, or the version has no archive.
        """
        versions = self.versions(model)
        chosen = _found(versions, model, version)
        if not (chosen.archive_path and chosen.archive_sha256):
            raise RegistryError(
                f"{chosen.name} has no archive (tags {ARCHIVE_TAG!r} and {ARCHIVE_SHA256_TAG!r}): it cannot be served"
            )
        champion = next((entry for entry in versions if CHAMPION in entry.aliases), None)
        previous = next((entry for entry in versions if PREVIOUS in entry.aliases), None)
        with self._translated():
            # First: a champion counts as a person's unless the tag says otherwise.
            self._client.delete_registered_model_tag(model, TRAINED_CHAMPION_TAG)
        changed = champion is None or champion.version != version
        # The new champion keeps its weight until then, and salts stay while anything is dealt out by them.
        ending = end_of_split(versions)
        late = [change for change in ending if (changed and change.version == version) or change.tag == SALT_TAG]
        self.write_tags(model, [change for change in ending if change not in late])
        was_refused = (
            champion is not None and champion.sync_error and not is_left_behind(champion.sync_error, time.time())
        )
        if champion is not None and changed and not was_refused:
            # A champion that is refused does not answer: the way back is then the one before it, as it was. A gateway
            # on which it did answer, where another host refuses it, makes it the way back itself when it switches.
            self.set_previous(model, champion.version)
            previous = champion
        with self._translated():
            if changed:
                self._client.set_registered_model_alias(model, CHAMPION, version)
            if changed and CHALLENGER in chosen.aliases:
                self._client.delete_registered_model_alias(model, CHALLENGER)
        self.write_tags(model, late)
        return Move(
            model=model,
            champion=version,
            previous=previous.version if previous else None,
            changed=changed,
            unsplit=tuple(dict.fromkeys(change.version for change in ending if change.tag != SALT_TAG)),
        )

    def rollback(self, model: str) -> Move:
        """Swap champion and previous: a second rollback returns to the version that the first one left.

        Raises:
            RegistryError: the model does not exist, or there is no other version to go back to.
        """
        versions = self.versions(model)
        others = _enumeration([entry.version for entry in versions if CHAMPION not in entry.aliases])
        previous = next((entry for entry in versions if PREVIOUS in entry.aliases), None)
        if previous is None:
            raise RegistryError(f"{model} has no previous champion to go back to; promote one of {others}")
        if CHAMPION in previous.aliases:
            raise RegistryError(
                f"champion and previous champion of {model} are both version {previous.version}: there is nothing to "
                f"roll back; promote one of {others}"
            )
        return self.promote(model, previous.version)

    def model_tags(self, model: str) -> Mapping[str, str]:
        """Return the tags of a registered model itself.

        Raises:
            RegistryError: the registry cannot be read or lacks the model.
        """
        with self._translated():
            registered = known(self._client.get_registered_model, model)
        if registered is None:
            raise RegistryError(
                f"model {model!r} is not registered; the registered models are: {_enumeration(self.models())}"
            )
        return dict(registered.tags or {})

    def set_model_tag(self, model: str, tag: str, value: str) -> None:
        """Write a tag of a registered model itself.

        Raises:
            RegistryError: the model does not exist, or the registry cannot be written.
        """
        with self._translated():
            self._client.set_registered_model_tag(model, tag, value)

    def remove_alias(self, model: str, alias: str) -> None:
        """Take an alias off the version that holds it; nothing happens if none does.

        Raises:
            RegistryError: the model does not exist, or the registry cannot be written.
        """
        with self._translated():
            self._client.delete_registered_model_alias(model, alias)

    def set_previous(self, model: str, version: str) -> None:
        """Make a version the one that a rollback returns to.

        Raises:
            RegistryError: the version does not exist, or the registry cannot be written.
        """
        with self._translated():
            self._client.set_registered_model_alias(model, PREVIOUS, version)

    def set_sync_error(self, model: str, version: str, reason: str) -> None:
        """Tag a version with the reason for which it could not be made live; an empty reason removes the tag."""
        self.write_tags(model, [TagChange(version=version, tag=SYNC_ERROR_TAG, value=reason[:4000])])

    def set_drift(self, model: str, version: str, feature: str, text: str) -> None:
        """Tag a version with an alarm of a feature of its traffic; one of the same feature before it is replaced.

        Raises:
            RegistryError: the version does not exist, or the registry cannot be written.
        """
        self.write_tags(model, [TagChange(version=version, tag=f"{DRIFT_TAG_PREFIX}{feature}", value=text[:4000])])

    def set_model_sync_error(self, model: str, reason: str) -> None:
        """Tag a model itself with the reason for which the registry is not followed; an empty one removes the tag."""
        with self._translated():
            if reason:
                self._client.set_registered_model_tag(model, SYNC_ERROR_TAG, reason[:4000])
            else:
                self._client.delete_registered_model_tag(model, SYNC_ERROR_TAG)

    def write_tags(self, model: str, changes: Iterable[TagChange]) -> None:
        """Write and remove tags, one after the other.

        Raises:
            RegistryError: a version does not exist, or the registry cannot be written; the changes before it stay.
        """
        for change in changes:
            with self._translated():
                if change.value:
                    self._client.set_model_version_tag(model, change.version, change.tag, change.value)
                else:
                    self._client.delete_model_version_tag(model, change.version, change.tag)

    def fetch_archive(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download a version's archive into a folder.

        Raises:
            RegistryError: the version has no archive, or it cannot be downloaded.
        """
        if not version.archive_path:
            raise RegistryError(f"{version.name} has no archive: its tag {ARCHIVE_TAG!r} is missing; register it again")
        if not is_relative(version.archive_path):
            raise RegistryError(
                f"{version.name} has the tag {ARCHIVE_TAG!r} {version.archive_path!r}, which leads out of the "
                "artifacts of its run: register it again"
            )
        with self._translated(f"the archive of {version.name} cannot be downloaded"):
            # The folder beside a local database counts, wherever the workspace was when it was written.
            artifacts_uri = self._client.get_run(version.run_id).info.artifact_uri
            place = artifact_path(artifacts_uri, self._uri)
            if place is not None and (place / version.archive_path).is_file():
                return Path(shutil.copy(place / version.archive_path, folder))
            from mlflow.store.artifact import artifact_repository_registry as stores  # noqa: PLC0415 - takes seconds

            # Not by the address runs:/, of which MLflow says that the path may be wrong, whatever the fault is, such as
            # a full disk.
            repository = stores.get_artifact_repository(artifacts_uri, tracking_uri=self._uri)
            return Path(repository.download_artifacts(version.archive_path, dst_path=str(folder)))  # type: ignore[no-untyped-call]  # MLflow leaves it untyped

    def _translated(self, purpose: str = "the registry cannot be used") -> AbstractContextManager[None]:
        return translated(purpose, self._uri)


def _found(versions: tuple[RegisteredVersion, ...], model: str, version: str) -> RegisteredVersion:
    for entry in versions:
        if entry.version == version:
            return entry
    existing = _enumeration([entry.version for entry in versions])
    raise RegistryError(f"{model} has no version {version!r}; its versions are: {existing}")


def _enumeration(values: tuple[str, ...] | list[str]) -> str:
    return ", ".join(values) or "none"
