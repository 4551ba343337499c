"""A Google Sheet as the curators' board.

Cells are written raw: a text that begins with "=" stays a text, an id of 19 digits keeps all of them. Rows are known by
the candidate's id and columns by their header, so curators may sort, insert and move; columns of their own stay as they
are.

A sheet that has a header keeps it. A column that a later version adds is missing there until a curator types its name
into the first row; rows that are appended from then on fill it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import gspread
from gspread.utils import ValidationConditionType, absolute_range_name, rowcol_to_a1
from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S
from bot.adapters.sheets import client as sheets_client
from bot.adapters.sheets.cells import CELLS, COLUMNS, POST, SCORE, VARIANT, Cell, fits, shortened
from bot.adapters.sheets.edit import Columns, PlacedEdit, outcome, request_body
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import InputError, NetworkError
from bot.ports import Board, BoardEdit, BoardEdited, BoardRow, QueueRow, TabRecord

_NEEDED = ("candidate_id", "status", "commentary")
_READ = (*_NEEDED, "curator")
_EDITED = (*_READ, VARIANT, SCORE, POST)
_BLOCK = 5_000
"""Rows that are read at once, so that a sheet of any length fits into memory."""


class SheetsBoard(Board):
    """Board on one tab of a spreadsheet that is shared with a service account.

    Args:
        service_account: content of the account's key file.
        spreadsheet: the part of the sheet's address between /d/ and /edit.
        worksheet: title of the tab; it is created if the bot has never used it.
        tabs: remembers the tab's id, by which it is found under another title; without it the title alone counts.
        post_of: the post of a candidate as it will be sent.
        base_url: address of the Sheets API.
        timeout_s: seconds without a byte after which a call fails.

    Raises:
        SettingsError: the key cannot be used.
    """

    def __init__(
        self,
        *,
        service_account: Mapping[str, Any],
        spreadsheet: str,
        worksheet: str = "queue",
        tabs: TabRecord | None = None,
        post_of: Callable[[QueueRow], str] = lambda _: "",
        base_url: str = sheets_client.URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._client = sheets_client.open_client(service_account, base_url=base_url, timeout_s=timeout_s)
        self._key = spreadsheet
        self._title = worksheet
        self._tabs = tabs
        self._post_of = post_of
        self._record = f"{spreadsheet} {worksheet}"
        self._header: list[str] = []
        self._sheet: gspread.Worksheet | None = None

    @property
    @override
    def name(self) -> str:
        return f"sheet {self._title!r}"

    @override
    def check(self) -> str:
        book = sheets_client.read(lambda: self._client.open_by_key(self._key))
        return f"{book.title}, tab {self._title!r}"

    @override
    def prepare(self) -> None:
        """Prepare the tab. The header is written last: if it is there, so is the rest."""
        sheet = self._sheet = self._find_or_add()
        self._header = [str(cell).strip() for cell in sheets_client.read(lambda: sheet.row_values(1))]
        if self._header:
            self._check_header()
            return
        sheets_client.read(lambda: sheet.freeze(rows=1))
        sheets_client.read(lambda: sheet.format("1:1", {"textFormat": {"bold": True}}))
        self._set_drop_down(sheet, list(COLUMNS))
        sheets_client.read(lambda: sheet.update([list(COLUMNS)], "A1", raw=True))
        self._header = list(COLUMNS)

    @property
    @override
    def shows_posts(self) -> bool:
        return POST in self._header

    @override
    def is_unknown(self) -> bool:
        return self._tabs is not None and self._tabs.tab_id(self._record) is None

    @override
    def remember(self) -> None:
        if self._tabs is not None and self._sheet is not None:
            self._tabs.keep_tab_id(self._record, self._sheet.id)

    @override
    def ids(self) -> set[str]:
        return {row.candidate_id for _, row in self._rows(("candidate_id",))}

    @override
    def append(self, rows: Sequence[QueueRow]) -> None:
        """Append rows, whose cells follow the header as it was last read."""
        if not rows:
            return
        first = self._first_column()
        values = [self._cells(row)[first:] for row in rows]
        sheets_client.write_once(
            lambda: self._client.http_client.values_append(
                self._key,
                absolute_range_name(self._title, rowcol_to_a1(1, first + 1)),
                {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"},
                {"values": values},
                # An answer of something else, such as a proxy, lacks this and leaves the append in doubt.
            )["updates"]
        )
        if self._sheet is not None:
            # Inserted rows may lack the drop-down. If this fails, the next append sets it for them.
            with suppress(NetworkError):
                self._set_drop_down(self._sheet, self._header)

    @override
    def rows(self) -> Iterator[BoardRow]:
        return (row for _, row in self._rows(_READ))

    @override
    def edit(self, edits: Sequence[BoardEdit]) -> BoardEdited:
        """Edit rows. They are looked up first, because curators sort, and compared with what was last read."""
        # A text that no cell can hold is left: the verdict alone is shown.
        wanted = {edit.candidate_id: edit if fits(edit.text) else replace(edit, text=None) for edit in edits}
        found = {row.candidate_id: (place, row) for place, row in self._rows(_READ) if row.candidate_id in wanted}
        placed = [
            PlacedEdit(edit=wanted[name], row=place, now=row)
            for name, (place, row) in found.items()
            if (row.status, row.text) == (wanted[name].seen.status, wanted[name].seen.text)
        ]
        gone = frozenset(wanted) - frozenset(found)
        left = frozenset(found) - {edit.edit.candidate_id for edit in placed}
        if not placed:
            return BoardEdited(written=frozenset(), left=left, gone=gone)
        sheet = self._sheet = self._sheet or self._find_or_add()
        columns = Columns(**{name: self._header.index(name) + 1 for name in _EDITED if name in self._header})
        body = request_body(sheet.id, self._title, columns, placed)
        edited = sheets_client.write_once(
            lambda: outcome(self._client.http_client.batch_update(self._key, body), columns, placed)
        )
        return replace(edited, left=edited.left | left, gone=gone)

    def _find_or_add(self) -> gspread.Worksheet:
        book = sheets_client.read(lambda: self._client.open_by_key(self._key))
        sheets = sheets_client.read(book.worksheets)
        known = self._tabs.tab_id(self._record) if self._tabs is not None else None
        found = next((sheet for sheet in sheets if known is not None and sheet.id == known), None)
        found = found or next((sheet for sheet in sheets if sheet.title == self._title), None)
        if found is not None:
            self._title = found.title  # curators may rename the tab
            return found
        if known is not None:
            raise InputError(
                f"the tab {self._title!r} of the spreadsheet is gone, with the curators' verdicts on it; restore it"
                " from the spreadsheet's version history, or set sheet.worksheet to the name of a new one"
            )
        # One row more than the header, because a sheet may not consist of frozen rows alone.
        return sheets_client.read(lambda: book.add_worksheet(self._title, rows=2, cols=len(COLUMNS)))

    def _first_column(self) -> int:
        """Number, from 0, of the column at which Google sees the table begin, where the first cell of a row goes.

        That is the first column unless it is blank, header and all.
        """
        if not self._header or self._header[0]:
            return 0
        column = absolute_range_name(self._title, "A:A")
        answer = sheets_client.read(lambda: self._client.http_client.values_get(self._key, column))
        if answer.get("values"):
            return 0
        return next((place for place, name in enumerate(self._header) if name), 0)

    def _set_drop_down(self, sheet: gspread.Worksheet, header: Sequence[str]) -> None:
        column = rowcol_to_a1(1, header.index("status") + 1).rstrip("1")
        choices = [status.value for status in CandidateStatus]
        sheets_client.read(
            lambda: sheet.add_validation(
                f"{column}2:{column}", ValidationConditionType.one_of_list, choices, strict=True, showCustomUi=True
            )
        )

    def _check_header(self) -> None:
        missing = [name for name in _NEEDED if name not in self._header]
        if missing:
            raise InputError(
                f"the first row of the tab {self._title!r} has no column {', '.join(missing)}; "
                "restore the header, or name another tab, which will be created"
            )

    def _rows(self, names: Sequence[str]) -> Iterator[tuple[int, BoardRow]]:
        """Rows with an id and their numbers, block by block.

        A row that is sorted into another block in the meantime may be read the next time only.
        """
        self._read_header()
        wanted = [name for name in names if name in self._header]
        begin = 2
        while block := self._block(wanted, begin):
            for place, cells in enumerate(block, begin):
                row = dict(zip(wanted, cells, strict=True))
                if identifier := row["candidate_id"].strip():
                    yield (
                        place,
                        BoardRow(
                            candidate_id=identifier,
                            status=row.get("status", ""),
                            text=row.get("commentary", ""),
                            who=row.get("curator", ""),
                        ),
                    )
            begin += _BLOCK

    def _read_header(self) -> None:
        answer = sheets_client.read(
            lambda: self._client.http_client.values_get(self._key, absolute_range_name(self._title, "1:1"))
        )
        self._header = [str(cell).strip() for cell in (answer.get("values") or [[]])[0]]
        self._check_header()

    def _block(self, names: Sequence[str], begin: int) -> list[tuple[str, ...]]:
        """Cells of the named columns from a row on; empty beyond the end of the sheet."""
        letters = [rowcol_to_a1(1, self._header.index(name) + 1).rstrip("1") for name in names]
        ranges = [
            absolute_range_name(self._title, f"{letter}{begin}:{letter}{begin + _BLOCK - 1}") for letter in letters
        ]
        try:
            columns = sheets_client.read(lambda: self._columns(ranges))
        except NetworkError as error:
            if sheets_client.is_beyond(error):
                return []
            raise
        length = max(map(len, columns))
        padded = [[*map(str, column), *[""] * (length - len(column))] for column in columns]
        return list(zip(*padded, strict=True))

    def _columns(self, ranges: list[str]) -> list[list[Any]]:
        answer = self._client.http_client.values_batch_get(self._key, ranges, {"majorDimension": "COLUMNS"})
        found = [(area.get("values") or [[]])[0] for area in answer["valueRanges"]]
        if len(found) != len(ranges):
            raise KeyError("valueRanges")
        return found

    def _cells(self, row: QueueRow) -> list[Cell]:
        """The row's cells in the order of the header; None leaves a column of the curators' own as it is."""
        values = {**dict(CELLS), POST: self._post_of}
        return [shortened(values[name](row)) if name in values else None for name in self._header or COLUMNS]
