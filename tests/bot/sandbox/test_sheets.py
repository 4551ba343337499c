from __future__ import annotations

import gspread
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from google.auth.exceptions import RefreshError
from gspread.utils import ValidationConditionType, ValueInputOption

from bot.sandbox.server import SandboxServer
from bot.sandbox.sheet_grid import Range, RangeError, Sheet, cell_name, parse_range
from tests.bot.helpers.sandbox_clients import append, open_book


@pytest.fixture
def sheet(sandbox: SandboxServer) -> gspread.Worksheet:
    sheet = open_book(sandbox).add_worksheet("Queue", rows=3, cols=4)
    sheet.update([["id", "status", "text"]], "A1")
    return sheet


def test_rows_are_appended_below_the_table_and_read_as_they_were_written(sheet: gspread.Worksheet) -> None:
    append(sheet, ["1700000000000000001.1.1", "waiting", "=1+1"])
    append(sheet, ["2", "waiting", "two\nlines"], ["3", "", "'quoted"])
    assert sheet.get_all_values()[1:] == [
        ["1700000000000000001.1.1", "waiting", "=1+1"],
        ["2", "waiting", "two\nlines"],
        ["3", "", "'quoted"],
    ]
    assert sheet.col_values(1) == ["id", "1700000000000000001.1.1", "2", "3"]


def test_what_is_typed_rather_than_given_raw_loses_digits_and_becomes_formulas(sheet: gspread.Worksheet) -> None:
    sheet.append_rows([["1700000000000000001", "x", "=1+1"]], value_input_option=ValueInputOption.user_entered)
    assert sheet.row_values(2) == ["1.70000E+18", "x", "#NAME?"]


def test_rows_keep_their_cells_when_a_curator_sorts_and_edits(sandbox: SandboxServer, sheet: gspread.Worksheet) -> None:
    append(sheet, ["1", "waiting", "b"], ["2", "waiting", "a"])
    sandbox.control.sort("Queue", "text")
    sandbox.control.edit("Queue", "1", "status", "accepted")
    append(sheet, ["3", "waiting", "c"])
    assert sheet.get_all_values()[1:] == [["2", "waiting", "a"], ["1", "accepted", "b"], ["3", "waiting", "c"]]


def test_a_drop_down_refuses_other_values(sandbox: SandboxServer, sheet: gspread.Worksheet) -> None:
    append(sheet, ["1", "waiting", "b"])
    sheet.add_validation("B2:B", ValidationConditionType.one_of_list, ["waiting", "accepted"], strict=True)
    with pytest.raises(RuntimeError, match="takes one of"):
        sandbox.control.edit("Queue", "1", "status", "perhaps")
    sandbox.control.edit("Queue", "1", "text", "perhaps")


def test_a_row_or_column_that_is_not_there_cannot_be_edited(sandbox: SandboxServer, sheet: gspread.Worksheet) -> None:
    append(sheet, ["1", "waiting", "b"])
    for key, column in (("2", "text"), ("1", "colour")):
        with pytest.raises(RuntimeError, match="has no row"):
            sandbox.control.edit("Queue", key, column, "x")


def test_a_sheet_that_is_there_is_not_made_again(sandbox: SandboxServer, sheet: gspread.Worksheet) -> None:
    with pytest.raises(gspread.exceptions.APIError, match="already exists"):
        open_book(sandbox).add_worksheet(sheet.title, rows=1, cols=1)


def test_an_assertion_of_another_key_brings_no_token(sandbox: SandboxServer) -> None:
    other = (
        rsa.generate_private_key(public_exponent=65537, key_size=2048)
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
    )
    with pytest.raises(RefreshError, match="invalid_grant"):
        open_book(sandbox, private_key=other)


def test_an_expired_token_is_renewed_by_the_client(sandbox: SandboxServer, sheet: gspread.Worksheet) -> None:
    sandbox.control.fail("sheets.values", kind="expired")
    assert sheet.col_values(1) == ["id"]
    assert len(sandbox.control.calls("google.token")) == 2


def test_an_append_that_was_applied_and_then_answered_503_is_on_the_sheet(
    sandbox: SandboxServer, sheet: gspread.Worksheet
) -> None:
    sandbox.control.fail("sheets.append", status=503, applied=True)
    with pytest.raises(gspread.exceptions.APIError) as caught:
        append(sheet, ["1", "waiting", "b"])
    assert caught.value.code == 503
    assert sandbox.control.sheet("Queue")[1:] == [["1", "waiting", "b"]]


@pytest.mark.slow
def test_more_than_sixty_reads_in_a_minute_are_refused() -> None:
    with SandboxServer() as sandbox:
        book = open_book(sandbox)
        for _ in range(59):
            book.fetch_sheet_metadata()
        with pytest.raises(gspread.exceptions.APIError, match="Quota exceeded"):
            book.fetch_sheet_metadata()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Queue", Range(title="Queue")),
        ("'My queue'", Range(title="My queue")),
        ("'It''s'!A1", Range(title="It's", end_row=1, end_column=1)),
        ("Queue!A:A", Range(title="Queue", end_column=1)),
        ("B2:C", Range(title=None, row=1, column=1, end_column=3)),
        ("Queue!AA10", Range(title="Queue", row=9, column=26, end_row=10, end_column=27)),
    ],
)
def test_a1_notation_is_read(text: str, expected: Range) -> None:
    assert parse_range(text) == expected


def test_a_cell_outside_of_the_grid_is_refused() -> None:
    sheet = Sheet(id=0, title="Queue", num_rows=2, num_columns=2)
    with pytest.raises(RangeError, match="exceeds grid limits"):
        sheet.write(0, 1, [["a", "b"]], raw=True)
    with pytest.raises(RangeError, match="exceeds grid limits"):
        sheet.write(1, 0, [["a"], ["b"]], raw=True)


def test_columns_are_named_as_in_a_spreadsheet() -> None:
    assert [cell_name(0, number) for number in (0, 25, 26, 701, 702)] == ["A1", "Z1", "AA1", "ZZ1", "AAA1"]


def test_a_note_stays_with_its_cell_when_rows_are_appended_and_sorted(
    sandbox: SandboxServer, sheet: gspread.Worksheet
) -> None:
    append(sheet, ["1", "waiting", "b"], ["2", "waiting", "a"])
    sheet.update_note("B2", "too long")
    assert sandbox.control.notes("Queue") == {"1": "too long"}
    sandbox.control.sort("Queue", "text")
    append(sheet, ["3", "waiting", "c"])
    assert sandbox.control.notes("Queue") == {"1": "too long"}
    sheet.update_note("B3", "")
    assert sandbox.control.notes("Queue") == {}
    with pytest.raises(gspread.exceptions.APIError, match="grid limits"):
        sheet.update_note("Z99", "x")


@pytest.mark.parametrize("fields", ["*", "userEnteredFormat", "note,userEnteredValue", ""])
def test_what_the_stand_in_does_not_keep_is_refused(sheet: gspread.Worksheet, fields: str) -> None:
    area = {"sheetId": sheet.id, "startRowIndex": 0, "endRowIndex": 1, "startColumnIndex": 0, "endColumnIndex": 1}
    step = {"updateCells": {"range": area, "rows": [{"values": [{"note": "x"}]}], "fields": fields}}
    with pytest.raises(gspread.exceptions.APIError, match="Invalid request"):
        sheet.spreadsheet.batch_update({"requests": [step]})
    assert sheet.row_values(1) == ["id", "status", "text"]
