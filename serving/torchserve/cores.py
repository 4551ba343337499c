"""How many cores there are, and each worker's share of them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from foundation.processors import num_processors

_MOST_WORKERS: Final = 4


def default_workers() -> int:
    """Workers of each live version: one per core, up to four.

    A decode gains little from a second thread (measured: two workers of one thread give 1.9 times the samples of one of
    two), and while one worker starts again the others answer. More than four cost memory, for every live version.
    """
    return min(num_processors(), _MOST_WORKERS)


class CoreShares:
    """Tells the workers of one TorchServe how many threads each may use, as versions come and go.

    Every worker has an equal share, whichever version it serves; those that run take note before their next batch.

    Args:
        file: where workers look (`handlers.worker.options.Threads`).
        workers: of each version.
        cores: to share; all that there are by default.
    """

    def __init__(self, file: Path, *, workers: int, cores: int | None = None) -> None:
        self._file = file
        self._workers = workers
        self._cores = cores or num_processors()
        self._versions: set[tuple[str, str]] = set()

    @property
    def threads(self) -> int:
        """Of one worker: at least 1."""
        return max(1, self._cores // max(1, self._workers * len(self._versions)))

    def add(self, model: str, version: str) -> None:
        """Call it before the version's workers are started."""
        self._versions.add((model, version))
        self._tell()

    def remove(self, model: str, version: str) -> None:
        """Call it when they are gone."""
        self._versions.discard((model, version))
        self._tell()

    def _tell(self) -> None:
        partial = self._file.with_name(f".{self._file.name}")
        with contextlib.suppress(OSError):  # TorchServe has just ended, and its folder with it
            partial.write_text(f"{self.threads}\n")
            partial.replace(self._file)
