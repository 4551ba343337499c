"""Models under evaluation, loaded from a registered version, an archive or a bundle's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.model_versions import URI_PREFIX, VersionName, VersionNameError
from handlers.model.bundle import Bundle, bundle_sha256
from training.cvae.held_out import HeldOutPoint, load_held_out
from training.errors import SettingError, TrackingError
from training.packaging.archive import load_archive
from training.tracking.port import FetchedVersion, Tracker

CVAE_VERSION_TAG: Final = "cvae_version"
"""Tag of a registered lcgan version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """Model that is ready to decode."""

    name: str
    """Model and version, as in the report's rows."""
    uri: str
    bundle: Bundle
    directory: Path
    """Folder of the bundle."""
    sha256: str
    """SHA-256 of the bundle's content."""
    run_id: str = ""
    """Id of the model's run in the tracking server; empty for a model from a file."""
    seconds: float | None = None
    """Duration of the model's run, if it is known."""
    cvae_version: str = ""
    """Version of the cvae whose latent vectors an lcgan moves."""
    held_out: tuple[HeldOutPoint, ...] = ()
    """Held-out scores during training, if the model's folder has them."""

    @property
    def kind(self) -> str:
        """Name of the registered model: cvae or lcgan."""
        return self.bundle.config.model

    @property
    def moves(self) -> bool:
        """Whether a generator moves z."""
        return self.bundle.generator is not None


def load_folder(directory: Path, *, name: str, cvae_version: str = "") -> LoadedModel:
    """Load a bundle's folder under a name.

    Raises:
        BundleError: the folder is not a bundle.
    """
    return LoadedModel(
        name=name,
        uri=str(directory),
        bundle=Bundle.load(directory),
        directory=directory,
        sha256=bundle_sha256(directory),
        cvae_version=cvae_version,
    )


def load_models(uris: Sequence[str], tracker: Tracker, scratch: Path) -> list[LoadedModel]:
    """Load models under distinct names.

    Args:
        uris: `NAME/VERSION`, `NAME@ALIAS` (`models:/` may precede), an archive (.mar), or a bundle's folder.
        tracker: tracker with the registered versions.
        scratch: folder for unpacked files; keep it while the models are used.

    Raises:
        TrackingError: a version cannot be fetched.
        SettingError: a URI is not a model, or a model is given twice.
        BundleError, ArchiveBuildError, CheckpointError: a file is not a model of this project, or is damaged.
    """
    models: list[LoadedModel] = []
    for uri in uris:
        model = _load(uri, tracker, scratch, {each.name for each in models})
        if model.sha256 in {each.sha256 for each in models}:
            raise SettingError(f"{uri} is the same model as an earlier one; give each once")
        models.append(model)
    return models


def names_version(text: str) -> bool:
    """Return whether a text names a registered version; a file or folder of that name comes first.

    >>> names_version("lcgan/2"), names_version("models:/lcgan@champion"), names_version("model_store/lcgan_2.mar")
    (True, True, False)
    """
    if Path(text).exists() and not text.startswith(URI_PREFIX):
        return False
    try:
        VersionName.parse(text)
    except VersionNameError:
        return False
    return True


def _fetched(name: str, tracker: Tracker, place: Path) -> FetchedVersion:
    try:
        return tracker.fetch(VersionName.parse(name).uri, place)
    except TrackingError as cause:
        if name.startswith(URI_PREFIX):
            raise
        raise TrackingError(f"{cause}; no file or folder has the name {name!r} either") from cause


def _load(uri: str, tracker: Tracker, scratch: Path, taken: set[str]) -> LoadedModel:
    place = Path(tempfile.mkdtemp(dir=scratch))
    run_id, seconds, cvae_version, version = "", None, "", ""
    if names_version(uri):
        fetched = _fetched(uri, tracker, place)
        directory, version = fetched.bundle, fetched.version.version
        run_id, seconds, cvae_version = fetched.version.run_id, fetched.seconds, fetched.tags.get(CVAE_VERSION_TAG, "")
        bundle = Bundle.load(directory)
    elif Path(uri).is_file():
        directory = place
        bundle = load_archive(Path(uri), place)
    elif Path(uri).is_dir():
        inner = Path(uri) / "bundle"
        directory = inner if inner.is_dir() else Path(uri)
        bundle = Bundle.load(directory)
    else:
        raise SettingError(
            f"{uri!r} is not a model; give a registered version (cvae/1, lcgan@champion), an archive "
            "(model_store/lcgan_2.mar) or a bundle's folder"
        )
    version = version or bundle.config.version
    # All bundles that were not registered have version 0; their folders distinguish them.
    kind = bundle.config.model
    name = f"{kind}/{version}" if version != "0" else f"{kind} {Path(uri).resolve().name}"
    return LoadedModel(
        name=name if name not in taken else f"{name} ({uri})",
        uri=uri,
        bundle=bundle,
        directory=directory,
        sha256=bundle_sha256(directory),
        run_id=run_id,
        seconds=seconds,
        cvae_version=cvae_version,
        held_out=load_held_out(directory),
    )
