"""Rows of a table file, one at a time: JSON lines, a JSON array of records or CSV, gzipped or not, or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from training.errors import PostsError

Row = Mapping[str, Any]
Advance = Callable[[int], None]
"""Called with the number of bytes of the file on disk that were read since the last call."""

SUFFIXES: Final = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
"""Suffixes of the formats; all but Parquet may be followed by .gz."""
_CHUNK: Final = 1 << 18
_MAX_FIELD: Final = 1 << 24
"""Maximum characters of a CSV field; the standard library's default of 128 Ki is less than a long page."""


def read_rows(path: Path, *, advance: Advance | None = None) -> Iterator[Row | None]:
    """Yield the rows of a file in order; None stands for a row that cannot be read.

    A JSON file whose first character is "{" is read as a sequence of objects, which some tools call .json.

    Args:
        path: the file; its suffix gives the format (`SUFFIXES`).
        advance: called with progress in bytes.

    Raises:
        PostsError: the file does not exist, is empty, is truncated, or has another format than its suffix says.
    """
    try:
        if path.stat().st_size == 0:
            raise PostsError(f"{path} is empty")
        yield from _reader(path)(path, advance or _ignore)
    except (EOFError, zlib.error, gzip.BadGzipFile) as cause:
        raise PostsError(f"{path} is damaged or truncated: {cause}") from cause
    except UnicodeDecodeError as cause:
        raise PostsError(f"{path} is not UTF-8: {cause}") from cause
    except (pa.ArrowException, csv.Error) as cause:
        raise PostsError(f"{path} cannot be read as {_suffix(path)[1:]}: {cause}") from cause
    except OSError as cause:
        raise PostsError(f"{path} cannot be read: {cause.strerror or cause}") from cause


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix.casefold() if path.suffix.casefold() == ".gz" else path.suffix.casefold()


def _reader(path: Path) -> Callable[[Path, Advance], Iterator[Row | None]]:
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
def _open(path: Path, advance: Advance, *, newline: str | None = None) -> Iterator[IO[str]]:
    with ExitStack() as stack:
        raw = stack.enter_context(path.open("rb"))
        metered = stack.enter_context(io.BufferedReader(_Metered(raw, advance), _CHUNK))
        packed = path.suffix.casefold() == ".gz"
        binary = stack.enter_context(gzip.GzipFile(fileobj=metered, mode="rb")) if packed else metered
        yield stack.enter_context(io.TextIOWrapper(binary, encoding="utf-8-sig", newline=newline))


def _jsonl(path: Path, advance: Advance) -> Iterator[Row | None]:
    with _open(path, advance, newline="\n") as lines:
        for line in lines:
            if line.strip():
                yield _row(line)


def _row(line: str) -> Row | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _json(path: Path, advance: Advance) -> Iterator[Row | None]:
    """Yield the records of an array, decoded one by one so that memory does not hold the whole file."""
    decoder = json.JSONDecoder()
    with _open(path, advance) as file:
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
                    raise PostsError(f"{path} is not valid JSON near the record {buffer[:40]!r}: {cause}") from cause
                complete = False
            if complete:
                yield document if isinstance(document, dict) else None
                buffer = buffer[end:]
            elif ended:
                return
            else:
                # Doubling the buffer keeps the work linear in the size of the longest record.
                more = file.read(max(_CHUNK, len(buffer)))
                ended = not more
                buffer += more


def _csv(path: Path, advance: Advance) -> Iterator[Row | None]:
    csv.field_size_limit(_MAX_FIELD)
    with _open(path, advance, newline="") as file:
        for row in csv.DictReader(file):
            # A row with more or fewer fields than the header lost its commas or its quotes.
            yield None if None in row or None in row.values() else row


def _parquet(path: Path, advance: Advance) -> Iterator[Row | None]:
    with pq.ParquetFile(path) as file:
        size, rows = path.stat().st_size, max(1, file.metadata.num_rows)
        done = reported = 0
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()
            done += batch.num_rows
            advance(size * done // rows - reported)
            reported = size * done // rows
