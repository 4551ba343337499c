"""Packages that run in a worker; every archive and every registered model contains them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import foundation
import handlers

WORKER_PACKAGES: Final = tuple(Path(str(package.__file__)).parent for package in (handlers, foundation))
"""Folders of `handlers` and of `foundation`, which `handlers` imports."""


def worker_code_sha256() -> str:
    """Hash of the worker's code, in hexadecimal; samples decoded by other code may differ."""
    digest = hashlib.sha256()
    for package in WORKER_PACKAGES:
        for path in sorted(package.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()
