"""What the bot shows beside a row of the sheet: a note at its status, and the post as it will be sent."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bot.adapters.sheets.board import SheetsBoard
from bot.adapters.sheets.cells import CELLS, COLUMNS, MAX_CELL, POST
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.ports import BoardEdit, BoardEdited, BoardRow, QueueRow
from bot.sandbox.server import SandboxServer
from bot.services.board_sync import BoardSync
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.sandbox_clients import open_book
from tests.bot.helpers.sheets_board import SOURCE_POST_ID, fields_of, make_row, open_board
from tests.bot.helpers.table_board import RULES, PatientClock, fill

FIRST, SECOND = (f"{SOURCE_POST_ID}.1.{number}" for number in (1, 2))
LONG = ("long " * 70).strip()


def post_of(row: QueueRow) -> str:
    return RULES.preview(row).text


@pytest.fixture
def board(sandbox: SandboxServer) -> SheetsBoard:
    """Two waiting rows."""
    board = open_board(sandbox, post_of=post_of, timeout_s=5)
    board.prepare()
    board.append([make_row(1, "b"), make_row(2, "a")])
    return board


def edit(name: str, *, note: str | None, post: str | None = None) -> BoardEdit:
    text = {FIRST: "b", SECOND: "a"}[name]
    seen = BoardRow(candidate_id=name, status="waiting", text=text)
    return BoardEdit(seen=seen, status="waiting", note=note, post=post)


def test_a_note_is_set_and_moves_with_its_row_and_is_removed(sandbox: SandboxServer, board: SheetsBoard) -> None:
    before = fields_of(sandbox)
    assert board.edit([edit(FIRST, note="too long")]).written == {FIRST}
    assert sandbox.control.notes("queue") == {FIRST: "too long"}
    sandbox.control.sort("queue", "commentary")
    assert sandbox.control.notes("queue") == {FIRST: "too long"}
    board.edit([edit(SECOND, note="blocked"), edit(FIRST, note=None)])
    assert sandbox.control.notes("queue") == {FIRST: "too long", SECOND: "blocked"}
    board.edit([edit(FIRST, note=""), edit(SECOND, note="")])
    assert sandbox.control.notes("queue") == {}
    assert sorted(fields_of(sandbox), key=str) == sorted(before, key=str)


def test_the_answer_tells_that_a_note_is_in_another_row(sandbox: SandboxServer, board: SheetsBoard) -> None:
    sandbox.control.fail("sheets.batch_update", kind="hold")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(board.edit([edit(FIRST, note="too long")])))
    thread.start()
    sandbox.control.wait_for_hold()
    sandbox.control.sort("queue", "commentary")
    sandbox.control.release()
    thread.join()
    (edited,) = answers
    assert edited == BoardEdited(written=frozenset(), left=frozenset({FIRST}), noted=frozenset({SECOND}))
    assert sandbox.control.notes("queue") == {SECOND: "too long"}


def test_a_reason_of_any_length_fits_into_its_note(sandbox: SandboxServer, board: SheetsBoard) -> None:
    board.edit([edit(FIRST, note="x" * 60_000, post="y" * 60_000)])
    assert sandbox.control.notes("queue") == {FIRST: "x" * 1_000}
    (row,) = [row for row in fields_of(sandbox) if row["candidate_id"] == FIRST]
    assert len(row[POST]) == MAX_CELL


def test_a_new_sheet_shows_the_posts_and_an_older_one_once_it_has_the_column(sandbox: SandboxServer) -> None:
    older = [name for name in COLUMNS if name != POST]
    assert [name for name, _ in CELLS] == older
    sheet = open_book(sandbox).add_worksheet("queue", rows=5, cols=len(COLUMNS))
    sheet.update([older], "A1")
    board = open_board(sandbox, post_of=post_of, timeout_s=5)
    board.prepare()
    assert not board.shows_posts
    board.append([make_row(1, "b")])
    board.edit([edit(FIRST, note=None, post="the post")])
    assert all("the post" not in row for row in sandbox.control.sheet("queue"))
    sheet.update([[POST]], f"{chr(ord('A') + len(older))}1")
    assert {row.candidate_id for row in board.rows()} == {FIRST}
    assert board.shows_posts
    board.append([make_row(2, "=a")])
    board.edit([edit(FIRST, note=None, post="=1+1")])
    assert [row[POST] for row in fields_of(sandbox)] == ["=1+1", "Ona Vell – Moss: =a"]


@pytest.fixture
def once(store: SqliteStore, sandbox: SandboxServer) -> Callable[[], Summary]:
    """A pass of the board on the sheet."""
    board = open_board(sandbox, post_of=post_of, timeout_s=5)
    sync = BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(PatientClock(), 60))

    def run() -> Summary:
        summary = Summary()
        sync.run(summary, threading.Event())
        return summary

    return run


def test_on_the_sheet_a_text_that_is_too_long_is_set_back_and_mended(
    store: SqliteStore, sandbox: SandboxServer, once: Callable[[], Summary]
) -> None:
    first, second = fill(store, 2)
    once()
    sandbox.control.edit("queue", first, "commentary", LONG)
    sandbox.control.edit("queue", first, "curator", "Ana")
    sandbox.control.edit("queue", first, "status", "accepted")
    sandbox.control.edit("queue", second, "status", "accepted")
    assert once().verdicts == 1
    row = next(row for row in fields_of(sandbox) if row["candidate_id"] == first)
    assert (row["status"], row["commentary"], row["curator"]) == ("waiting", LONG, "Ana")
    assert row[POST] == f"Ona – Moss: {LONG}"
    assert sandbox.control.notes("queue") == {first: "the post is too long, 361 of 280 characters of X: edit it first"}
    sandbox.control.forget_calls()
    once()
    assert sandbox.control.calls("sheets.batch_update") == []
    sandbox.control.edit("queue", first, "commentary", "A short lamp.")
    sandbox.control.edit("queue", first, "status", "accepted")
    once()
    assert sandbox.control.notes("queue") == {}
    assert [row[POST] for row in fields_of(sandbox)] == ["Ona – Moss: A short lamp.", "Ona – Moss: Lamp 2."]
    assert [row.verdict.who for row in store.rows(status=CandidateStatus.ACCEPTED) if row.verdict] == ["Ana", "board"]


def test_a_text_that_somebody_has_begun_in_the_other_row_stays(sandbox: SandboxServer, board: SheetsBoard) -> None:
    """A row that got nothing but another one's note, because somebody sorted, is not restored: its text is its own."""
    seen = BoardRow(candidate_id=FIRST, status="accepted", text="b")
    sandbox.control.edit("queue", FIRST, "status", "accepted")
    sandbox.control.fail("sheets.batch_update", kind="hold")
    answers = []
    set_back = BoardEdit(seen=seen, status="waiting", note="too long")
    thread = threading.Thread(target=lambda: answers.append(board.edit([set_back])))
    thread.start()
    sandbox.control.wait_for_hold()
    sandbox.control.sort("queue", "commentary")
    sandbox.control.edit("queue", SECOND, "commentary", "half a sent")
    sandbox.control.release()
    thread.join()
    (edited,) = answers
    assert edited.misplaced == ()
    assert edited.noted == {SECOND}
    assert {row.candidate_id: row.status for row in board.rows()} == {FIRST: "accepted", SECOND: "waiting"}
