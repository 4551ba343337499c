"""The models under evaluation, from wherever they are: a registered version, an archive, a bundle's folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from handlers.model.bundle import Bundle, bundle_sha256
from training.cvae.held_out import HeldOutPoint, load_held_out
from training.errors import SettingError
from training.packaging.archive import load_archive
from training.tracking.port import Tracker

_REGISTERED: Final = "models:/"
# What the pipeline tags a version with; an archive or a folder tells by its configuration.
_CVAE_VERSION: Final = "cvae_version"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model, ready to decode."""

    name: str
    """As the report's rows have it: model and version."""
    uri: str
    bundle: Bundle
    directory: Path
    """The bundle's folder."""
    sha256: str
    """Of what the bundle says."""
    run_id: str = ""
    """Its run in the tracking server; empty for a model from a file."""
    seconds: float | None = None
    """How long its run took."""
    cvae_version: str = ""
    """The cvae version that an lcgan moves."""
    held_out: tuple[HeldOutPoint, ...] = ()
    """How good it was while it was trained, where its folder says."""

    @property
    def kind(self) -> str:
        """The registered model's name: cvae, lcgan."""
        return self.bundle.config.model

    @property
    def moves(self) -> bool:
        """Whether a generator moves z."""
        return self.bundle.generator is not None


def load_models(uris: Sequence[str], tracker: Tracker, scratch: Path) -> list[LoadedModel]:
    """Load models, each under a name of its own.

    Args:
        uris: `models:/NAME/VERSION`, `models:/NAME@ALIAS`, an archive (.mar), or a bundle's folder.
        tracker: where registered versions are.
        scratch: folder for what has to be unpacked; keep it while the models are used.

    Raises:
        TrackingError: a version cannot be fetched.
        SettingError: a path leads to no model.
        BundleError, ArchiveBuildError, CheckpointError: a file is no model of ours, or a damaged one.
    """
    models: list[LoadedModel] = []
    for uri in uris:
        model = _load(uri, tracker, scratch, {each.name for each in models})
        if model.sha256 in {each.sha256 for each in models}:
            raise SettingError(f"{uri} is a model that was given already; give each once")
        models.append(model)
    return models


def _load(uri: str, tracker: Tracker, scratch: Path, taken: set[str]) -> LoadedModel:
    place = Path(tempfile.mkdtemp(dir=scratch))
    run_id, seconds, cvae_version, version = "", None, "", ""
    if uri.startswith(_REGISTERED):
        fetched = tracker.fetch(uri, place)
        directory, version = fetched.bundle, fetched.version.version
        run_id, seconds, cvae_version = fetched.version.run_id, fetched.seconds, fetched.tags.get(_CVAE_VERSION, "")
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
            f"{uri} is no model: give a registered version (models:/cvae/1, models:/lcgan@champion), an archive "
            "(model_store/lcgan_2.mar) or a bundle's folder"
        )
    version = version or bundle.config.version
    # A bundle that was never registered has version 0, whatever its training: its folder tells it apart.
    name = f"{bundle.config.model} {version if version != '0' else Path(uri).resolve().name}"
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
