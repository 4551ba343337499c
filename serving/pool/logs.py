"""Log of the workers: what they write to standard output and standard error, in one file of limited size."""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import Thread
from typing import Any, Final

from typing_extensions import override

WORKERS_LOG: Final = "workers.log"
_MAX_BYTES: Final = 5 * 2**20
_BACKUPS: Final = 2
_CHUNK: Final = 2**16


class _File(RotatingFileHandler):
    @override
    def handleError(self, record: logging.LogRecord) -> None:
        """Lose the line: a full disk must not end what serves."""

    @override
    def close(self) -> None:
        stream: Any = self.stream
        try:
            super().close()
        except OSError:  # what is left cannot be written
            stream.buffer.raw.close()


class WorkersLog:
    """Writer of the log.

    Args:
        folder: folder of the file.
    """

    def __init__(self, folder: Path) -> None:
        self._file = _File(folder / WORKERS_LOG, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, encoding="utf-8")
        self._is_closed = False
        self._file.setFormatter(logging.Formatter("%(asctime)s %(name)s - %(message)s"))

    def follow(self, descriptor: int, worker: str) -> None:
        """Write what comes out of a pipe, until it ends, in a thread of its own; the pipe is closed then.

        Args:
            descriptor: reading end of the pipe.
            worker: name of the worker, for each line.
        """

        def copy() -> None:
            rest = b""
            with os.fdopen(descriptor, "rb", buffering=0) as pipe:
                while chunk := pipe.read(_CHUNK):
                    *lines, rest = (rest + chunk).split(b"\n")
                    if len(rest) >= _CHUNK:  # a line without an end
                        lines, rest = [*lines, rest], b""
                    for line in lines:
                        self._write(worker, line)
            if rest:
                self._write(worker, rest)

        Thread(target=copy, name=f"log of {worker}", daemon=True).start()

    def close(self) -> None:
        """Close the file; lines that come later are lost."""
        self._is_closed = True
        self._file.close()

    def _write(self, worker: str, line: bytes) -> None:
        if self._is_closed:
            return
        text = line.decode(errors="replace")
        self._file.handle(logging.LogRecord(worker, logging.INFO, "", 0, text, None, None))
