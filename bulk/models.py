"""Models to answer with: registered versions, archives and bundles, checked as serving checks them, then unpacked."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from bulk.errors import ModelError
from foundation.archive_members import check_members
from foundation.hashes import open_sha256
from foundation.model_versions import VersionName, VersionNameError
from foundation.signatures import SIGNATURE_SUFFIX, SignatureError, TrustedKeys
from handlers.contract import ARCHIVE_CONFIG, archive_name
from handlers.model.bundle import FILES, OPTIONAL_FILES, bundle_files, bundle_sha256
from serving.registry.archives import bring_archive
from serving.registry.client import Registry
from serving.registry.contents import read_contents
from serving.registry.trust import Trust
from training.worker_code import WORKER_PACKAGES

_ARCHIVE: Final = ".mar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Model whose bundle is in a folder."""

    name: str
    version: str
    sha256: str
    """SHA-256 of the archive; of a bundle, of its files."""
    folder: Path
    signed_by: str = ""
    """Fingerprint of the key that signed the archive; empty where no keys are trusted."""
    other_code: tuple[str, ...] = ()
    """Modules of the archive's own code that differ from this installation's, which decodes."""

    def files(self) -> dict[str, bytes]:
        """Return the files of the bundle by their names."""
        return {name: (self.folder / name).read_bytes() for name in bundle_files(self.folder)}


def find_model(
    text: str, folder: Path, *, registry: Callable[[], Registry], model_store: Path, trusted_keys: Path | None
) -> Model:
    """Find, check and unpack a model.

    Args:
        text: a registered version (lcgan/2, lcgan@production, lcgan), or the path of an archive or of a bundle.
        folder: empty folder for its bundle.
        registry: opens the registry, where a version is named.
        model_store: folder of archives; that of a version is fetched if it is missing.
        trusted_keys: file of public keys, of which one must have signed the archive; None for any archive.

    Raises:
        ModelError: the text names no model, or the model cannot be used.
        ArchiveError, RegistryError, SecurityError: as when it is served.
    """
    path = Path(text)
    if path.is_dir():
        return _of_bundle(path, trusted_keys)
    if path.suffix == _ARCHIVE or path.is_file():
        return _of_archive(path, folder, trusted_keys)
    try:
        named = VersionName.parse(text)
    except VersionNameError as fault:
        raise ModelError(
            f"{text!r} is neither a version (lcgan/2, lcgan@production) nor an archive or bundle"
        ) from fault
    return _of_registry(named, folder, registry(), model_store, trusted_keys)


def _of_registry(
    named: VersionName, folder: Path, registry: Registry, model_store: Path, trusted_keys: Path | None
) -> Model:
    chosen = registry.resolve(named)
    signer = Trust(trusted_keys).check(chosen)
    bring_archive(
        model_store,
        model=chosen.model,
        version=chosen.version,
        sha256=chosen.archive_sha256,
        fetch=partial(registry.fetch_archive, chosen),
    )
    return _unpacked(
        model_store / archive_name(chosen.model, chosen.version),
        folder,
        signed_by=lambda _name, _sha256: signer,
        expected=chosen.archive_sha256,
    )


def _of_archive(path: Path, folder: Path, trusted_keys: Path | None) -> Model:
    def signed_by(name: str, sha256: str) -> str:
        if trusted_keys is None:
            return ""
        signature = path.with_name(path.name + SIGNATURE_SUFFIX)
        try:
            keys = TrustedKeys.read(trusted_keys)
            return keys.verify(signature.read_text(encoding="utf-8"), name=name, sha256=sha256)
        except (OSError, UnicodeDecodeError) as cause:
            raise ModelError(f"{path} is refused: its signature cannot be read: {cause}") from cause
        except SignatureError as fault:
            raise ModelError(f"{path} is refused: {fault}") from fault

    return _unpacked(path, folder, signed_by=signed_by)


def _unpacked(path: Path, folder: Path, *, signed_by: Callable[[str, str], str], expected: str = "") -> Model:
    """Check an archive and unpack its bundle; what is unpacked is what was hashed, whatever the path names by then."""
    try:
        with path.open("rb") as file:
            sha256 = open_sha256(file)
            if expected and sha256 != expected:
                raise ModelError(f"{path} was changed while it was read; run the same command again")
            name, version = _named(file)
            signer = signed_by(archive_name(name, version), sha256)
            read_contents(file, model=name, version=version, sha256=sha256)
            with zipfile.ZipFile(file) as opened:
                members = set(opened.namelist())
                if missing := sorted(set(FILES) - members):
                    raise ModelError(f"{path} lacks {', '.join(missing)}: it is not an archive of deephypebot")
                for member in (*FILES, *sorted(set(OPTIONAL_FILES) & members)):
                    opened.extract(member, folder)
                other_code = _other_code(opened)
    except OSError as cause:
        raise ModelError(f"{path} cannot be read: {cause.strerror or cause}") from cause
    return Model(name=name, version=version, sha256=sha256, folder=folder, signed_by=signer, other_code=other_code)


def _named(file: BinaryIO) -> tuple[str, str]:
    """Return the model and the version that an archive is of, by its own configuration."""
    try:
        with zipfile.ZipFile(file) as opened:
            check_members(opened.infolist())
            config: dict[str, Any] = json.loads(opened.read(ARCHIVE_CONFIG))
        return str(config["model"]), str(config["version"])
    except Exception as cause:  # whatever a damaged member makes zipfile raise
        raise ModelError(f"{getattr(file, 'name', 'the file')} is not an archive of deephypebot: {cause}") from cause


def _other_code(opened: zipfile.ZipFile) -> tuple[str, ...]:
    """Return the modules of an archive that this installation has in another form, or not at all."""
    found = []
    for package in WORKER_PACKAGES:
        for member in opened.namelist():
            if member.startswith(f"{package.name}/") and member.endswith(".py"):
                ours = package.parent / member
                if not ours.is_file() or ours.read_bytes() != opened.read(member):
                    found.append(member)
    return tuple(sorted(found))


def _of_bundle(path: Path, trusted_keys: Path | None) -> Model:
    if trusted_keys is not None:
        raise ModelError(
            f"{path} is a bundle, which nobody signs, and --trusted-keys asks for a signature: name an archive"
        )
    try:
        config: dict[str, Any] = json.loads((path / ARCHIVE_CONFIG).read_text(encoding="utf-8"))
        name, version, sha256 = str(config["model"]), str(config["version"]), bundle_sha256(path)
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise ModelError(f"{path} is not a bundle: {cause}") from cause
    return Model(name=name, version=version, sha256=sha256, folder=path)
