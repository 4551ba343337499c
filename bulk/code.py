"""Hash of the code that decides the bytes of a part."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Final

from training.worker_code import worker_code_sha256

_MODULES: Final = ("asking.py", "songs.py", "writing.py")
"""Modules of this package that decide the bytes."""
_LIBRARIES: Final = ("numpy", "pyarrow", "torch", "numba", "llvmlite")
"""Libraries whose release may change the bytes."""


def libraries() -> dict[str, str]:
    """Return the releases of the libraries that decide the bytes of a part; empty for one that is not installed."""
    return {name: _release(name) for name in _LIBRARIES}


def _release(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def code_sha256() -> str:
    """Return the SHA-256 of the worker's code, of the modules here, and of the releases of the libraries."""
    digest = hashlib.sha256(worker_code_sha256().encode())
    for module in _MODULES:
        digest.update(Path(__file__).with_name(module).read_bytes())
    digest.update(repr(sorted(libraries().items())).encode())
    return digest.hexdigest()
