"""Edits of rows of a Google Sheet while people work in it, in one call and without a lock.

A status is swapped, not written: `findReplace` on its cell replaces the value that was read, so that a person's newer
choice stays. Notes, posts, versions and scores are the bot's own and are simply written. Sheets cannot find a row by
its id. The answer therefore has to show the rows as they are after the call: if a row has another id, somebody sorted
between the read and the call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gspread.utils import absolute_range_name, rowcol_to_a1

from bot.adapters.sheets.cells import shortened
from bot.ports import BoardEdit, BoardEdited, BoardRow

_MAX_NOTE = 1_000
"""Maximum characters of a note: a reason with many blocked words is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedEdit:
    """An edit with its row."""

    edit: BoardEdit
    row: int
    """Number of the row, from 1."""
    now: BoardRow
    """Content of the row when it was read before the call."""

    @property
    def wants_status(self) -> bool:
        """Whether the edit changes the status; that is its first step."""
        return self.now.status != self.edit.status

    @property
    def wants_text(self) -> bool:
        """Whether the edit changes the text."""
        return self.edit.text not in {None, self.now.text}

    @property
    def wants_who(self) -> bool:
        """Whether the edit changes the curator's name; a name typed since the last verdict stays."""
        return self.now.who in {"", self.edit.seen.who} and self.now.who != self.edit.who


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Numbers of the columns, from 1."""

    candidate_id: int
    status: int
    commentary: int
    curator: int | None = None
    variant: int | None = None
    score: int | None = None
    post_preview: int | None = None

    @property
    def span(self) -> tuple[int, int]:
        """Numbers of the first and the last column that the answer has to show."""
        places = [place for place in (self.candidate_id, self.status, self.commentary, self.curator) if place]
        return min(places), max(places)


def request_body(sheet_id: int, title: str, columns: Columns, edits: Sequence[PlacedEdit]) -> dict[str, Any]:
    """Body of a `batchUpdate` for all edits, which Sheets applies completely or not at all.

    The swap of a row's status precedes its other changes.
    """
    first, last = columns.span
    ranges = [f"{rowcol_to_a1(edit.row, first)}:{rowcol_to_a1(edit.row, last)}" for edit in edits]
    return {
        "requests": [step for edit in edits for step in _steps(sheet_id, columns, edit)],
        "includeSpreadsheetInResponse": True,
        "responseRanges": [absolute_range_name(title, cells) for cells in ranges],
        "responseIncludeGridData": True,
    }


def outcome(answer: Mapping[str, Any], columns: Columns, edits: Sequence[PlacedEdit]) -> BoardEdited:
    """Outcome of the edits, read from the answer to `request_body`.

    Raises:
        AttributeError, IndexError, KeyError, TypeError: the answer is not one of Sheets'.
    """
    rows = dict(_rows(answer, columns))
    replies = answer["replies"]
    step = 0
    written: set[str] = set()
    left: set[str] = set()
    misplaced: list[BoardRow] = []
    noted: set[str] = set()
    for edit in edits:
        after = rows.get(edit.row, BoardRow(candidate_id="", status="", text=""))
        name = edit.edit.candidate_id
        is_status_written = edit.wants_status and (not edit.now.status or _has_swapped(replies[step]))
        step += len(list(_steps(0, columns, edit)))
        if after.candidate_id == name and after.status == edit.edit.status:
            written.add(name)
            continue
        left.add(name)
        if after.candidate_id != name and (is_status_written or edit.wants_text):
            misplaced.append(after)
        if after.candidate_id not in {name, ""}:
            noted.add(after.candidate_id)
    return BoardEdited(
        written=frozenset(written), left=frozenset(left), misplaced=tuple(misplaced), noted=frozenset(noted)
    )


def _steps(sheet_id: int, columns: Columns, edit: PlacedEdit) -> Iterator[dict[str, Any]]:
    if edit.now.status and edit.wants_status:
        swap = {
            "find": edit.now.status,
            "replacement": edit.edit.status,
            "matchCase": True,
            "matchEntireCell": True,
            "range": _cell(sheet_id, edit.row, columns.status),
        }
        yield {"findReplace": swap}
    elif not edit.now.status:
        yield _written(sheet_id, edit.row, columns.status, edit.edit.status)  # `findReplace` finds no empty cell
    if edit.wants_text and edit.edit.text is not None:
        yield _written(sheet_id, edit.row, columns.commentary, edit.edit.text)
    if edit.wants_who and columns.curator is not None:
        yield _written(sheet_id, edit.row, columns.curator, edit.edit.who)
    if edit.edit.note is not None:
        yield _noted(sheet_id, edit.row, columns.status, edit.edit.note)
    yield from _origin_steps(sheet_id, columns, edit)
    if edit.edit.post is not None and columns.post_preview is not None:
        yield _written(sheet_id, edit.row, columns.post_preview, str(shortened(edit.edit.post)))


def _origin_steps(sheet_id: int, columns: Columns, edit: PlacedEdit) -> Iterator[dict[str, Any]]:
    origin = edit.edit.origin
    if origin is None:
        return
    if columns.variant is not None:
        yield _written(sheet_id, edit.row, columns.variant, origin.variant)
    if columns.score is not None:
        yield _written(sheet_id, edit.row, columns.score, origin.score)


def _has_swapped(reply: Mapping[str, Any]) -> bool:
    """Whether a swap found the status that it was to replace. Sheets leaves counts of 0 out."""
    return bool(reply["findReplace"].get("occurrencesChanged"))


def _noted(sheet_id: int, row: int, column: int, note: str) -> dict[str, Any]:
    """Set the note of a cell; an empty one removes it."""
    cell = {"note": note[:_MAX_NOTE]} if note else {}
    return {
        "updateCells": {"range": _cell(sheet_id, row, column), "rows": [{"values": [cell]}], "fields": "note"},
    }


def _written(sheet_id: int, row: int, column: int, value: str | float | None) -> dict[str, Any]:
    """Write a number, or a string as it is, never as a formula or a number; without a content the cell is cleared."""
    cell: dict[str, Any] = {}
    if isinstance(value, str) and value:
        cell = {"userEnteredValue": {"stringValue": value}}
    elif isinstance(value, float):
        cell = {"userEnteredValue": {"numberValue": value}}
    return {
        "updateCells": {
            "range": _cell(sheet_id, row, column),
            "rows": [{"values": [cell]}],
            "fields": "userEnteredValue",
        }
    }


def _cell(sheet_id: int, row: int, column: int) -> dict[str, int]:
    return {
        "sheetId": sheet_id,
        "startRowIndex": row - 1,
        "endRowIndex": row,
        "startColumnIndex": column - 1,
        "endColumnIndex": column,
    }


def _rows(answer: Mapping[str, Any], columns: Columns) -> Iterator[tuple[int, BoardRow]]:
    """Rows of the answer with their numbers."""
    for sheet in answer["updatedSpreadsheet"]["sheets"]:
        for area in sheet.get("data", []):
            cells = ((area.get("rowData") or [{}])[0]).get("values", [])
            shown = dict(enumerate((cell.get("formattedValue", "") for cell in cells), area.get("startColumn", 0) + 1))
            row = BoardRow(
                candidate_id=shown.get(columns.candidate_id, "").strip(),
                status=shown.get(columns.status, ""),
                text=shown.get(columns.commentary, ""),
                who=shown.get(columns.curator, "") if columns.curator is not None else "",
            )
            yield area.get("startRow", 0) + 1, row
