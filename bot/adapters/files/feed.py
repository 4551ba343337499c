"""A feed in a file: JSON lines of {"id", "text", "author", "created_at"} that somebody appends to.

The cursor is a byte offset, with enough of a fingerprint of what lies before it to notice that the file is no longer
the one that was read. Then it is read from the beginning: posts are known by their ids, so none is handled twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from typing_extensions import override

from bot.domain.errors import FeedError
from bot.domain.odd_items import OddItem
from bot.domain.source_posts import SourcePost
from bot.ports import FeedPage, Source
from handlers.contract import MAX_TEXT_LENGTH

MAX_LINE = 1 << 20
"""Maximum size of a row in bytes."""
_FINGERPRINT = 4096
_EXCERPT = 120
_SHAPE = 'a feed has one JSON object a line: {"id": "1", "text": "...", "author": "...", "created_at": "..."}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cursor:
    offset: int = 0
    line: int = 0
    """Number of lines before the offset."""
    head: str = ""
    """Hash of the first bytes that were read."""
    tail: str = ""
    """Hash of the last bytes that were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    line: int
    data: bytes
    end: int
    """Offset of the byte after the row."""
    ended: bool
    """Whether the row ends in a newline."""
    too_long: bool = False


class FileFeed(Source):
    """Source that reads a growing file of JSON lines, page by page.

    Args:
        path: the file; it need not exist before the first `read`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    @override
    def name(self) -> str:
        """The file's absolute path."""
        return f"file:{self._path.resolve()}"

    @override
    def describe(self, cursor: str) -> str:
        return describe_cursor(cursor)

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        """Read a page. A last line that is still being written is left for the next page.

        Raises:
            FeedError: the file is missing or unreadable, or no row of its first page has the right form.
        """
        try:
            with self._path.open("rb") as file:
                start, notice = self._resume(file, cursor)
                return self._read_page(file, start, notice, limit)
        except OSError as cause:
            reason = "does not exist" if isinstance(cause, FileNotFoundError) else f"cannot be read: {cause.strerror}"
            raise FeedError(f"the feed {self._path} {reason}; give another one with --feed") from cause

    def _resume(self, file: BinaryIO, cursor: str | None) -> tuple[_Cursor, str]:
        if cursor is None:
            empty = file.seek(0, 2) == 0
            return _Cursor(), f"the feed {self._path} is empty; {_SHAPE}" if empty else ""
        start = _load_cursor(cursor)
        if file.seek(0, 2) < start.offset:
            return _Cursor(), f"the feed {self._path} is shorter than it was: reading it from the beginning"
        if _fingerprints(file, start.offset) != (start.head, start.tail):
            return _Cursor(), f"the feed {self._path} was replaced: reading it from the beginning"
        return start, ""

    def _read_page(self, file: BinaryIO, start: _Cursor, notice: str, limit: int) -> FeedPage:
        source_posts: list[SourcePost] = []
        odd_items: list[OddItem] = []
        offset, line, more = start.offset, start.line, False
        wrong_columns = ""
        for row in _rows(file, start):
            if len(source_posts) + len(odd_items) == limit:
                more = True
                break
            try:
                source_post = _parse_row(row)
            except _BadRowError as bad:
                if not row.ended:
                    break  # the rest of this row is still being written
                odd_items.append(OddItem(key=f"line {row.line}", reason=str(bad), excerpt=_excerpt(row.data)))
                wrong_columns = wrong_columns or (str(bad) if bad.wrong_columns else "")
            else:
                if source_post is not None:
                    source_posts.append(source_post)
            offset, line = row.end, row.line - (not row.ended)
        if start.offset == 0 and not source_posts and wrong_columns:
            raise FeedError(f"{self._path}, {odd_items[0].key}: {wrong_columns}; {_SHAPE}")
        head, tail = _fingerprints(file, offset)
        cursor = json.dumps(asdict(_Cursor(offset=offset, line=line, head=head, tail=tail)))
        return FeedPage(
            source_posts=tuple(source_posts), odd_items=tuple(odd_items), cursor=cursor, more=more, notice=notice
        )


class _BadRowError(Exception):
    def __init__(self, reason: str, *, wrong_columns: bool = False) -> None:
        super().__init__(reason)
        self.wrong_columns = wrong_columns


def _rows(file: BinaryIO, start: _Cursor) -> Iterator[_Row]:
    """Lines behind the cursor, each of bounded size."""
    file.seek(start.offset)
    end, line = start.offset, start.line
    while data := file.readline(MAX_LINE):
        end, line = end + len(data), line + 1
        too_long = len(data) == MAX_LINE and not data.endswith(b"\n")
        rest = data
        while too_long and not rest.endswith(b"\n") and (rest := file.readline(MAX_LINE)):
            end += len(rest)
        yield _Row(line=line, data=data, end=end, ended=rest.endswith(b"\n"), too_long=too_long)


def _parse_row(row: _Row) -> SourcePost | None:
    """The source post of a row; None for a blank row."""
    if row.too_long:
        raise _BadRowError(f"longer than {MAX_LINE} bytes")
    # Some editors put a byte-order mark before the first line.
    text = row.data.removeprefix(b"\xef\xbb\xbf") if row.line == 1 else row.data
    if not text.strip():
        return None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise _BadRowError(f"not valid JSON: {cause}") from cause
    if not isinstance(document, dict):
        raise _BadRowError(f"must be a JSON object, got {type(document).__name__}", wrong_columns=True)
    return _source_post(document)


def _source_post(document: dict[str, Any]) -> SourcePost:
    missing = [key for key in ("id", "text") if document.get(key) is None]
    if missing:
        found = ", ".join(map(repr, list(document)[:10])) or "none"
        raise _BadRowError(f"lacks {' and '.join(map(repr, missing))}; found the keys {found}", wrong_columns=True)
    identifier, text = document["id"], document["text"]
    # Ids arrive as numbers from some exports; a float has already lost digits.
    if isinstance(identifier, bool) or not isinstance(identifier, str | int) or not str(identifier).strip():
        raise _BadRowError(f"'id' must be a non-empty string or an integer, got {identifier!r}", wrong_columns=True)
    if len(str(identifier)) > MAX_TEXT_LENGTH or not str(identifier).strip().isprintable():
        raise _BadRowError(f"'id' must be printable and have at most {MAX_TEXT_LENGTH} characters", wrong_columns=True)
    if not isinstance(text, str):
        raise _BadRowError(f"'text' must be a string, got {type(text).__name__}", wrong_columns=True)
    return SourcePost(
        id=str(identifier).strip(),
        text=text,
        author=str(document.get("author") or ""),
        created_at=str(document.get("created_at") or ""),
    )


def _excerpt(data: bytes) -> str:
    return data[:_EXCERPT].decode("utf-8", "replace").strip()


def _fingerprints(file: BinaryIO, offset: int) -> tuple[str, str]:
    """Hashes of the first and the last bytes before an offset."""
    size = min(offset, _FINGERPRINT)
    file.seek(0)
    head = file.read(size)
    file.seek(offset - size)
    tail = file.read(size)
    return _hash(head), _hash(tail)


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def describe_cursor(cursor: str) -> str:
    """A place in a feed, in words.

    Raises:
        FeedError: the cursor is not one of a file feed.
    """
    place = _load_cursor(cursor)
    return f"line {place.line}, byte {place.offset}"


def _load_cursor(cursor: str) -> _Cursor:
    try:
        return _Cursor(**json.loads(cursor))
    except (ValueError, TypeError) as cause:
        raise FeedError(f"the stored place in the feed is not valid: {cursor!r}") from cause
