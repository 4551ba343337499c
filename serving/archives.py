"""Brings a version's archive into the model store, and lets nothing through that is not what was registered.

An archive is arbitrary Python that TorchServe will run, so its hash is compared with the registry's before TorchServe
hears of it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from handlers.contract import ARCHIVE_CONFIG, archive_name
from serving.errors import ArchiveError

MANIFEST: Final = "MAR-INF/MANIFEST.json"
_HANDLERS: Final = "handlers/contract.py"
_DEFAULT_BATCH_SIZE: Final = 1

Fetch = Callable[[Path], Path]
"""Downloads an archive into the given folder; returns where it lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveInfo:
    """What an archive says about itself."""

    model: str
    version: str
    sha256: str
    topics: tuple[str, ...]
    desired_topic: str
    num_genres: int
    batch_size: int
    """Most requests that its worker takes at once."""


def bring_archive(model_store: Path, *, model: str, version: str, sha256: str, fetch: Fetch) -> ArchiveInfo:
    """Make sure that the model store holds exactly the archive that was registered.

    What is there already is used if it is right, and replaced if it is not. The file appears under its name only after
    it was checked, in one step, so nobody ever sees half of it.

    Args:
        model_store: folder of the archives; made if it is not there.
        model: name of the registered model.
        version: its version in the registry.
        sha256: the archive's hash as the registry has it.
        fetch: downloads the archive; called only when needed.

    Raises:
        ArchiveError: what was fetched is damaged or not what was registered, or it cannot be written.
    """
    path = model_store / archive_name(model, version)
    if path.is_file() and hash_file(path) == sha256:
        return inspect_archive(path, model=model, version=version, sha256=sha256)
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=model_store) as folder:
            fetched = fetch(Path(folder))
            info = inspect_archive(fetched, model=model, version=version, sha256=sha256)
            fetched.replace(path)
    except OSError as cause:
        free_mb = shutil.disk_usage(model_store).free // 2**20 if model_store.is_dir() else 0
        raise ArchiveError(
            f"{path} cannot be written: {cause} ({free_mb} MB free); make room, or choose another folder with "
            "--model-store"
        ) from cause
    return info


def inspect_archive(path: Path, *, model: str, version: str, sha256: str) -> ArchiveInfo:
    """Check an archive against the registry and read what it says about itself.

    Raises:
        ArchiveError: its hash, its structure, or its name is not what the registry says.
    """
    found = hash_file(path)
    if found != sha256:
        raise ArchiveError(
            f"the archive of {model} {version} has SHA-256 {found[:12]}…, the registry says {sha256[:12]}…: it was "
            f"damaged or changed after it was registered. Register the model again; if {path.name} was edited by hand, "
            "delete it"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_info(archive, model=model, version=version, sha256=sha256)
    except (zipfile.BadZipFile, yaml.YAMLError, KeyError, TypeError, ValueError) as cause:
        raise ArchiveError(
            f"the archive of {model} {version} is damaged ({type(cause).__name__}: {cause}): register the model again"
        ) from cause


def hash_file(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_info(archive: zipfile.ZipFile, *, model: str, version: str, sha256: str) -> ArchiveInfo:
    manifest = json.loads(archive.read(MANIFEST))["model"]
    named = (manifest["modelName"], manifest["modelVersion"])
    if named != (model, version):
        raise ArchiveError(f"the archive of {model} {version} calls itself {named[0]} {named[1]}: register it again")
    names = set(archive.namelist())
    for member in (manifest["handler"], _HANDLERS):
        if member not in names:
            raise ArchiveError(f"the archive of {model} {version} lacks {member}: register the model again")
    config = json.loads(archive.read(ARCHIVE_CONFIG))
    serving: dict[str, Any] = yaml.safe_load(archive.read(manifest["configFile"])) if "configFile" in manifest else {}
    return ArchiveInfo(
        model=model,
        version=version,
        sha256=sha256,
        topics=tuple(map(str, config["topics"])),
        desired_topic=str(config["desired_topic"]),
        num_genres=int(config["num_genres"]),
        batch_size=int(serving.get("batchSize", _DEFAULT_BATCH_SIZE)),
    )
