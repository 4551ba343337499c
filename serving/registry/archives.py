"""Verified download of a version's archive into the model store.

An archive is arbitrary Python that TorchServe runs, so its hash is compared with the registry's before TorchServe loads
it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from foundation.hashes import open_sha256
from foundation.locked_folders import locked_folder
from foundation.signatures import SIGNATURE_SUFFIX
from handlers.contract import archive_name
from serving.errors import ArchiveError
from serving.registry.contents import ArchiveInfo, read_contents

_FETCH_PREFIX: Final = ".fetch-"
_OWN: Final = 0o600
_FILE: Final = 0o666

Fetch = Callable[[Path], Path]
"""Function that downloads an archive into the given folder and returns the path of the file."""


def bring_archive(model_store: Path, *, model: str, version: str, sha256: str, fetch: Fetch) -> ArchiveInfo:
    """Ensure that the model store holds exactly the archive that was registered.

    An archive that is there already is used if its hash is right, and replaced if it is not or cannot be read. A new
    one is checked first and then moved to its name in one step, so an incomplete file is never visible there.

    Args:
        model_store: folder of the archives; created if it does not exist.
        model: name of the registered model.
        version: its version in the registry.
        sha256: the archive's hash as the registry has it.
        fetch: downloads the archive; called only when needed.

    Raises:
        ArchiveError: the downloaded archive is damaged or not the registered one, or it cannot be written.
    """
    path = model_store / archive_name(model, version)
    with _held(path, sha256) as held:
        if held is not None:
            return read_contents(held, model=model, version=version, sha256=sha256)
    try:
        model_store.mkdir(parents=True, exist_ok=True)
        with locked_folder(model_store, _FETCH_PREFIX) as folder:
            fetched = fetch(folder)
            info = inspect_archive(fetched, model=model, version=version, sha256=sha256)
            # No more rights than the folder gives: a copy keeps those that the file had where it came from.
            fetched.chmod(fetched.stat().st_mode & (model_store.stat().st_mode | _OWN) & _FILE)
            fetched.replace(path)
    except OSError as cause:
        free_mb = shutil.disk_usage(model_store).free // 2**20 if model_store.is_dir() else 0
        raise ArchiveError(
            f"{path} cannot be written: {cause} ({free_mb} MB free); make room, or choose another folder with "
            "--model-store"
        ) from cause
    return info


def keep_signature(archive: Path, signature: str) -> None:
    """Write a signature beside its archive, for checks without the registry; without one, remove an earlier one.

    Raises:
        ArchiveError: it cannot be written.
    """
    path = archive.with_name(archive.name + SIGNATURE_SUFFIX)
    try:
        if signature:
            path.write_text(f"{signature}\n", encoding="utf-8")
        else:
            path.unlink(missing_ok=True)
    except OSError as cause:
        raise ArchiveError(f"the signature {path} cannot be written: {cause.strerror}") from cause


def inspect_archive(path: Path, *, model: str, version: str, sha256: str) -> ArchiveInfo:
    """Check an archive against the registry and read its description.

    Raises:
        ArchiveError: its hash, structure, settings or name differ from what is served.
        OSError: the file cannot be read.
    """
    with open_checked(path, model=model, version=version, sha256=sha256) as file:
        return read_contents(file, model=model, version=version, sha256=sha256)


@contextmanager
def open_checked(path: Path, *, model: str, version: str, sha256: str) -> Iterator[BinaryIO]:
    """Open an archive whose hash is that of the registry; what is read from it then is what was hashed.

    Raises:
        ArchiveError: its hash is another one.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        found = open_sha256(file)
        if found != sha256:
            raise ArchiveError(
                f"the archive of {model} {version} has SHA-256 {found[:12]}…, but the registry has {sha256[:12]}…: it "
                f"was damaged or changed after it was registered. Register the model again; if {path.name} was edited "
                "by hand, delete it"
            )
        yield file


@contextmanager
def _held(path: Path, sha256: str) -> Iterator[BinaryIO | None]:
    """Open a file that is there, can be read, and has the hash; None otherwise."""
    with ExitStack() as stack:
        held = None
        with suppress(OSError):
            if path.is_file():
                file = stack.enter_context(path.open("rb"))
                held = file if open_sha256(file) == sha256 else None
        yield held
