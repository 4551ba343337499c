"""Files and folders that are either whole or absent."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.errors import OutputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside the file's to write to; it takes the file's place when the block ends well, else it is removed.

    Raises:
        OutputError: the folder cannot be written to, or the disk is full.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Not mkstemp: the file should have the permissions that any file of its writer's has.
        partial = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """A temporary sibling folder that takes the folder's place when the block ends well, else it is removed.

    Until the new folder is whole and in its place, the old one is kept.

    Raises:
        OutputError: the parent folder cannot be written to, or the disk is full.
    """
    with _explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        try:
            yield partial
            partial.chmod(0o755)
            _exchange(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _exchange(new: Path, path: Path) -> None:
    """Put a folder in the place of another, which is removed last, and put back if anything comes between."""
    holder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    aside = holder / path.name
    try:
        if path.exists():
            path.replace(aside)
        new.replace(path)
    finally:
        if aside.exists() and not path.exists():
            aside.replace(path)
        shutil.rmtree(holder, ignore_errors=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise OutputError(f"{path} cannot be written: {cause.strerror or cause}") from cause


def make_folder(path: Path) -> Path:
    """Make a folder with those above it, if it is not there.

    Raises:
        OutputError: it cannot be made.
    """
    with _explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def write_json(path: Path, document: Any) -> None:
    """Write a JSON file, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))
