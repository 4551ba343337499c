"""Tables and lines: for a wide terminal, a narrow one, or a program behind a pipe.

No value is ever cut, and no word is broken. Unlike the rest of the foundation, this module needs rich.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

_COMFORT: Final = 28
"""Width to which a column of sentences may shrink beside other columns."""
_GAP: Final = 2
"""Spaces between two columns of a table without lines, and before the values of a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Content of a column as text."""

    column: Column
    heading: Text
    values: list[Text]

    @property
    def natural(self) -> int:
        """Width in which no value wraps."""
        return max(_width(value) for value in (self.heading, *self.values))

    @property
    def needed(self) -> int:
        """Width in which no word breaks, and in which sentences are still easy to read."""
        if self.column.no_wrap:
            return self.natural
        longest = max(_longest_word(value) for value in (self.heading, *self.values))
        return max(longest, min(self.natural, _COMFORT))


def show(*parts: Table | Text | str, console: Console | None = None) -> None:
    """Print tables and lines one below the other.

    In a terminal a table has lines; where it is too narrow for them, each row becomes a record, a value a line. Without
    a terminal a table is columns with spaces between them, one line a row.

    Args:
        parts: tables; texts, which wrap at words in a terminal; and strings, which are one line each, for commands and
            paths that people copy.
        console: console to print on; standard output by default.
    """
    console = console or Console()
    for part in parts:
        if isinstance(part, Table):
            _show_table(console, part)
        elif isinstance(part, Text):
            console.print(part, soft_wrap=not console.is_terminal, highlight=False)
        else:
            _line(console, Text(part))


def _show_table(console: Console, table: Table) -> None:
    columns = [_cells(console, table, column) for column in table.columns]
    if not columns or console.quiet:
        return
    if not console.is_terminal:
        _show_columns(console, table, columns)
    elif (spare := console.width - sum(each.needed for each in columns) - _borders(table)) >= 0:
        _fit(columns, spare)
        table.expand = False
        console.print(table)
        return
    else:
        _show_records(console, table, columns)
    if table.caption:
        _line(console, console.render_str(str(table.caption), highlight=False))


def _cells(console: Console, table: Table, column: Column) -> _Cells:
    def as_text(value: object) -> Text:
        return value.copy() if isinstance(value, Text) else console.render_str(str(value), highlight=False)

    heading = as_text(column.header) if table.show_header else Text()
    return _Cells(column=column, heading=heading, values=[as_text(value) for value in column.cells])


def _borders(table: Table) -> int:
    """Cells that the lines of a table and the padding of its columns take."""
    _, right, _, left = table.padding
    padding = (left + right) * len(table.columns) - (0 if table.pad_edge else left + right)
    if table.box is None:
        return padding
    return padding + len(table.columns) - 1 + (2 if table.show_edge else 0)


def _fit(columns: Sequence[_Cells], spare: int) -> None:
    """Set the widths of columns: what each needs, and of the spare cells a share by how much it still lacks."""
    lacking = sum(each.natural - each.needed for each in columns)
    for each in columns:
        lacks = each.natural - each.needed
        share = lacks if lacking <= spare else lacks * spare // lacking
        each.column.ratio, each.column.min_width, each.column.max_width = None, None, None
        each.column.width = each.needed + share


def _show_columns(console: Console, table: Table, columns: Sequence[_Cells]) -> None:
    if table.title:
        _line(console, Text(str(table.title)))
    flat = [[_flat(value) for value in each.values] for each in columns]
    if table.show_header:
        flat = [[_flat(each.heading), *values] for each, values in zip(columns, flat, strict=True)]
    widths = [max((_width(value) for value in values), default=0) for values in flat]
    for row in zip(*flat, strict=True):
        line = Text()
        for value, width, each in zip(row, widths, columns, strict=True):
            room = Text(" " * (width - _width(value)))
            line.append_text(room + value if each.column.justify == "right" else value + room).append(" " * _GAP)
        line.rstrip()
        _line(console, line)


def _show_records(console: Console, table: Table, columns: Sequence[_Cells]) -> None:
    if table.title:
        _line(console, Text(str(table.title), style="italic"))
    first, *rest = columns
    headings = max((_width(each.heading) for each in rest), default=0)
    before = _GAP + (headings + _GAP if headings else 0)
    for index in range(len(first.values)):
        if index and headings:
            _line(console, Text())
        for line in _wrapped(console, first.values[index], console.width):
            line.stylize_before("bold")
            _line(console, line)
        for each in rest:
            value = each.values[index]
            if not value.plain.strip():
                continue
            heading = each.heading.plain.ljust(headings) + " " * _GAP if headings else ""
            for number, line in enumerate(_wrapped(console, value, console.width - before)):
                start = heading if number == 0 else " " * len(heading)
                _line(console, Text.assemble(" " * _GAP, (start, "dim"), line))


def _wrapped(console: Console, value: Text, width: int) -> Iterator[Text]:
    """Wrap a value at words; a word that is too long has a line of its own."""
    for line in value.wrap(console, max(width, _longest_word(value), 1)):
        line.rstrip()
        yield line


def _line(console: Console, line: Text) -> None:
    console.print(line, soft_wrap=True, highlight=False)


def _flat(value: Text) -> Text:
    """Return a value on one line."""
    parts = [part for part in value.split("\n") if part.plain.strip()]
    return Text(" / ").join(parts)


def _width(value: Text) -> int:
    return max((cell_len(line) for line in value.plain.splitlines()), default=0)


def _longest_word(value: Text) -> int:
    return max((cell_len(word) for word in value.plain.split()), default=0)
