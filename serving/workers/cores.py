"""Number of workers, and each worker's share of the cores."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from foundation.processors import num_processors

_MOST_WORKERS: Final = 4


def default_workers() -> int:
    """Return the number of workers of each live version: one per core, up to four.

    A decode gains little from a second thread (measured: two workers of one thread give 1.9 times the samples of one of
    two), and while one worker restarts the others answer. More than four cost memory, for every live version.
    """
    return min(num_processors(), _MOST_WORKERS)


class CoreShares:
    """Number of threads for each worker of a host, updated as versions are added and removed.

    Every worker has an equal share, whichever version it serves; running workers read the new share before their next
    batch.

    Args:
        file: file that workers read (`handlers.worker.options.Threads`).
        workers: number of workers of each version.
        cores: number of cores to share; all available ones by default.
    """

    def __init__(self, file: Path, *, workers: int, cores: int | None = None) -> None:
        self._file = file
        self._workers = workers
        self._cores = cores or num_processors()
        self._versions: set[tuple[str, str]] = set()

    @property
    def threads(self) -> int:
        """Number of threads of one worker: at least 1."""
        return max(1, self._cores // max(1, self._workers * len(self._versions)))

    def add(self, model: str, version: str) -> None:
        """Give a version a share; call it before its workers are started."""
        self._versions.add((model, version))
        self._write()

    def remove(self, model: str, version: str) -> None:
        """Take a version's share back; call it when its workers have ended."""
        self._versions.discard((model, version))
        self._write()

    def _write(self) -> None:
        partial = self._file.with_name(f".{self._file.name}")
        with contextlib.suppress(OSError):  # the host has just ended and its folder is removed
            partial.write_text(f"{self.threads}\n")
            partial.replace(self._file)
