"""A look at whether the database can be written, without waiting for a writer."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

_LEAST_FREE = 128 * 1024
"""Bytes that the disk must have: a small write may still fit where those of a pass do not."""
_BUSY_S = 0.5
_KEY = "write check"


def write_problem(path: Path) -> str:
    """Return the reason why the database cannot be written; empty if it can, or if another process is writing."""
    try:
        disk = os.statvfs(path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < _LEAST_FREE:
            return f"the disk of {path} is full: {free} bytes are left"
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S)
        with closing(connection), connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO note VALUES (?, '', datetime('now'))", (_KEY,))
    except sqlite3.OperationalError as error:
        return "" if "locked" in str(error) else f"{path} cannot be written: {error}"
    except (OSError, sqlite3.Error) as error:
        return f"{path} cannot be written: {error}"
    return ""
