"""A board that is full, protected, renamed, emptied or picky stops neither the verdicts nor the other rows."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import CredentialsError, InputError, NetworkError, NetworkUnavailableError
from bot.ports import Board, BoardEdit, BoardEdited, QueueRow
from bot.sandbox.server import SandboxServer
from bot.services.board_sync import BoardSync
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.sandbox_clients import open_book
from tests.bot.helpers.sheets_board import make_row, open_board
from tests.bot.helpers.table_board import RULES, PatientClock, Run, TableBoard, fill, passes

FULL = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "The number of cells is too high."}}
PROTECTED = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "You are editing a protected range."}}


class PickyBoard(TableBoard):
    """A table that refuses every call with one of the odd rows in it."""

    def __init__(self, odd: Sequence[str]) -> None:
        super().__init__()
        self.odd = set(odd)

    def append(self, rows: Sequence[QueueRow]) -> None:
        self._check([row.candidate.id for row in rows])
        super().append(rows)

    def edit(self, edits: Sequence[BoardEdit]) -> BoardEdited:
        self._check([edit.candidate_id for edit in edits])
        return super().edit(edits)

    def _check(self, names: Sequence[str]) -> None:
        if self.odd & set(names):
            raise NetworkUnavailableError("400: a row is odd", refuses_rows=True)


def sync(board: Board, store: SqliteStore) -> BoardSync:
    return BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(PatientClock(), 60))


def one_pass(board_sync: BoardSync) -> Summary:
    summary = Summary()
    board_sync.run(summary, threading.Event())
    return summary


def test_a_row_that_the_board_refuses_is_set_aside_and_the_others_go_on(store: SqliteStore) -> None:
    ids = fill(store, 30)
    board = PickyBoard([ids[7]])
    run = passes(board, store, PatientClock())
    summary = run()
    assert (summary.rows_appended, summary.odd_items) == (29, 1)
    assert board.ids() == set(ids) - {ids[7]}
    assert store.state().odd_items == {"board": 1}
    assert store.state().set_aside[0].item.key == ids[7]
    # It is not tried again, and nothing is in doubt.
    appends = board.appends
    assert run().rows_appended == 0
    assert (board.appends, store.state().appends_in_doubt) == (appends, 0)


def test_odd_rows_at_the_beginning_do_not_hold_up_the_rest(store: SqliteStore) -> None:
    ids = fill(store, 20)
    board = PickyBoard(ids[:3])
    summary = one_pass(sync(board, store))
    assert (summary.rows_appended, summary.odd_items) == (17, 3)


def test_a_board_that_refuses_every_row_uses_up_none(store: SqliteStore) -> None:
    ids = fill(store, 8)
    board = PickyBoard(ids)
    with pytest.raises(NetworkUnavailableError):
        one_pass(sync(board, store))
    board.odd.clear()
    assert one_pass(sync(board, store)).rows_appended == 8


def test_an_edit_that_the_board_refuses_costs_no_other(store: SqliteStore) -> None:
    ids = fill(store, 4)
    board = PickyBoard([])
    run = passes(board, store, PatientClock())
    run()
    board.odd = {ids[2]}
    decide(store, *ids)
    summary = run()
    assert (summary.rows_edited, summary.odd_items) == (3, 1)
    assert run().odd_items == 0


def decide(store: SqliteStore, *ids: str) -> None:

    store.decide([Verdict(candidate_id=name, decision=Decision.REJECT, who="bo") for name in ids])


@pytest.mark.parametrize("error", [NetworkUnavailableError("full"), CredentialsError("protected")])
def test_verdicts_are_read_though_no_row_can_be_appended(store: SqliteStore, error: NetworkError) -> None:
    (first,) = fill(store, 1)
    board = TableBoard()
    board_sync = sync(board, store)
    one_pass(board_sync)
    board.decide(first, status="accepted")
    fill(store, 1, source_post="2")
    board.faults = [(error, False)]
    with pytest.raises(type(error)):
        one_pass(board_sync)
    assert store.state().candidates[CandidateStatus.ACCEPTED] == 1


def test_a_row_that_somebody_copied_expresses_no_verdict_until_the_copy_is_gone(store: SqliteStore) -> None:
    (first,) = fill(store, 1)
    board = TableBoard()
    run = passes(board, store, PatientClock())
    run()
    copy = board.table[0]
    board.decide(first, status="accepted")
    board.table.append(copy)
    for _ in range(3):
        assert run().verdicts == 0
    board.table.pop()
    assert run().verdicts == 1


def test_rows_that_are_gone_are_counted(store: SqliteStore) -> None:
    fill(store, 3)
    board = TableBoard()
    run = passes(board, store, PatientClock())
    run()
    board.table.pop()
    assert run().rows_missing == 1
    assert store.state().rows_missing == 1
    decide(store, *[row.candidate.id for row in store.rows()])
    run()
    assert store.state().rows_missing == 0


@pytest.fixture
def sheet_pass(sandbox: SandboxServer, store: SqliteStore) -> Callable[[], Summary]:
    """A pass of a bot that was just started, on the sheet."""
    return lambda: one_pass(sync(open_board(sandbox, tabs=store, timeout_s=5), store))


@pytest.mark.parametrize(("status", "answer"), [(400, FULL), (403, PROTECTED)])
def test_a_sheet_that_takes_no_rows_still_gives_its_verdicts(
    sandbox: SandboxServer, store: SqliteStore, sheet_pass: Run, status: int, answer: object
) -> None:
    (first,) = fill(store, 1)
    sheet_pass()
    fill(store, 2, source_post="2")
    sandbox.control.edit("queue", first, "status", "accepted")
    sandbox.control.fail("sheets.append", kind="json", status=status, document=answer)
    with pytest.raises(NetworkError):
        sheet_pass()
    assert store.state().candidates[CandidateStatus.ACCEPTED] == 1
    assert len(sandbox.control.calls("sheets.append")) == 2  # a full sheet is not asked row by row
    assert sheet_pass().rows_appended == 2


def test_a_cell_that_is_too_long_is_cut_with_a_mark(sandbox: SandboxServer) -> None:
    board = open_board(sandbox, timeout_s=5)
    board.prepare()
    board.append([make_row(1, "🎵" * 30_000), make_row(2)])
    header, first, _ = sandbox.control.sheet("queue")
    text = first[header.index("commentary")]
    assert text.endswith("🎵 … (cut)")
    assert len(text.encode("utf-16-le")) // 2 <= 50_000


@pytest.mark.parametrize("notes", ["", "my notes"])
def test_a_blank_first_column_shifts_no_row(sandbox: SandboxServer, notes: str) -> None:
    book = open_book(sandbox)
    sheet = book.add_worksheet("queue", rows=5, cols=5)
    sheet.update([["", "candidate_id", "status", "commentary"], *([[notes]] if notes else [])], "A1", raw=True)
    board = open_board(sandbox, timeout_s=5)
    board.prepare()
    board.append([make_row(1)])
    assert board.ids() == {make_row(1).candidate.id}


def test_a_renamed_tab_is_found_by_its_id(sandbox: SandboxServer, store: SqliteStore, sheet_pass: Run) -> None:
    first, _ = fill(store, 2)
    board_sync = sync(open_board(sandbox, tabs=store, timeout_s=5), store)
    one_pass(board_sync)
    sandbox.control.edit("queue", first, "status", "accepted")
    sandbox.control.rename("queue", "Queue (autumn)")
    with pytest.raises(NetworkError):
        one_pass(board_sync)  # the running bot looks for the tab with its next pass
    assert one_pass(board_sync).verdicts == 1
    sandbox.control.edit("Queue (autumn)", first, "status", "rejected")
    assert sheet_pass().verdicts == 1
    with pytest.raises(RuntimeError):
        sandbox.control.sheet("queue")


def test_a_deleted_tab_is_reported_and_not_replaced_by_an_empty_one(
    sandbox: SandboxServer, store: SqliteStore, sheet_pass: Run
) -> None:
    fill(store, 2)
    sheet_pass()
    sandbox.control.delete("queue")
    for _ in range(2):
        with pytest.raises(InputError, match=r"gone.*version history"):
            sheet_pass()


def test_a_new_tab_gets_the_candidates_that_wait(sandbox: SandboxServer, store: SqliteStore, sheet_pass: Run) -> None:
    fill(store, 3)
    sheet_pass()
    other = open_board(sandbox, tabs=store, timeout_s=5, worksheet="winter")
    assert one_pass(sync(other, store)).rows_appended == 3
    assert len(sandbox.control.sheet("winter")) == 4
