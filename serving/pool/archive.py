"""Unpacked archives as the pool reads them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

from foundation.archive_members import check_members
from serving.errors import WorkerHostError
from serving.workers.environment import without_secrets

_MANIFEST: Final = Path("MAR-INF", "MANIFEST.json")
_RESPONSE_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFolder:
    """Folder of one version's unpacked archive."""

    folder: Path
    handler: str
    """File name of the handler's module."""
    manifest: Mapping[str, Any]
    config: Mapping[str, Any]
    """Settings of its model-config.yaml."""
    batch_size: int
    """Rows that its handler gets in one call at most."""
    response_timeout_s: float
    """Time after which a worker that has not answered is ended."""

    @classmethod
    def read(cls, source: str, *, model_store: Path, scratch: Path) -> Self:
        """Read the archive that a source names.

        Args:
            source: folder of the unpacked archive, or the archive's name in the model store, which has been checked.
            model_store: folder of the archives.
            scratch: folder in which an archive is unpacked.

        Raises:
            WorkerHostError: it is not an archive whose handler could be loaded.
        """
        folder = Path(source)
        try:
            if not folder.is_absolute():
                folder = scratch / source
                with zipfile.ZipFile(model_store / source) as archive:
                    check_members(archive.infolist())
                    archive.extractall(folder)
            manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
            entry: dict[str, Any] = manifest["model"]
            text = (folder / entry["configFile"]).read_text(encoding="utf-8") if "configFile" in entry else ""
            config: dict[str, Any] = yaml.safe_load(text) or {}
            return cls(
                folder=folder.resolve(),
                handler=str(entry["handler"]),
                manifest=manifest,
                config=config,
                batch_size=max(1, int(config.get("batchSize") or 1)),
                response_timeout_s=float(config.get("responseTimeout") or _RESPONSE_TIMEOUT_S),
            )
        except (OSError, zipfile.BadZipFile, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as cause:
            raise WorkerHostError(
                f"the pool could not load {source} ({type(cause).__name__}: {cause}): register the model again"
            ) from cause


async def compile_code(folder: Path) -> None:
    """Write the bytecode of an archive's code beside it, in a process of its own: this one has requests to answer."""
    compiling = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "compileall", "-q", str(folder)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=without_secrets(os.environ),
        start_new_session=True,
    )
    try:
        await compiling.wait()
    finally:
        if compiling.returncode is None:
            compiling.kill()
            await compiling.wait()
