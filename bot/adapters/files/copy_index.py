"""Index of the training text: hashes of all its runs of words in a SQLite file, however long the text is."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import re
import sqlite3
import threading
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Self, cast

from typing_extensions import override

from bot.domain.errors import InputError, StoreError
from bot.ports import Copies
from foundation.text_ngrams import COPY_SIZE, runs, words

_MIN_WORDS = 4
"""Minimum number of words of a short sentence that counts as a run; shorter ones are common."""
_PLACEHOLDER = re.compile(r"<\w+>")
_BATCH = 50_000
_MAX_LINE = 100_000
_FORMAT = 2

Progress = Callable[[int], None]
"""Called with the number of bytes read so far."""


class CopyIndex(Copies):
    """Read-only index that threads share, a call at a time.

    Args:
        path: a file that `open_index` made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        # Not `immutable`: a second bot may replace the index by a newer one.
        self._connection = sqlite3.connect(path.absolute().as_uri() + "?mode=ro", uri=True, check_same_thread=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @override
    def holds(self, text: str) -> bool:
        keys = list(_keys(text.strip()))
        try:
            with self._lock:
                return any(
                    self._connection.execute(
                        f"SELECT 1 FROM run WHERE key IN ({','.join('?' * len(batch))}) LIMIT 1",  # noqa: S608 -- marks
                        batch,
                    ).fetchone()
                    for batch in _batches(iter(keys), 500)
                )
        except sqlite3.Error as cause:
            raise StoreError(f"the index of training text {self._path} cannot be used: {cause}; remove it") from cause


def open_index(sentences: Path, index: Path, *, progress: Progress = lambda _: None) -> CopyIndex:
    """Open the index of a file of sentences; it is rebuilt if the file has changed since.

    Args:
        sentences: text, a sentence a line; gzipped when the name ends in ".gz".
        index: file of the index.
        progress: called with the progress of a rebuild.

    Raises:
        InputError: the sentences cannot be read, or there are none.
        StoreError: the index cannot be written.
    """
    try:
        facts = sentences.stat()
    except OSError as cause:
        raise InputError(f"the training text {sentences} cannot be read: {cause.strerror}") from cause
    source = f"{_FORMAT}:{COPY_SIZE}:{_MIN_WORDS}:{sentences.absolute()}:{facts.st_size}:{facts.st_mtime_ns}"
    if _source_of(index) != source:
        _make(sentences, index, source, progress)
    return CopyIndex(index)


def _source_of(index: Path) -> str | None:
    """Description of the file that an index was built from; None if there is no valid index."""
    if not index.is_file():
        return None
    try:
        with closing(sqlite3.connect(index.absolute().as_uri() + "?mode=ro", uri=True)) as connection:
            row = connection.execute("SELECT source FROM made_of").fetchone()
    except sqlite3.Error:
        return None
    return str(row[0]) if row is not None else None


def _make(sentences: Path, index: Path, source: str, progress: Progress) -> None:
    partial = index.with_name(f"{index.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        index.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(partial, isolation_level=None)) as connection:
            # An interrupted build is repeated from the start, so nothing needs to be durable before the end.
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000;")
            connection.execute("CREATE TABLE run (key INTEGER PRIMARY KEY) WITHOUT ROWID")
            connection.execute("CREATE TABLE made_of (source TEXT NOT NULL)")
            count = sum(_add(connection, batch) for batch in _batches(_all_keys(sentences, progress), _BATCH))
            connection.execute("INSERT INTO made_of VALUES (?)", (source,))
        if not count:
            raise InputError(f"the training text {sentences} has no run of {COPY_SIZE} words")
        partial.replace(index)
    except (OSError, sqlite3.Error) as cause:
        raise StoreError(f"the index of training text {index} cannot be written: {cause}") from cause
    finally:
        # If even that is impossible, the error above says why.
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def _add(connection: sqlite3.Connection, keys: tuple[int, ...]) -> int:
    connection.execute("BEGIN")
    # Sorted, so that a batch traverses the tree once.
    connection.executemany("INSERT OR IGNORE INTO run VALUES (?)", ((key,) for key in sorted(set(keys))))
    connection.execute("COMMIT")
    return len(keys)


def _all_keys(sentences: Path, progress: Progress) -> Iterator[int]:
    try:
        with sentences.open("rb") as raw:
            # The gzip reader behaves like a binary file but has another type; it does not close `raw`.
            file = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if sentences.suffix == ".gz" else raw
            while line := file.readline(_MAX_LINE):
                yield from _keys(line.decode("utf-8", "replace").strip())
                progress(raw.tell())
    except (OSError, EOFError, zlib.error) as cause:
        raise InputError(f"the training text {sentences} cannot be read: {cause}") from cause


def _batches(keys: Iterator[int], size: int) -> Iterator[tuple[int, ...]]:
    while batch := tuple(itertools.islice(keys, size)):
        yield batch


def _keys(text: str) -> Iterator[int]:
    """Hashes of the runs of a sentence, or of all of a short one; no run contains a placeholder."""
    for part in _PLACEHOLDER.split(text):
        # A curator may paste text of any form into an edit.
        found = words(unicodedata.normalize("NFKC", part))
        if _MIN_WORDS <= len(found) < COPY_SIZE and part == text:
            yield _hash(found)
        for run in runs(found):
            yield _hash(run)


def _hash(run: Sequence[str]) -> int:
    digest = hashlib.blake2b(" ".join(run).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
