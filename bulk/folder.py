"""Folder of a run: one file of Parquet for each part, and a manifest.

manifest.json          what the parts depend on, and, when all of them are there, their hashes and sums
part-000000.parquet    songs 1 to N of the file, and so on

A part is complete or absent: it is written under another name, flushed to the disk, and renamed. So a run that was
killed is resumed by the files that are there, and a run with other settings, other songs or another model is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bulk.errors import FolderError, PartError
from bulk.writing import SCHEMA, Kind, Part

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
_PARTIAL: Final = ".partial"
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Sums of one part, as the manifest has them."""

    part: int
    file: str
    songs: int
    errors: int
    samples: int
    sha256: str


@dataclass(slots=True)
class RunFolder:
    """Folder of one run, which this process alone writes to.

    Attributes:
        path: the folder.
        plan: everything that the parts depend on.
        kind: kind of machine that computed the parts; None before the first one.
    """

    path: Path
    plan: Mapping[str, Any]
    kind: Kind | None = None

    @classmethod
    @contextmanager
    def opened(cls, path: Path, plan: Mapping[str, Any]) -> Iterator[RunFolder]:
        """Open the folder of a run; it is made if it is not there.

        Raises:
            FolderError: it is in use, cannot be made, or holds something else than parts of this plan.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDONLY)
        except OSError as cause:
            raise FolderError(f"{path} cannot be used: {cause.strerror or cause}") from cause
        try:
            _lock(path, handle)
            yield cls(path, plan, _checked(path, plan))
        finally:
            os.close(handle)

    def find(self, number: int) -> Sums | None:
        """Return the sums of a part that is complete; a damaged one is removed.

        Raises:
            FolderError: the file cannot be read.
        """
        path = self.path / part_name(number)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise FolderError(f"{path} cannot be read: {cause.strerror or cause}") from cause
        try:
            file = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
            table = file.read()
            if table.schema != SCHEMA:
                raise pa.ArrowInvalid("another schema")
        except (pa.ArrowException, OSError):
            path.unlink()
            return None
        samples = pc.sum(pc.list_value_length(table["samples"])).as_py() or 0
        errors = len(table) - table["error"].null_count
        return _sums(number, content, songs=len(table), errors=errors, samples=samples)

    def write(self, number: int, part: Part) -> Sums:
        """Write a part.

        Raises:
            PartError: it was computed on another kind of machine than those before it.
            OSError: it cannot be written.
        """
        self._check_kind(number, part.kind)
        self._write(part_name(number), part.content)
        return _sums(number, part.content, songs=part.songs, errors=part.errors, samples=part.samples)

    def finish(self, parts: list[Sums]) -> None:
        """Write the manifest of a run that is complete."""
        totals = {name: sum(getattr(each, name) for each in parts) for name in ("songs", "errors", "samples")}
        self._write_manifest({**totals, "parts": [asdict(each) for each in parts]})

    def _check_kind(self, number: int, kind: Kind) -> None:
        if self.kind is None:
            self.kind = kind
            self._write_manifest({})
        elif kind != self.kind:
            raise PartError(
                f"part {number} was computed with {_in_words(kind)}, and the parts before it with "
                f"{_in_words(self.kind)}: the last bits of samples depend on that. Use "
                "machines of one kind, with the same extras"
            )

    def _write_manifest(self, result: Mapping[str, Any]) -> None:
        kind = None if self.kind is None else asdict(self.kind)
        document = {"format": FORMAT, **self.plan, "computed_on": kind, "complete": bool(result), **result}
        self._write(MANIFEST, (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode())

    def _write(self, name: str, content: bytes) -> None:
        partial = self.path / f".{name}{_PARTIAL}"
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / name)


def part_name(number: int) -> str:
    """Return the name of a part's file.

    >>> part_name(7)
    'part-000007.parquet'
    """
    return f"part-{number:06d}.parquet"


def _in_words(kind: Kind) -> str:
    return f"{kind.precision} on {kind.processor} ({kind.decoded_by})"


def _lock(path: Path, handle: int) -> None:
    """Lock a folder; the system releases the lock when the process ends, however it ends."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        raise FolderError(f"another run writes to {path}; wait for it, or choose another folder with --out") from cause


def _sums(number: int, content: bytes, *, songs: int, errors: int, samples: int) -> Sums:
    return Sums(
        part=number,
        file=part_name(number),
        songs=songs,
        errors=errors,
        samples=samples,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _checked(path: Path, plan: Mapping[str, Any]) -> Kind | None:
    """Check that a folder is empty or holds parts of this plan; return the kind of machine that computed them."""
    manifest = path / MANIFEST
    if not manifest.is_file():
        if any(not entry.name.endswith(_PARTIAL) for entry in path.iterdir()):
            raise FolderError(f"{path} is not empty and has no {MANIFEST}: choose another folder with --out")
        return None
    try:
        document = json.loads(manifest.read_text(encoding="utf-8"))
        found = {name: document[name] for name in plan}
        kind = None if document["computed_on"] is None else Kind(**document["computed_on"])
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise FolderError(f"{manifest} cannot be read ({cause!r}): choose another folder with --out") from cause
    # Through JSON, as the manifest went: a tuple is a list then.
    if difference := _difference(found, json.loads(json.dumps(plan))):
        raise FolderError(f"{path} holds a run with {difference}: choose another folder with --out, or remove that one")
    for left in path.glob(f".*{_PARTIAL}"):
        left.unlink()
    return kind


def _difference(found: Any, wanted: Any, name: str = "") -> str:
    """Return the first difference of two JSON documents in words; empty if they are equal."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            if difference := _difference(found.get(key), wanted.get(key), f"{name}.{key}".lstrip(".")):
                return difference
        return ""
    return "" if found == wanted else f"{name} {_shown(found)}, and this one has {_shown(wanted)}"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
