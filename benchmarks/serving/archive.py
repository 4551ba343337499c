"""Archive of the measured model: packed on demand, configured for TorchServe, unpacked for the other servers."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.serving.errors import BenchError
from benchmarks.serving.plan import Serving
from benchmarks.serving.processes import Place, running
from foundation.archive_members import check_members
from foundation.processors import num_processors
from handlers.contract import ARCHIVE_CONFIG, archive_name
from serving.registry.contents import MANIFEST
from serving.workers.cores import default_workers

_MODEL_CONFIG: Final = "model-config.yaml"
_PACKING_S: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """An archive (.mar) and its own description."""

    path: Path
    model: str
    version: str
    batch_size: int
    delay_ms: int


def serving_of(
    archive: Archive, *, workers: int = 0, threads: int = 0, batch_size: int = 0, delay_ms: int = 0
) -> Serving:
    """Return the requested settings, with the defaults of `serve` and of the archive for those that are 0."""
    number = workers or default_workers()
    return Serving(
        workers=number,
        threads=threads or max(1, num_processors() // number),
        batch_size=batch_size or archive.batch_size,
        delay_ms=delay_ms or archive.delay_ms,
    )


def bring_archive(source: Path | None, preset: str, folder: Path) -> Archive:
    """Return the archive to measure: the given file, or one packed from a bundle's folder or from random weights.

    Raises:
        BenchError: the file does not exist, or is not an archive of deephypebot.
        ServerError: the bundle cannot be packed.
    """
    if source is not None and source.is_file():
        return read_archive(source)
    if source is not None and not source.is_dir():
        raise BenchError(f"{source} is neither an archive (.mar) nor a bundle's folder")
    packed = folder / "packed"
    packed.mkdir()
    done = packed / "done.json"
    settings = {
        "bundle": str(source.absolute()) if source else "",
        "preset": preset,
        "out": str(packed),
        "done": str(done),
    }
    # The installed code is packed, so no other code may precede it on the path.
    with running("model", json.dumps(settings), Place(folder=folder, model=folder, threads=1)) as program:
        program.wait_for(done, _PACKING_S)
    return read_archive(next(packed.glob("*.mar")))


def read_archive(path: Path) -> Archive:
    """Read the description of an archive.

    Raises:
        BenchError: it is damaged, or not an archive of deephypebot.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            check_members(opened.infolist())
            config: dict[str, Any] = json.loads(opened.read(ARCHIVE_CONFIG))
            serving: dict[str, Any] = yaml.safe_load(opened.read(_MODEL_CONFIG))
        return Archive(
            path=path,
            model=config["model"],
            version=config["version"],
            batch_size=int(serving["batchSize"]),
            delay_ms=int(serving["maxBatchDelay"]),
        )
    except (OSError, zipfile.BadZipFile, ValueError, KeyError, TypeError, yaml.YAMLError) as cause:
        raise BenchError(f"{path} is not an archive of a model: {cause!r}") from cause


def set_serving(archive: Archive, serving: Serving, store: Path) -> Path:
    """Copy the archive to a model store with other settings in its model-config.yaml, and return the path."""
    store.mkdir(parents=True, exist_ok=True)
    target = store / archive.path.name
    with zipfile.ZipFile(archive.path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            content = old.read(member)
            new.writestr(member, _set(content, serving) if member.filename == _MODEL_CONFIG else content)
    return target


def as_version(archive: Archive, version: str, folder: Path) -> Path:
    """Copy the archive under the number of another version, and return the path."""
    target = folder / archive_name(archive.model, version)
    with zipfile.ZipFile(archive.path) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == ARCHIVE_CONFIG:
                content = json.dumps({**json.loads(content), "version": version}).encode()
            elif member.filename == MANIFEST:
                manifest = json.loads(content)
                manifest["model"]["modelVersion"] = version
                content = json.dumps(manifest).encode()
            new.writestr(member, content)
    return target


def unpack(archive: Archive, folder: Path) -> Path:
    """Extract the archive to a folder: the model and the handlers package, which all servers use."""
    with zipfile.ZipFile(archive.path) as opened:
        opened.extractall(folder)
    return folder


def _set(content: bytes, serving: Serving) -> str:
    document: dict[str, Any] = yaml.safe_load(content)
    document |= {
        "batchSize": serving.batch_size,
        "maxBatchDelay": serving.delay_ms,
        "minWorkers": serving.workers,
        "maxWorkers": serving.workers,
    }
    document["handler"] = {**(document.get("handler") or {}), "threads": serving.threads}
    return yaml.safe_dump(document, sort_keys=False)
