"""Edits for verdicts given elsewhere, in a sheet in which people sort, edit and remove rows at the same time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Thread
from typing import Any

import pytest

from bot.adapters.sheets.board import SheetsBoard
from bot.domain.errors import CredentialsError, DoubtfulError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.ports import BoardEdit, BoardEdited, BoardRow
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import open_book
from tests.bot.helpers.sheets_board import SOURCE_POST_ID, fields_of, make_row, open_board

FIRST, SECOND, THIRD = (f"{SOURCE_POST_ID}.1.{number}" for number in (1, 2, 3))
TEXTS = {FIRST: "b", SECOND: "c", THIRD: "a"}


@pytest.fixture
def board(sandbox: SandboxServer) -> SheetsBoard:
    """Three waiting rows."""
    board = open_board(sandbox)
    board.prepare()
    board.append([make_row(number, text) for number, text in enumerate(TEXTS.values(), 1)])
    return board


def change(name: str, status: str = "accepted", text: str | None = None, *, who: str = "bo") -> BoardEdit:
    seen = BoardRow(candidate_id=name, status="waiting", text=TEXTS[name])
    return BoardEdit(seen=seen, status=status, text=text, who=who)


def said(sandbox: SandboxServer, name: str) -> tuple[str, str, str]:
    (row,) = [row for row in fields_of(sandbox) if row["candidate_id"] == name]
    return row["status"], row["commentary"], row["curator"]


def while_it_is_on_its_way(
    sandbox: SandboxServer, board: SheetsBoard, edit: BoardEdit, act: Callable[[], None]
) -> BoardEdited:
    """Run an action between the bot's read and its write."""
    sandbox.control.fail("sheets.batch_update", kind="hold")
    answers: list[BoardEdited] = []
    thread = Thread(target=lambda: answers.append(board.edit([edit])))
    thread.start()
    sandbox.control.wait_for_hold()
    act()
    sandbox.control.release()
    thread.join()
    return answers[0]


def test_rows_are_found_by_their_id_and_changed_in_one_call(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.sort("queue", "commentary")
    before = {row["candidate_id"]: row for row in fields_of(sandbox)}
    sandbox.control.forget_calls()
    edited = board.edit([change(FIRST, text="A lamp."), change(SECOND, "rejected", who="ana")])
    assert edited == BoardEdited(written=frozenset({FIRST, SECOND}))
    assert len(sandbox.control.calls("sheets.batch_update")) == 1
    after = {row["candidate_id"]: row for row in fields_of(sandbox)}
    assert after[FIRST] == before[FIRST] | {"status": "accepted", "commentary": "A lamp.", "curator": "bo"}
    assert after[SECOND] == before[SECOND] | {"status": "rejected", "curator": "ana"}
    assert after[THIRD] == before[THIRD]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["=IMPORTXML(1)", "+1", "1e9", "TRUE", "May 5", "two\nlines", "音楽 🎧"])
def test_an_edited_text_stays_what_it_is(board: SheetsBoard, text: str) -> None:
    board.edit([change(FIRST, text=text)])
    assert {row.candidate_id: row.text for row in board.rows()}[FIRST] == text


