"""TorchServe archive of a registered version, built by torch-model-archiver.

lcgan_2.mar
    MAR-INF/MANIFEST.json   modelName, modelVersion, handler
    model-config.yaml       batching, workers
    handler.py              the entry that TorchServe loads: handlers/handler.py, copied
    handlers/               the package that it imports, as it was when the version was built
    config.json, weights.safetensors, vocabulary.json, genres.json, topic_words.json, model_card.md,
    acceptability.json, reference.json and served_value.safetensors where the bundle has them
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import handlers
from foundation.archive_members import ArchiveMembersError, check_members
from foundation.hashes import file_sha256
from handlers.contract import ARCHIVE_CONFIG, CONTRACT, CONTRACT_FIELD, archive_name
from handlers.model.bundle import FILES, OPTIONAL_FILES, Bundle, BundleConfig, bundle_files
from training.errors import ArchiveBuildError
from training.files import atomic_path
from training.worker_code import WORKER_PACKAGES

_HANDLERS: Final = Path(handlers.__file__).parent
_MODEL_CONFIG: Final = "model-config.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSettings:
    """Batching of TorchServe for this model."""

    batch_size: int = 64
    """Maximum requests of a batch. 32 gave a tenth fewer samples per second: towards the end of a batch slots are
    empty, so a larger batch pays."""
    max_batch_delay_ms: int = 2
    """Maximum time a batch waits to fill; TorchServe reads 0 as 100. Under load requests wait in the queue anyway:
    5 or 10 ms did not give more samples per second (docs/measurements/serving-performance.md)."""
    response_timeout_s: int = 60
    """Time after which TorchServe restarts a worker that has not answered."""

    def to_yaml(self) -> str:
        """Return the text of model-config.yaml, without the number of workers, which is a setting of serving."""
        return (
            f"batchSize: {self.batch_size}\nmaxBatchDelay: {self.max_batch_delay_ms}\n"
            f"responseTimeout: {self.response_timeout_s}\n"
            # 0: a worker's share of the cores, which is set when the workers are started.
            "handler:\n  threads: 0\n"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Built archive."""

    path: Path
    sha256: str


def build_archive(bundle: Path, out: Path, *, version: str, batching: BatchSettings | None = None) -> Archive:
    """Pack a bundle's folder as an archive of a registered version; the file appears complete or not at all.

    Raises:
        BundleError: the folder is not a bundle.
        ArchiveBuildError: torch-model-archiver failed, or what it built lacks a part.
        OutputError: the folder `out` cannot be written to.
    """
    config = Bundle.load(bundle).config
    with tempfile.TemporaryDirectory(prefix="deephypebot-archive-") as scratch:
        stage = Path(scratch) / "stage"
        _stage(bundle, stage, config, version, batching or BatchSettings())
        built = _run_archiver(config.model, version, stage, Path(scratch))
        _check(built)
        target = out / archive_name(config.model, version)
        with atomic_path(target) as partial:
            shutil.copyfile(built, partial)
        return Archive(path=target, sha256=file_sha256(target))


def load_archive(archive: Path, directory: Path) -> Bundle:
    """Unpack an archive's model into a folder and read it, without running code of the archive.

    Raises:
        ArchiveBuildError: the file is not an archive of this project, or is damaged.
        BundleError: the archive's files are not a valid model.
    """
    _check(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            for name in (*FILES, *(set(OPTIONAL_FILES) & set(opened.namelist()))):
                opened.extract(name, directory)
    except (zipfile.BadZipFile, zlib.error, EOFError) as cause:
        raise ArchiveBuildError(f"{archive} is damaged: {cause}") from cause
    return Bundle.load(directory)


def _stage(bundle: Path, stage: Path, config: BundleConfig, version: str, batching: BatchSettings) -> None:
    """Lay out the files beside the handler: --extra-files packs the content of a folder, with its subfolders."""
    stage.mkdir()
    for name in bundle_files(bundle):
        shutil.copyfile(bundle / name, stage / name)
    document = {**json.loads(config.to_json()), "version": version, CONTRACT_FIELD: CONTRACT}
    (stage / ARCHIVE_CONFIG).write_text(
        json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    for package in WORKER_PACKAGES:
        shutil.copytree(package, stage / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    (stage.parent / _MODEL_CONFIG).write_text(batching.to_yaml())


def _run_archiver(model: str, version: str, stage: Path, scratch: Path) -> Path:
    command = [
        sys.executable, "-m", "model_archiver.model_packaging",
        "--model-name", model,
        "--version", version,
        "--handler", str(_HANDLERS / "handler.py"),
        "--extra-files", str(stage),
        "--config-file", str(scratch / _MODEL_CONFIG),
        "--export-path", str(scratch),
    ]  # fmt: skip
    # The archiver first deletes <temporary folder>/<model name>, so a build in parallel needs a folder of its own.
    private = scratch / "tmp"
    private.mkdir()
    done = subprocess.run(  # noqa: S603 - our own arguments, no shell
        command, env={**os.environ, "TMPDIR": str(private)}, capture_output=True, text=True, check=False
    )
    built = scratch / f"{model}.mar"
    if done.returncode != 0 or not built.exists():
        raise ArchiveBuildError(f"torch-model-archiver failed on {model} {version}: {done.stderr.strip()[-500:]}")
    return built


def _check(archive: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as opened:
            check_members(opened.infolist())
            names = set(opened.namelist())
    except ArchiveMembersError as fault:
        raise ArchiveBuildError(f"{archive} {fault}") from fault
    except (zipfile.BadZipFile, OSError) as cause:
        raise ArchiveBuildError(f"{archive} is not an archive: {cause}") from cause
    needed = {*FILES, "MAR-INF/MANIFEST.json", "handler.py", "handlers/__init__.py", _MODEL_CONFIG}
    if missing := sorted(needed - names):
        raise ArchiveBuildError(f"{archive} lacks {', '.join(missing)}")
