"""Rows of a table file, one at a time: JSON lines, a JSON array of records or CSV, gzipped or not, or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import pyarrow as pa
import pyarrow.parquet as pq

from training.corpus.csv_records import csv_records
from training.corpus.encodings import encoding_of, known_encoding
from training.errors import PostsError

Row = Mapping[str, Any]
Advance = Callable[[int], None]
"""Called with the number of bytes of the file on disk that were read since the last call."""

_WRAPPERS: Final = ("data", "records", "rows", "posts", "items", "results")
"""Names under which an object holds the records of a whole file."""
SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
"""Suffixes of the formats; all but Parquet may be followed by .gz."""
_CHUNK: Final = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Way to read a file."""

    path: Path
    advance: Advance
    encoding: str | None
    columns: Collection[str] | None


def read_rows(
    path: Path,
    *,
    advance: Advance | None = None,
    encoding: str | None = None,
    columns: Collection[str] | None = None,
) -> Iterator[Row | None]:
    """Yield the rows of a file in order; None stands for a row that cannot be read.

    A JSON file whose first character is "{" is read as a sequence of objects, which some tools call .json. A byte that
    is not of the encoding becomes a lone surrogate.

    Args:
        path: the file; its suffix gives the format (`SUFFIXES`).
        advance: called with progress in bytes.
        encoding: encoding of a text file; UTF-8 by default, or what its byte order mark says.
        columns: names, as of `column_name`, of the columns that a Parquet file is read for: others may hold values that
            Python cannot express, such as a date in the year 10000. All by default. A file that has none of them gives
            rows without values.

    Raises:
        PostsError: the file does not exist, is empty, is truncated, or has another format than its suffix says, or
            another encoding.
    """
    try:
        if path.stat().st_size == 0:
            raise PostsError(f"{path} is empty")
        known = None if encoding is None else known_encoding(encoding)
        reading = _Reading(path=path, advance=advance or _ignore, encoding=known, columns=columns)
        yield from _reader(path)(reading)
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise PostsError(f"{path} is damaged or truncated: {cause}") from cause
    except UnicodeDecodeError as cause:
        raise PostsError(f"{path} is not {cause.encoding}: {cause}") from cause
    # Values that Arrow holds and Python does not, such as a date in the year 10000, are overflows.
    except (pa.ArrowException, csv.Error, OverflowError) as cause:
        raise PostsError(f"{path} cannot be read as {_suffix(path)[1:]}: {cause}") from cause
    except OSError as cause:
        raise PostsError(f"{path} cannot be read: {cause.strerror or cause}") from cause


def column_name(name: object) -> str:
    """Return the name of a column in one spelling: small letters, and underscores for spaces and hyphens.

    >>> column_name(" Song Title")
    'song_title'
    """
    return "_".join(str(name).casefold().replace("-", " ").split())


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.casefold() if path.suffix.casefold() == ".gz" else path.suffix.casefold()


def _reader(path: Path) -> Callable[[_Reading], Iterator[Row | None]]:
    readers = {".jsonl": _jsonl, ".ndjson": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
    suffix = _suffix(path)
    if suffix not in readers or (suffix == ".parquet" and path.suffix.casefold() == ".gz"):
        raise PostsError(f"{path}: unknown format; the name must end in one of {', '.join(SUFFIXES)} (.gz)")
    return readers[suffix]


def _ignore(_count: int) -> None:
    pass


class _Metered(io.RawIOBase):
    """File that reports the bytes read from it."""

    def __init__(self, raw: io.BufferedReader, advance: Advance) -> None:
        self._raw = raw
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self._raw.readinto(buffer)
        self._advance(count)
        return count


@contextmanager
def _open(reading: _Reading, *, newline: str | None = None) -> Iterator[IO[str]]:
    with ExitStack() as stack:
        raw = stack.enter_context(reading.path.open("rb"))
        binary: io.BufferedReader = stack.enter_context(io.BufferedReader(_Metered(raw, reading.advance), _CHUNK))
        if reading.path.suffix.casefold() == ".gz":
            unpacked = stack.enter_context(gzip.GzipFile(fileobj=binary, mode="rb"))
            binary = stack.enter_context(io.BufferedReader(cast("io.RawIOBase", unpacked), _CHUNK))
        encoding = reading.encoding or encoding_of(reading.path, binary.peek(_CHUNK))
        # A damaged character costs its own row, not the file.
        yield stack.enter_context(
            io.TextIOWrapper(binary, encoding=encoding, errors="surrogateescape", newline=newline)
        )


def _jsonl(reading: _Reading) -> Iterator[Row | None]:
    with _open(reading, newline="\n") as lines:
        for line in lines:
            if line.strip():
                yield _row(line)


def _row(line: str) -> Row | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _json(reading: _Reading) -> Iterator[Row | None]:
    """Yield the records of an array, decoded one by one so that memory does not hold the whole file."""
    decoder = json.JSONDecoder()
    with _open(reading) as file:
        buffer = file.read(_CHUNK).lstrip()
        is_array = buffer.startswith("[")
        buffer = buffer[1:] if is_array else buffer
        ended = False
        while True:
            buffer = buffer.lstrip().removeprefix(",").lstrip() if is_array else buffer.lstrip()
            if is_array and buffer.startswith("]"):
                return
            try:
                document, end = decoder.raw_decode(buffer)
                # A number or a word at the end of the buffer may continue in the next chunk.
                complete = end < len(buffer) or ended
            except ValueError as cause:
                if ended and (buffer or is_array):
                    raise PostsError(
                        f"{reading.path} is not valid JSON near the record {buffer[:40]!r}: {cause}"
                    ) from cause
                complete = False
            if complete:
                yield from _records(document, wrapped=not is_array)
                buffer = buffer[end:]
            elif ended:
                return
            else:
                # Doubling the buffer keeps the work linear in the size of the longest record.
                more = file.read(max(_CHUNK, len(buffer)))
                ended = not more
                buffer += more


def _records(document: Any, *, wrapped: bool) -> list[Row | None]:
    """Return the record that a document is, or the records of `{"data": [...]}` if a file may be wrapped so."""
    if not isinstance(document, dict):
        return [None]
    inner = next((document[name] for name in _WRAPPERS if isinstance(document.get(name), list)), None)
    if not wrapped or inner is None or not all(isinstance(each, dict) for each in inner):
        return [document]
    return list(inner)


def _csv(reading: _Reading) -> Iterator[Row | None]:
    with _open(reading, newline="") as file:
        yield from csv_records(file)


def _parquet(reading: _Reading) -> Iterator[Row | None]:
    with pq.ParquetFile(reading.path) as file:
        names = file.schema_arrow.names
        wanted = names if reading.columns is None else [each for each in names if column_name(each) in reading.columns]
        size, rows = reading.path.stat().st_size, max(1, file.metadata.num_rows)
        done = reported = 0
        for batch in file.iter_batches(batch_size=1024, columns=wanted):
            yield from batch.to_pylist() if wanted else (dict.fromkeys(names) for _ in range(batch.num_rows))
            done += batch.num_rows
            reading.advance(size * done // rows - reported)
            reported = size * done // rows