def test_a_row_that_somebody_changed_since_it_was_read_is_left(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.edit("queue", FIRST, "status", "rejected")
    sandbox.control.edit("queue", SECOND, "commentary", "c, edited")
    edited = board.edit([change(FIRST), change(SECOND), change(THIRD)])
    assert edited == BoardEdited(written=frozenset({THIRD}), left=frozenset({FIRST, SECOND}))
    assert said(sandbox, FIRST) == ("rejected", "b", "")
    assert said(sandbox, SECOND) == ("waiting", "c, edited", "")


def test_a_status_that_somebody_chooses_while_the_call_is_on_its_way_stays(
    sandbox: SandboxServer, board: SheetsBoard
) -> None:
    edited = while_it_is_on_its_way(
        sandbox, board, change(FIRST), lambda: sandbox.control.edit("queue", FIRST, "status", "rejected")
    )
    assert edited == BoardEdited(written=frozenset(), left=frozenset({FIRST}))
    assert said(sandbox, FIRST)[0] == "rejected"


def test_sorting_while_the_call_is_on_its_way_is_seen_in_its_answer(sandbox: SandboxServer, board: SheetsBoard) -> None:
    edited = while_it_is_on_its_way(
        sandbox,
        board,
        change(FIRST, text="A lamp."),
        lambda: sandbox.control.sort("queue", "commentary"),
    )
    assert edited.left == {FIRST}
    assert said(sandbox, FIRST) == ("waiting", "b", "")
    assert edited.misplaced == (BoardRow(candidate_id=THIRD, status="accepted", text="A lamp.", who="bo"),)
    assert board.edit([BoardEdit(seen=edited.misplaced[0], status="waiting", text="a")]).written == {THIRD}
    assert said(sandbox, THIRD) == ("waiting", "a", "")


def test_a_row_that_is_gone_is_named(sandbox: SandboxServer, board: SheetsBoard) -> None:
    open_book(sandbox).worksheet("queue").update([["x"]], "A2")
    assert board.edit([change(FIRST)]) == BoardEdited(written=frozenset(), gone=frozenset({FIRST}))


def test_a_curators_name_that_somebody_typed_stays(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.edit("queue", FIRST, "curator", "Ada")
    assert board.edit([change(FIRST)]).written == {FIRST}
    assert said(sandbox, FIRST) == ("accepted", "b", "Ada")


def test_an_emptied_status_is_one_that_waits(sandbox: SandboxServer, board: SheetsBoard) -> None:
    open_book(sandbox).worksheet("queue").update([[""]], "B2")
    assert board.edit([change(FIRST)]).left == {FIRST}
    seen = BoardRow(candidate_id=FIRST, status="", text="b")
    assert board.edit([BoardEdit(seen=seen, status="accepted", who="bo")]).written == {FIRST}
    assert said(sandbox, FIRST) == ("accepted", "b", "bo")


def test_columns_may_stand_anywhere_and_a_sheet_without_curators_is_edited_too(sandbox: SandboxServer) -> None:
    mine = open_book(sandbox).add_worksheet("queue", rows=5, cols=6)
    mine.update([["note", "commentary", "x", "status", "candidate_id"], ["keep", "a", "y", "waiting", THIRD]], "A1")
    board = open_board(sandbox)
    board.prepare()
    assert board.edit([change(THIRD, text="A lamp.")]).written == {THIRD}
    assert fields_of(sandbox) == [
        {"note": "keep", "commentary": "A lamp.", "x": "y", "status": "accepted", "candidate_id": THIRD}
    ]


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "json", "status": 200, "document": ["what"]},
        {"kind": "json", "status": 200, "document": {"updatedSpreadsheet": {"sheets": [{"data": [{"rowData": 7}]}]}}},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_an_edit_without_a_clear_answer_is_in_doubt_and_sent_once(
    sandbox: SandboxServer, board: SheetsBoard, fault: Mapping[str, Any], *, applied: bool
) -> None:
    sandbox.control.forget_calls()
    sandbox.control.fail("sheets.batch_update", applied=applied, **fault)
    with pytest.raises(DoubtfulError):
        board.edit([change(FIRST)])
    assert len(sandbox.control.calls("sheets.batch_update")) == 1
    assert said(sandbox, FIRST)[0] == ("accepted" if applied else "waiting")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429}, RateLimitedError),
        ({"status": 403}, CredentialsError),
        ({"status": 400}, NetworkUnavailableError),
    ],
)
def test_an_edit_that_was_refused_was_not_applied(
    sandbox: SandboxServer, board: SheetsBoard, fault: Mapping[str, Any], error: type[NetworkError]
) -> None:
    sandbox.control.fail("sheets.batch_update", **fault)
    with pytest.raises(NetworkError) as caught:
        board.edit([change(FIRST)])
    assert type(caught.value) is error
    assert said(sandbox, FIRST)[0] == "waiting"


def test_when_the_look_fails_nothing_was_written(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.fail("sheets.batch_get", status=503)
    with pytest.raises(NetworkUnavailableError):
        board.edit([change(FIRST)])
    assert said(sandbox, FIRST)[0] == "waiting"
