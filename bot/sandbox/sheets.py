"""Stand-in for Sheets v4 as gspread uses it: tabs, values, appended rows, drop-downs, notes; and curators' edits.

The limit is 60 reads and 60 writes per minute, as for a user of Google. Tokens are those of `GoogleStandIn`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.account import SPREADSHEET_ID
from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, StandIn
from bot.sandbox.google import GoogleStandIn
from bot.sandbox.limits import RateWindow
from bot.sandbox.sheet_grid import Range, RangeError, Sheet, cell_name, parse_range, shown

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    504: "DEADLINE_EXCEEDED",
}
_PER_MINUTE = 60


class SheetsStandIn(StandIn):
    """Stand-in for Sheets with one spreadsheet, shared with the service account."""

    name = "sheets"

    def __init__(self, google: GoogleStandIn, *, enforce_limits: bool = True) -> None:
        self._google = google
        self.sheets = [Sheet(id=0, title="Sheet1")]
        self._windows = {kind: RateWindow(_PER_MINUTE, 60.0, enforce_limits) for kind in ("read", "write")}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        book = "/v4/spreadsheets/{id}"
        values = f"{book}/values/{{range:path}}"
        return {
            "get": ("GET", book, self._guarded("read", self._get)),
            "batch_update": ("POST", f"{book}:batchUpdate", self._guarded("write", self._batch_update)),
            "append": ("POST", f"{values}:append", self._guarded("write", self._append)),
            "batch_get": ("GET", f"{book}/values:batchGet", self._guarded("read", self._batch_get)),
            "values": ("GET", values, self._guarded("read", self._values)),
            "update": ("PUT", values, self._guarded("write", self._update)),
        }

    def error(self, status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Response:
        """Return Google's error object."""
        word = _STATUS.get(status, "UNAVAILABLE")
        document = {"error": {"code": status, "message": message or f"The service answers {word}.", "status": word}}
        return JSONResponse(document, status, headers=dict(headers or {}))

    @override
    def forget_tokens(self) -> None:
        self._google.forget_tokens()

    def sheet(self, title: str | None) -> Sheet:
        """Return the tab of a title, or the first.

        Raises:
            RangeError: there is none.
        """
        for sheet in self.sheets:
            if title in (None, sheet.title):
                return sheet
        raise RangeError(f"Unable to parse range: {title}")

    def edit(self, title: str, key: str, column: str, value: str) -> None:
        """Edit, as a curator, the row whose first cell is `key`, in the column of a header.

        Raises:
            RangeError: there is no such row or column, or a drop-down refuses the value.
        """
        sheet = self.sheet(title)
        header = [shown(cell) for cell in sheet.cells[0]] if sheet.cells else []
        rows = [y for y, line in enumerate(sheet.cells) if line and shown(line[0]) == key]
        if column not in header or not rows:
            raise RangeError(f"{title!r} has no row {key!r} or no column {column!r}")
        x = header.index(column)
        for drop_down in sheet.drop_downs:
            choices = drop_down["values"]
            covered = drop_down["column"] <= x < drop_down["end_column"] and rows[0] < drop_down["end_row"]
            if covered and drop_down["strict"] and value not in choices:
                raise RangeError(f"{column!r} takes one of {choices}, got {value!r}")
        sheet.write(rows[0], x, [[value]], raw=True)

    def rename(self, title: str, to: str) -> None:
        """Rename a tab, as a curator.

        Raises:
            RangeError: there is no such tab.
        """
        self.sheet(title).title = to

    def delete(self, title: str) -> None:
        """Delete a tab, as a curator.

        Raises:
            RangeError: there is no such tab.
        """
        self.sheets.remove(self.sheet(title))

    def sort(self, title: str, column: str, *, descending: bool = False) -> None:
        """Sort the rows under the header, as a curator.

        Raises:
            RangeError: there is no such column.
        """
        sheet = self.sheet(title)
        header = [shown(cell) for cell in sheet.cells[0]]
        if column not in header:
            raise RangeError(f"{title!r} has no column {column!r}")
        sheet.sort(header.index(column), descending=descending)

    def _guarded(self, kind: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if not self._google.is_valid(request):
                return self.error(401, message="Request had invalid authentication credentials.")
            if request.path_params["id"] != SPREADSHEET_ID:
                return self.error(404, message="Requested entity was not found.")
            if not self._windows[kind].take():
                return self.error(429, message=f"Quota exceeded for quota metric '{kind.title()} requests'.")
            try:
                return await handler(request)
            except (RangeError, ValueError, KeyError, TypeError) as error:
                return self.error(400, message=f"Invalid request: {error}")

        return guarded

    async def _get(self, request: Request) -> Response:  # noqa: ARG002 -- a handler's signature
        sheets = [{"properties": sheet.properties() | {"index": i}} for i, sheet in enumerate(self.sheets)]
        return JSONResponse(
            {
                "spreadsheetId": SPREADSHEET_ID,
                "properties": {"title": "Queue of the bot", "locale": "en_US", "timeZone": "Etc/UTC"},
                "sheets": sheets,
                "spreadsheetUrl": f"https://docs.google.com/spreadsheets/d/{SPREADSHEET_ID}/edit",
            }
        )

    async def _values(self, request: Request) -> Response:
        return JSONResponse(self._value_range(request.path_params["range"], request))

    async def _batch_get(self, request: Request) -> Response:
        ranges = [self._value_range(text, request) for text in request.query_params.getlist("ranges")]
        return JSONResponse({"spreadsheetId": SPREADSHEET_ID, "valueRanges": ranges})

    def _value_range(self, text: str, request: Request) -> dict[str, Any]:
        area = parse_range(text)
        sheet = self.sheet(area.title)
        rows = sheet.read(area)
        dimension = request.query_params.get("majorDimension", "ROWS")
        if dimension == "COLUMNS":
            width = max(map(len, rows), default=0)
            rows = [[row[x] if x < len(row) else "" for row in rows] for x in range(width)]
        document: dict[str, Any] = {"range": _range_name(sheet, area), "majorDimension": dimension}
        return document | ({"values": rows} if rows else {})

    async def _update(self, request: Request) -> Response:
        area = parse_range(request.path_params["range"])
        values = json.loads(await request.body())["values"]
        sheet = self.sheet(area.title)
        cells = sheet.write(area.row, area.column, values, raw=_is_raw(request))
        return JSONResponse(_updates(sheet, area, values, cells))

    async def _append(self, request: Request) -> Response:
        area = parse_range(request.path_params["range"])
        values = json.loads(await request.body())["values"]
        sheet = self.sheet(area.title)
        sheet.check_cells(values)
        end = sheet.table_end(area)
        if request.query_params.get("insertDataOption") == "INSERT_ROWS":
            sheet.insert_rows(end, len(values))
        elif end + len(values) > sheet.num_rows:
            sheet.num_rows = end + len(values)
        place = Range(title=sheet.title, row=end, column=area.column)
        cells = sheet.write(end, area.column, values, raw=_is_raw(request))
        return JSONResponse(
            {
                "spreadsheetId": SPREADSHEET_ID,
                "tableRange": f"'{sheet.title}'!{cell_name(area.row, area.column)}",
                "updates": _updates(sheet, place, values, cells),
            }
        )

    async def _batch_update(self, request: Request) -> Response:
        body = json.loads(await request.body())
        before = copy.deepcopy(self.sheets)
        try:
            replies = [self._step(kind, arguments) for step in body["requests"] for kind, arguments in step.items()]
        except (RangeError, ValueError, KeyError, TypeError):
            self.sheets = before  # all or none: one request is invalid
            raise
        answer: dict[str, Any] = {"spreadsheetId": SPREADSHEET_ID, "replies": replies}
        if body.get("includeSpreadsheetInResponse"):
            answer["updatedSpreadsheet"] = self._with_grids(body.get("responseRanges", []))
        return JSONResponse(answer)

    def _with_grids(self, ranges: list[str]) -> dict[str, Any]:
        """Return the spreadsheet with the cells of some ranges."""
        grids: dict[int, list[dict[str, Any]]] = {}
        for text in ranges:
            area = parse_range(text)
            sheet = self.sheet(area.title)
            notes = sheet.notes[area.row : area.end_row]
            rows = [
                {"values": [_cell_data(cell, note.get(x, "")) for x, cell in enumerate(row, area.column)]}
                for row, note in zip(sheet.read(area), notes, strict=False)
            ]
            grids.setdefault(sheet.id, []).append({"startRow": area.row, "startColumn": area.column, "rowData": rows})
        sheets = [{"properties": self._by_id(name).properties(), "data": data} for name, data in grids.items()]
        return {"spreadsheetId": SPREADSHEET_ID, "sheets": sheets}

    def _step(self, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if kind == "addSheet":
            return self._add_sheet(arguments["properties"])
        if kind == "findReplace":
            return {"findReplace": self._by_id(arguments["range"]["sheetId"]).find_replace(arguments)}
        if kind == "updateCells":
            self._by_id(arguments["range"]["sheetId"]).update_cells(arguments)
        elif kind == "setDataValidation":
            self._set_drop_down(arguments["range"], arguments["rule"])
        elif kind == "updateSheetProperties":
            properties = arguments["properties"]
            rows = properties.get("gridProperties", {}).get("frozenRowCount")
            sheet = self._by_id(properties["sheetId"])
            sheet.frozen_rows = sheet.frozen_rows if rows is None else rows
        elif kind == "repeatCell":
            self._by_id(arguments["range"]["sheetId"])  # the format of cells is not kept
        else:
            raise ValueError(f"the stand-in knows no {kind!r}")
        return {}

    def _set_drop_down(self, area: dict[str, Any], rule: dict[str, Any]) -> None:
        """Set a drop-down on the existing rows; rows inserted later do not inherit it."""
        sheet = self._by_id(area["sheetId"])
        first, end = area["startColumnIndex"], area["endColumnIndex"]
        sheet.drop_downs = [old for old in sheet.drop_downs if (old["column"], old["end_column"]) != (first, end)]
        sheet.drop_downs.append(
            {
                "column": first,
                "end_column": end,
                "end_row": area.get("endRowIndex", sheet.num_rows),
                "values": [value["userEnteredValue"] for value in rule["condition"]["values"]],
                "strict": rule.get("strict", False),
            }
        )

    def _add_sheet(self, properties: dict[str, Any]) -> dict[str, Any]:
        title, grid = properties["title"], properties.get("gridProperties", {})
        if any(sheet.title == title for sheet in self.sheets):
            raise ValueError(f'A sheet with the name "{title}" already exists.')
        sheet = Sheet(
            id=max(sheet.id for sheet in self.sheets) + 1000,
            title=title,
            num_rows=int(grid.get("rowCount", 1000)),
            num_columns=int(grid.get("columnCount", 26)),
        )
        self.sheets.append(sheet)
        return {"addSheet": {"properties": sheet.properties() | {"index": len(self.sheets) - 1}}}

    def _by_id(self, identifier: int) -> Sheet:
        for sheet in self.sheets:
            if sheet.id == identifier:
                return sheet
        raise ValueError(f"No sheet with id: {identifier}")


def _is_raw(request: Request) -> bool:
    option = request.query_params.get("valueInputOption")
    if option not in {"RAW", "USER_ENTERED"}:
        raise ValueError("'valueInputOption' is required but not specified")
    return option == "RAW"


def _cell_data(cell: str, note: str) -> dict[str, Any]:
    data: dict[str, Any] = {"formattedValue": cell, "userEnteredValue": {"stringValue": cell}}
    return data | ({"note": note} if note else {})


def _range_name(sheet: Sheet, area: Range) -> str:
    last_row = min(area.end_row or sheet.num_rows, sheet.num_rows)
    last_column = min(area.end_column or sheet.num_columns, sheet.num_columns)
    last = cell_name(last_row - 1, last_column - 1)
    return f"'{sheet.title}'!{cell_name(area.row, area.column)}:{last}"


def _updates(sheet: Sheet, area: Range, values: list[list[Any]], cells: int) -> dict[str, Any]:
    width = max(map(len, values), default=1)
    last = cell_name(area.row + len(values) - 1, area.column + width - 1)
    return {
        "spreadsheetId": SPREADSHEET_ID,
        "updatedRange": f"'{sheet.title}'!{cell_name(area.row, area.column)}:{last}",
        "updatedRows": len(values),
        "updatedColumns": width,
        "updatedCells": cells,
    }
