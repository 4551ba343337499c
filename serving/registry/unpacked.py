"""Archives that stay unpacked while a service runs.

TorchServe unpacks an archive below the temporary directory, at each start of its JVM. That takes time, and where a
cleaner removes what is there, no worker of the version ever starts again. But TorchServe takes a folder as well.

A folder has one more use: its configuration may differ from the archive's, which stays as it was registered.
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import zipfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from foundation.locked_folders import locked_folder
from handlers.contract import BATCHES_CONTRACT
from serving.registry.archives import open_checked
from serving.registry.contents import MANIFEST, ArchiveInfo

_log = logging.getLogger(__name__)

_PREFIX: Final = ".unpacked-"
_DIGEST: Final = 16


class Unpacked:
    """Unpacked archives of one service, for the length of a block.

    Args:
        model_store: folder of the archives, in which a folder for the unpacked ones is made.
    """

    def __init__(self, model_store: Path) -> None:
        self._model_store = model_store
        self._folder: Path | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._folder = self._stack.enter_context(locked_folder(self._model_store.resolve(), _PREFIX))
        except OSError as cause:
            _log.warning(
                "archives cannot be kept unpacked in %s (%s): the worker host unpacks them", self._model_store, cause
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder = None
        self._stack.close()

    def folder(self, archive: Path, info: ArchiveInfo) -> Path | None:
        """Return the folder of an unpacked archive, and unpack it at the first call.

        Args:
            archive: the archive, which has been checked.
            info: its description.

        Returns:
            The folder; None where it cannot be unpacked, for which the worker host may have another place.

        Raises:
            ArchiveError: the archive was changed since it was checked.
        """
        if self._folder is None:
            return None
        path = self._path(self._folder, info)
        if path.is_dir():
            return path
        try:
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                unpacked = Path(scratch, "archive")
                # Hashed once more: the file may have been changed since it was checked.
                named = {"model": info.model, "version": info.version, "sha256": info.sha256}
                with open_checked(archive, **named) as file, zipfile.ZipFile(file) as opened:
                    opened.extractall(unpacked)
                _configure(unpacked, info)
                unpacked.rename(path)
        except OSError as cause:
            _log.warning("%s cannot be kept unpacked (%s): the worker host unpacks it", archive.name, cause)
            return None
        return path

    def discard(self, info: ArchiveInfo) -> None:
        """Remove the folder of a version that is not served any more."""
        if self._folder is not None:
            shutil.rmtree(self._path(self._folder, info), ignore_errors=True)

    @staticmethod
    def _path(parent: Path, info: ArchiveInfo) -> Path:
        return parent / f"{info.model}_{info.version}-{info.sha256[:_DIGEST]}"


def forms_batches(info: ArchiveInfo) -> bool:
    """Return whether the gateway forms the batches of a version: its worker has to read them (`handlers.batches`)."""
    return info.contract >= BATCHES_CONTRACT


def _configure(folder: Path, info: ArchiveInfo) -> None:
    """Let TorchServe hand over one call at a time where the gateway forms the batches."""
    manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["model"]
    if not forms_batches(info) or "configFile" not in manifest:
        return
    path = folder / manifest["configFile"]
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    path.write_text(yaml.safe_dump({**document, "batchSize": 1}, sort_keys=False), encoding="utf-8")
