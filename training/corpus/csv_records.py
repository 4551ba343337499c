"""Records of a CSV file, whatever its delimiter; a quote that is not closed costs its own record alone."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_DELIMITERS: Final = ",;\t|"
_TOLD: Final = re.compile(r'\s*"?sep=([,;\t|])"?\s*$', re.IGNORECASE)
"""First line by which spreadsheets are told the delimiter."""
_MAX_FIELD: Final = 1 << 24
"""Maximum characters of a field; the standard library's default of 128 Ki is less than a long page."""
_MAX_RECORD: Final = 1 << 20
"""Maximum characters of a record of several lines. A quote that is closed nowhere near is not closed."""


def csv_records(lines: Iterable[str]) -> Iterator[dict[str, str] | None]:
    r"""Yield the records of a CSV file by the header's names; None stands for one that cannot be read.

    The delimiter is the one that the header has most often of commas, semicolons, tabs and vertical bars, or that a
    line such as `sep=;` above it names. A quoted cell may hold line breaks. Where its quote is never closed, or is
    closed by a quote of a later record, its first line is one unreadable record and the next line begins another; so a
    stray quote swallows nothing.

    Args:
        lines: lines with their ends.

    >>> list(csv_records(['id;text\n', '1;"warm\n', '2;cold\n']))
    [None, {'id': '2', 'text': 'cold'}]
    """
    csv.field_size_limit(_MAX_FIELD)
    source = _Lines(lines)
    while (first := source.peek()) and not first.strip():
        next(source)
    told = _TOLD.match(first)
    if told is not None:
        next(source)
    delimiter = told[1] if told is not None else delimiter_of(first)
    header = source.record(delimiter, width=None)
    if header is None:
        # A header of several lines, or with a stray quote, is read as the standard library does.
        header = next(csv.reader(source, delimiter=delimiter), [])
    while source.peek():
        cells = _record(source, delimiter, len(header))
        if cells == []:
            continue  # a blank line
        fits = cells is not None and len(cells) == len(header)
        yield dict(zip(header, cells, strict=True)) if cells is not None and fits else None


def delimiter_of(header: str) -> str:
    """Return the delimiter of a CSV file by its first line; a comma for a line without any.

    >>> delimiter_of("Artist;Title;Text, as written")
    ';'
    """
    unquoted = "".join(header.split('"')[::2])
    return max(_DELIMITERS, key=unquoted.count)


class _Lines:
    """Lines that can be looked at and put back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rest = iter(lines)
        self._waiting: deque[str] = deque()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return self._waiting.popleft() if self._waiting else next(self._rest)

    def peek(self) -> str:
        """Return the next line without taking it; an empty string at the end."""
        if not self._waiting:
            self._waiting.extend(line for line in (next(self._rest, ""),) if line)
        return self._waiting[0] if self._waiting else ""

    def put_back(self, lines: Sequence[str]) -> None:
        """Put lines back in front."""
        self._waiting.extendleft(reversed(lines))

    def record(self, delimiter: str, *, width: int | None) -> list[str] | None:
        """Take the lines of the next record; put them back and return None if its quotes are not as they should be.

        Args:
            delimiter: delimiter of cells.
            width: number of cells that a record should have, if it is known.
        """
        taken: list[str] = []

        def take() -> Iterator[str]:
            size = 0
            while size < _MAX_RECORD and (line := next(self, "")):
                taken.append(line)
                size += len(line)
                yield line

        try:
            cells = next(csv.reader(take(), delimiter=delimiter, strict=True), [])
        except csv.Error:
            self.put_back(taken)
            return None
        swallowed = len(taken) > 1 and width is not None and (len(cells) != width or _records(taken, delimiter, width))
        if swallowed:
            self.put_back(taken)
            return None
        return cells


def _record(source: _Lines, delimiter: str, width: int) -> list[str] | None:
    """Return the cells of the next record, or None for a line that is not a record by itself either."""
    cells = source.record(delimiter, width=width)
    if cells is not None:
        return cells
    line = next(source)
    if _open_quote(line):
        return None
    # A stray quote within the line, as in `"Low" is loud,folk`: the cells are there all the same.
    cells = next(csv.reader([line], delimiter=delimiter), [])
    return cells if len(cells) == width else None


def _open_quote(line: str) -> bool:
    """Return whether a line has a quote without its partner."""
    return line.count('"') % 2 == 1


def _records(lines: Sequence[str], delimiter: str, width: int) -> bool:
    """Return whether lines that quotes hold together are records of their own: a quote in the first was not closed.

    Prose seldom has as many delimiters in each line as the header, and has a space behind each.
    """
    first = lines[0].split(delimiter)
    later = (next(csv.reader([line], delimiter=delimiter), []) for line in lines[1:])
    return width > 1 and all(
        len(cells) == width and not any(cell.startswith(" ") for cell in cells[1:]) for cells in (first, *later)
    )
