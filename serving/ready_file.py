"""Ready file: the addresses of a service for its starter, written again when they change."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)


class ReadyFile:
    """File that exists while a service is ready. Its folder may be full, or gone: the service goes on without it.

    Args:
        path: the file; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._written = ""

    def remove_stale(self) -> None:
        """Remove the file of a service that was killed; that of another service that runs is left."""
        if self._path is not None and not _is_of_another_process(self._path):
            self.remove()

    def write(self, document: Mapping[str, Any]) -> None:
        """Write a document as JSON if it differs from what the file holds. A reader sees the old one or the new one."""
        text = json.dumps(document, indent=2) + "\n"
        if self._path is None or text == self._written:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text)
            temporary.replace(self._path)
        except OSError as fault:
            _log.error("the ready file %s cannot be written (%s); the service goes on", self._path, fault.strerror)
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._written = text

    def remove(self) -> None:
        """Remove the file, if there is one."""
        if self._path is None:
            return
        self._written = ""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as fault:
            _log.error("the ready file %s cannot be removed (%s)", self._path, fault.strerror)


def _is_of_another_process(path: Path) -> bool:
    """Return whether a ready file names a process that runs and is not this one."""
    try:
        pid = json.loads(path.read_text())["pid"]
        if pid == os.getpid():  # in a container every start has the same number
            return False
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return False
    return True
