"""Hashes of files."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return open_sha256(file)


def open_sha256(file: BinaryIO) -> str:
    """Return the SHA-256 of an open file, in hexadecimal, and go back to its beginning.

    Who reads on from the same open file reads what was hashed, whatever stands under its name by then.

    Raises:
        OSError: the file cannot be read.
    """
    file.seek(0)
    found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    return found
