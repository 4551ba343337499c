"""Cells of a spreadsheet as in Sheets v4: A1 ranges, typed values, tables, drop-downs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_CELL = 50_000
"""Google's limit for the characters of a cell."""
Cell = str | float | bool | None
_RANGE = re.compile(r"^(?:(?:'((?:[^']|'')+)'|([^'!:]+))!)?(?:([A-Z]*)([0-9]*)(?::([A-Z]*)([0-9]*))?)?$")
_NUMBER = re.compile(r"^[-+]?\d+(?:\.\d+)?$")


class RangeError(ValueError):
    """The range is invalid or lies outside of its sheet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Rectangle of a sheet: rows and columns from 0, ends exclusive, None for an open end."""

    title: str | None
    row: int = 0
    column: int = 0
    end_row: int | None = None
    end_column: int | None = None


@dataclass(slots=True, kw_only=True)
class Sheet:
    """A tab of the spreadsheet."""

    id: int
    title: str
    num_rows: int = 1000
    num_columns: int = 26
    frozen_rows: int = 0
    cells: list[list[Cell]] = field(default_factory=list)
    """Rows up to the last one that was written."""
    drop_downs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[int, str]] = field(default_factory=list)
    """Notes of the rows of `cells` by column; they move with their rows."""

    def properties(self) -> dict[str, Any]:
        """Return the tab as the API shows it."""
        grid = {"rowCount": self.num_rows, "columnCount": self.num_columns}
        if self.frozen_rows:
            grid["frozenRowCount"] = self.frozen_rows
        return {"sheetId": self.id, "title": self.title, "index": 0, "sheetType": "GRID", "gridProperties": grid}

    def check(self, area: Range) -> None:
        """Refuse a range outside of the sheet."""
        if area.row >= self.num_rows or area.column >= self.num_columns or (area.end_column or 0) > self.num_columns:
            size = f"{self.num_rows} rows, {self.num_columns} columns"
            raise RangeError(f"Range exceeds grid limits. Max {size}")

    def read(self, area: Range) -> list[list[str]]:
        """Return the displayed cells of a range, without empty rows and cells at the ends."""
        self.check(area)
        rows = [
            [shown(cell) for cell in row[area.column : area.end_column]] for row in self.cells[area.row : area.end_row]
        ]
        return _trimmed([_trimmed(row) for row in rows])

    def write(self, row: int, column: int, values: Sequence[Sequence[Any]], *, raw: bool) -> int:
        """Write values from a cell on and return the number of cells written; None leaves a cell unchanged."""
        width = max((len(line) for line in values), default=0)
        self.check(Range(title=None, row=row, column=column, end_column=column + width))
        if row + len(values) > self.num_rows:
            raise RangeError(f"Range exceeds grid limits. Max rows: {self.num_rows}")
        self.check_cells(values)
        count = 0
        for y, line in enumerate(values, start=row):
            self._reach(y, column + len(line))
            for x, value in enumerate(line, start=column):
                if value is not None:
                    self.cells[y][x] = value if raw else _entered(value)
                    count += 1
        return count

    def note(self, row: int, column: int, text: str) -> None:
        """Set the note of a cell; an empty one removes it."""
        self.check(Range(title=None, row=row, column=column))
        self._reach(row, 0)
        self.notes[row].pop(column, None)
        self.notes[row] |= {column: text} if text else {}

    def update_cells(self, arguments: dict[str, Any]) -> None:
        """Carry out `updateCells`, for what cells hold or for their notes."""
        area, cells = arguments["range"], [line["values"] for line in arguments["rows"]]
        row, column = area["startRowIndex"], area["startColumnIndex"]
        if arguments["fields"] == "note":
            for y, line in enumerate(cells, row):
                for x, cell in enumerate(line, column):
                    self.note(y, x, cell.get("note", ""))
        elif arguments["fields"] == "userEnteredValue":
            values = [[_entered_value(cell) for cell in line] for line in cells]
            self.write(row, column, values, raw=True)
        else:
            raise ValueError("the stand-in keeps what cells hold and their notes, not how they look")

    def find_replace(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Carry out `findReplace` for whole cells of a range; the reply omits counts of 0."""
        if not (arguments["matchEntireCell"] and arguments["matchCase"]) or arguments.get("searchByRegex"):
            raise ValueError("the stand-in replaces whole cells alone")
        area = arguments["range"]
        if not arguments["find"]:
            raise ValueError("findReplace.find must not be empty")
        count = 0
        for row in self.cells[area["startRowIndex"] : area["endRowIndex"]]:
            for x in range(area["startColumnIndex"], min(area["endColumnIndex"], len(row))):
                if shown(row[x]) == arguments["find"]:
                    row[x] = arguments["replacement"]
                    count += 1
        return {"valuesChanged": count, "rowsChanged": count, "occurrencesChanged": count} if count else {}

    def sort(self, column: int, *, descending: bool) -> None:
        """Sort the rows under the first one by a column; their notes move with them."""
        rows = list(zip(self.cells, self.notes, strict=True))
        rest = sorted(
            rows[1:], key=lambda row: shown(row[0][column]) if column < len(row[0]) else "", reverse=descending
        )
        self.cells[1:], self.notes[1:] = [cells for cells, _ in rest], [notes for _, notes in rest]

    def check_cells(self, values: Sequence[Sequence[Any]]) -> None:
        """Refuse values with a text that is too long for a cell."""
        texts = [value for line in values for value in line if isinstance(value, str)]
        if any(len(text.encode("utf-16-le")) > 2 * MAX_CELL for text in texts):
            raise RangeError(f"Your input contains more than the maximum of {MAX_CELL} characters in a single cell.")

    def table_end(self, area: Range) -> int:
        """Return the row below the table that contains a range."""
        row = area.row
        while row < len(self.cells) and any(shown(cell) for cell in self.cells[row]):
            row += 1
        return row

    def insert_rows(self, at: int, count: int) -> None:
        """Insert empty rows."""
        self._reach(at - 1, 0)
        self.cells[at:at] = [[] for _ in range(count)]
        self.notes[at:at] = [{} for _ in range(count)]
        self.num_rows += count

    def _reach(self, row: int, width: int) -> None:
        while len(self.cells) <= row:
            self.cells.append([])
            self.notes.append({})
        if row >= 0:
            line = self.cells[row]
            line.extend([None] * (width - len(line)))


def parse_range(text: str) -> Range:
    """Parse a range in A1 notation; a bare word that is not a cell is the title of a tab.

    >>> parse_range("'My queue'!B2:C")
    Range(title='My queue', row=1, column=1, end_row=None, end_column=3)

    Raises:
        RangeError: it is not a valid range.
    """
    found = _RANGE.match(text)
    if found is None or not any(found.groups()):
        return Range(title=text.strip("'").replace("''", "'"))
    quoted, plain, left, top, right, bottom = found.groups()
    title = quoted.replace("''", "'") if quoted else plain
    if title is None and not top and not right:
        return Range(title=text)
    if not left and not top:
        raise RangeError(f"Unable to parse range: {text}")
    single = right is None and bottom is None
    row, column = int(top or 1) - 1, _column(left or "A")
    return Range(
        title=title,
        row=row,
        column=column,
        end_row=row + 1 if single else int(bottom) if bottom else None,
        end_column=column + 1 if single else _column(right) + 1 if right else None,
    )


def cell_name(row: int, column: int) -> str:
    """Return a cell in A1 notation.

    >>> cell_name(1, 27)
    'AB2'
    """
    letters, number = "", column + 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return f"{letters}{row + 1}"


def shown(cell: Cell) -> str:
    """Return a cell as the sheet displays it."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, int | float):
        return f"{cell:.5E}" if abs(cell) >= 1e15 else f"{cell:g}"
    return cell


def _entered(value: Any) -> Cell:
    """Convert a value as typing it into a cell does: numbers lose digits, formulas are evaluated."""
    if isinstance(value, str) and value.startswith("="):
        return "#NAME?"
    if isinstance(value, str) and _NUMBER.match(value):
        return float(value)
    return value if isinstance(value, str | int | float | bool) else str(value)


def _entered_value(cell: Mapping[str, Any]) -> Cell:
    """Content of a cell of `updateCells`: a string or a number; an empty string clears the cell."""
    value: Cell = next(iter(cell.get("userEnteredValue", {"stringValue": ""}).values()))
    return value


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - ord("A") + 1
    return number - 1


def _trimmed(items: list[Any]) -> list[Any]:
    while items and not items[-1]:
        items.pop()
    return items
