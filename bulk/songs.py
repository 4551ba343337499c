"""Files of songs, read as a stream: Parquet, CSV, and JSON lines, the last two also gzipped.

A row that cannot be read is a row with an error, so that rows keep their numbers and one of them never ends a run.
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from bulk.errors import SongsError

COLUMNS: Final = ("id", "genres", "artist", "title", "seed")
"""Columns that are read; others are left alone."""
_ROWS_AT_ONCE: Final = 1024
_UNREADABLE: Final = (pa.ArrowException, OSError, EOFError, zlib.error)
_MAX_CELL: Final = 1 << 20
"""Characters of a cell of CSV; more than that is a quote that is never closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """One row of a file of songs, with its values as the file has them."""

    row: int
    """Number of the row, from 1; of CSV without its header, and without lines that are empty."""
    values: Mapping[str, Any]
    """Values of `COLUMNS`, None where one is absent or empty."""
    error: str = ""
    """Reason why the row cannot be read; empty if it can."""


def read_songs(path: Path) -> Iterator[Song]:
    """Yield the songs of a file, in order; no more than a row group of Parquet is in memory.

    Raises:
        SongsError: the file cannot be read, has another format, or lacks the column of genres.
    """
    read = _reader(path)
    try:
        found = read(path)
        for row, (values, error) in enumerate(found, 1):
            yield Song(row=row, values=values, error=error)
    except _UNREADABLE as cause:
        raise SongsError(f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}") from cause


def unused_columns(path: Path) -> tuple[str, ...]:
    """Return the columns of a file that are not read, of JSON lines those of the first line.

    Raises:
        SongsError: see `read_songs`.
    """
    try:
        return tuple(name for name in _names(path) if name not in COLUMNS)
    except _UNREADABLE as cause:
        raise SongsError(f"{path} cannot be read: {getattr(cause, 'strerror', None) or cause}") from cause


_Row = tuple[Mapping[str, Any], str]


def _reader(path: Path) -> Callable[[Path], Iterator[_Row]]:
    readers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    found = readers.get(_format(path))
    if found is None:
        raise SongsError(f"{path} must end in .parquet, .csv, .csv.gz, .jsonl or .jsonl.gz, by which it is read")
    return found


def _format(path: Path) -> str:
    name = path.name.lower()
    return Path(name.removesuffix(".gz") if not name.endswith(".parquet.gz") else name).suffix


def _names(path: Path) -> list[str]:
    """Return the names of a file's columns."""
    read = _reader(path)
    if read is _parquet:
        return list(pq.read_schema(path).names)
    if read is _csv:
        with _text(path) as file:
            return _header(path, csv.reader(file))
    with _bytes(path) as file:
        line = next((line for line in file if line.strip()), b"{}")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return []
    return list(document) if isinstance(document, dict) else []


def _parquet(path: Path) -> Iterator[_Row]:
    with pq.ParquetFile(path) as file:
        names = file.schema_arrow.names
        _check_names(path, names)
        columns = [name for name in COLUMNS if name in names]
        for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=columns, use_threads=False):
            yield from _rows_of(batch)


def _rows_of(batch: pa.RecordBatch) -> Iterator[_Row]:
    """Yield the rows of a batch; a value that Python cannot hold, such as a text not in UTF-8, is its row's error."""
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError) as fault:
        if len(batch) == 1:
            yield {}, f"the row cannot be read: {fault}"
            return
        for row in range(len(batch)):
            yield from _rows_of(batch.slice(row, 1))
    else:
        for values in rows:
            yield _plain(values), ""


def _csv(path: Path) -> Iterator[_Row]:
    csv.field_size_limit(_MAX_CELL)
    with _text(path) as file:
        rows = csv.reader(file)
        names = _header(path, rows)
        _check_names(path, names)
        while True:
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as fault:
                yield {}, f"the row is not CSV: {fault}"
                continue
            if cells:
                yield _cells(names, cells)


def _cells(names: list[str], cells: list[str]) -> _Row:
    values = {name: cell for name, cell in zip(names, cells, strict=False) if name in COLUMNS}
    if any("\udc80" <= character <= "\udcff" for cell in values.values() for character in cell):
        return {}, "the row is not UTF-8"
    if len(cells) != len(names):
        return _plain(values), f"the row has {len(cells)} cells, and the header {len(names)}"
    return _plain({"genres": "", **values}, empty_genres=True), ""


def _jsonl(path: Path) -> Iterator[_Row]:
    with _bytes(path) as file:
        for line in file:
            if not line.strip():
                continue
            try:
                document = json.loads(line)
            except (ValueError, RecursionError) as fault:
                yield {}, f"the line is not JSON: {fault}"
                continue
            if not isinstance(document, dict):
                yield {}, f"the line must be a JSON object, got {type(document).__name__}"
                continue
            yield _plain({name: document[name] for name in COLUMNS if name in document}), ""


def _header(path: Path, rows: Iterator[list[str]]) -> list[str]:
    try:
        names = [name.strip() for name in next(rows, [])]
    except csv.Error as fault:
        raise SongsError(f"{path} has a first line that is not CSV: {fault}") from fault
    if twice := sorted({name for name in names if name in COLUMNS and names.count(name) > 1}):
        raise SongsError(f"{path} has the column {twice[0]!r} twice")
    return names


def _check_names(path: Path, names: Iterable[str]) -> None:
    if "genres" not in names:
        raise SongsError(
            f"{path} lacks the column genres; it has {', '.join(map(str, names)) or 'none'}. A song's genres are a "
            "list, or a text with semicolons between them"
        )


def _plain(values: Mapping[str, Any], *, empty_genres: bool = False) -> dict[str, Any]:
    """Return values with None for those that stand for nothing; no genres are a value."""
    return {
        name: None if _is_absent(value) and not (empty_genres and name == "genres") else value
        for name, value in values.items()
    }


def _is_absent(value: object) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _bytes(path: Path) -> BufferedIOBase:
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")


def _text(path: Path) -> TextIO:
    """Open a file of CSV; bytes that are not UTF-8 become surrogates, which mark their row."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")
