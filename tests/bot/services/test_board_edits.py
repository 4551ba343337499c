"""Verdicts of the terminal or the studio are written to the board once, and never over what a person typed there."""

from __future__ import annotations

import threading

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.ports import BoardRow, Change
from bot.services.board_sync import BoardSync
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.table_board import RULES, PatientClock, Run, TableBoard, fill


def verdict(name: str, decision: Decision = Decision.ACCEPT, *, text: str | None = None, who: str = "bo") -> Verdict:
    return Verdict(candidate_id=name, decision=decision, who=who, edited_text=text)


def said(board: TableBoard, name: str) -> tuple[str, str, str]:
    (row,) = [row for row in board.table if row.candidate_id == name]
    return row.status, row.text, row.who


def decisions(store: SqliteStore) -> list[tuple[str, str]]:
    return [(row.candidate.status.value, row.verdict.who if row.verdict else "") for row in store.rows()]


def test_a_verdict_of_the_terminal_comes_to_the_board_once_and_is_no_verdict_of_the_board(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    store.decide([verdict(name, text="A lamp.")])
    summary = run()
    assert (summary.rows_edited, summary.verdicts, summary.is_idle) == (1, 0, False)
    assert said(board, name) == ("accepted", "A lamp.", "bo")
    assert (run().rows_edited, run().verdicts) == (0, 0)
    assert len(board.edits) == 1
    assert decisions(store) == [("accepted", "bo")]


def test_every_later_verdict_follows(store: SqliteStore, board: TableBoard, run: Run, name: str) -> None:
    seen = []
    for decision, text in (
        (Decision.ACCEPT, "A lamp."),
        (Decision.REJECT, None),
        (Decision.UNDO, None),
        (Decision.ACCEPT, None),
        (Decision.ACCEPT, "A light."),
    ):
        store.decide([verdict(name, decision, text=text)])
        assert run().rows_edited == 1
        seen.append(said(board, name)[:2])
    assert seen == [
        ("accepted", "A lamp."),
        ("rejected", "A lamp."),
        ("waiting", "A lamp."),
        ("accepted", "Lamp 1."),
        ("accepted", "A light."),
    ]


def test_a_verdict_of_the_studio_comes_to_the_board(store: SqliteStore, board: TableBoard, run: Run, name: str) -> None:
    with SqliteDesk(store._path) as desk:
        desk.change([Change(verdict=verdict(name, Decision.REJECT, who="ana"), seen=0)])
    run()
    assert said(board, name) == ("rejected", "Lamp 1.", "ana")


def test_a_verdict_that_is_taken_back_before_the_board_has_it_costs_no_call(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    store.decide([verdict(name)])
    store.decide([verdict(name, Decision.UNDO)])
    assert run().rows_edited == 0
    assert board.edits == []


def test_what_was_typed_on_the_board_before_or_after_a_verdict_elsewhere_wins_and_both_stay_on_record(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, second = fill(store, 2)
    run()
    board.decide(first, status="rejected")
    store.decide([verdict(first), verdict(second)])
    board.decide(second, status="rejected")
    summary = run()
    assert (summary.verdicts, summary.rows_edited) == (2, 0)
    assert board.edits == []
    assert decisions(store) == [("rejected", "ana"), ("rejected", "ana")]
    given = store._connection.execute("SELECT decision, who FROM verdict ORDER BY candidate_id, id").fetchall()
    assert list(map(tuple, given)) == [("accept", "bo"), ("reject", "ana")] * 2


def test_what_is_typed_while_the_board_is_written_stays_and_wins(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    store.decide([verdict(name)])
    board.meanwhile = lambda: board.decide(name, status="rejected")
    assert run().rows_edited == 0
    assert run().verdicts == 1
    assert said(board, name) == ("rejected", "Lamp 1.", "ana")
    assert decisions(store) == [("rejected", "ana")]
    assert run().rows_edited == 0


def test_a_text_that_somebody_has_begun_to_edit_stays(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="waiting", text="Half a sent")
    store.decide([verdict(name)])
    run()
    assert said(board, name)[:2] == ("accepted", "Half a sent")
    assert run().verdicts == 0
    assert [row.text for row in store.rows()] == ["Lamp 1."]
    board.decide(name, status="accepted", text="A whole sentence.")
    assert run().verdicts == 1
    assert [row.text for row in store.rows()] == ["A whole sentence."]


def test_a_status_that_is_none_is_left_to_who_typed_it(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="perhaps")
    store.decide([verdict(name)])
    run()
    run()
    assert said(board, name)[0] == "perhaps"
    board.decide(name, status="waiting")
    run()
    assert decisions(store) == [("waiting", "")]


def test_a_row_that_somebody_removed_is_not_looked_for_again(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.table.clear()
    store.decide([verdict(name)])
    assert run().rows_edited == 0
    run()
    assert len(board.edits) == 1


@pytest.mark.parametrize("settled", [False, True])
def test_an_edit_that_was_applied_and_answered_with_an_error_is_found_and_not_written_again(
    store: SqliteStore, board: TableBoard, run: Run, name: str, board_clock: PatientClock, *, settled: bool
) -> None:
    store.decide([verdict(name, text="A lamp.")])
    board.faults = [(DoubtfulError("503 after the write"), True)]
    with pytest.raises(DoubtfulError):
        run()
    board_clock.seconds += 61 * settled
    summary = run()
    assert (summary.rows_edited, summary.verdicts) == (1, 0)
    assert decisions(store) == [("accepted", "bo")]
    board_clock.seconds += 61
    run()
    assert len(board.edits) == 1


def test_an_edit_without_an_answer_that_is_not_there_is_written_again_once_it_cannot_come_any_more(
    store: SqliteStore, board: TableBoard, run: Run, name: str, board_clock: PatientClock
) -> None:
    store.decide([verdict(name)])
    board.faults = [(DoubtfulError("timed out"), False)]
    with pytest.raises(DoubtfulError):
        run()
    run()
    assert len(board.edits) == 1  # a slow server may still apply it
    board_clock.seconds += 61
    assert run().rows_edited == 1
    assert said(board, name)[0] == "accepted"


def test_new_verdicts_do_not_keep_an_edit_in_doubt_for_ever(
    store: SqliteStore, board: TableBoard, run: Run, board_clock: PatientClock
) -> None:
    names = fill(store, 4)
    run()
    board.faults = [(DoubtfulError("timed out"), False)]
    store.decide([verdict(names[0])])
    with pytest.raises(DoubtfulError):
        run()
    for name in names[1:]:
        store.decide([verdict(name)])
        board_clock.seconds += 25
        run()
    assert [said(board, name)[0] for name in names] == ["accepted"] * 4


@pytest.mark.parametrize("error", [NetworkUnavailableError("500"), RateLimitedError("429")], ids=str)
def test_an_edit_that_was_not_applied_is_tried_again_at_once_when_it_may(
    store: SqliteStore, board: TableBoard, run: Run, name: str, error: NetworkError
) -> None:
    store.decide([verdict(name)])
    board.faults = [(error, False)]
    with pytest.raises(type(error)):
        run()
    assert run().rows_edited == 1


@pytest.mark.parametrize("applied", [False, True])
def test_a_bot_killed_around_an_edit_is_followed_by_one_that_looks(
    store: SqliteStore, board: TableBoard, name: str, *, applied: bool
) -> None:
    store.decide([verdict(name)])
    edits = store.begin_edits(9, post_of=lambda _, text: text)
    if applied:
        board.edit(edits)
    summary = Summary()
    BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(PatientClock(), 0)).run(
        summary, threading.Event()
    )
    assert (summary.rows_edited, summary.verdicts) == (1, 0)
    assert said(board, name)[0] == "accepted"
    assert len(board.edits) == 1
    assert decisions(store) == [("accepted", "bo")]


def test_a_verdict_given_while_another_is_being_written_follows_it(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    store.decide([verdict(name)])
    board.meanwhile = lambda: store.decide([verdict(name, Decision.REJECT)])
    run()
    assert said(board, name)[0] == "accepted"
    summary = run()
    assert (summary.rows_edited, summary.verdicts) == (1, 0)
    assert said(board, name)[0] == "rejected"
    assert decisions(store) == [("rejected", "bo")]


def test_a_verdict_given_while_a_row_is_on_its_way_to_the_board_comes_after_it(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    (name,) = fill(store, 1)
    (row,) = store.pending_append(9)
    store.decide([verdict(name)])
    store.begin_append([name])
    board.append([row])
    store.settle_appends(there=[name], missing=())
    assert said(board, name)[0] == "waiting"
    assert run().rows_edited == 1
    assert said(board, name)[0] == "accepted"


def test_words_that_landed_in_another_row_because_somebody_sorted_are_put_right_and_are_no_verdict(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, second, third = fill(store, 3)
    run()
    store.decide([verdict(first, text="A lamp.")])
    board.meanwhile = board.table.reverse
    run()
    assert said(board, third)[:2] == ("accepted", "A lamp.")
    summary = run()
    assert (summary.rows_edited, summary.verdicts) == (2, 0)
    assert said(board, first) == ("accepted", "A lamp.", "bo")
    assert said(board, second) == ("waiting", "Lamp 2.", "")
    assert said(board, third) == ("waiting", "Lamp 3.", "")
    assert [row.candidate.status for row in store.rows()] == [CandidateStatus.ACCEPTED, *["waiting"] * 2]


def test_a_row_of_a_stranger_that_got_the_words_is_no_candidate(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.table.append(BoardRow(candidate_id="8.8.8", status="waiting", text="x"))
    store.decide([verdict(name)])
    board.meanwhile = board.table.reverse
    run()
    assert run().rows_edited == 1
    assert said(board, name)[0] == "accepted"


def test_many_verdicts_take_several_passes_and_all_arrive(store: SqliteStore, board: TableBoard, run: Run) -> None:
    names = fill(store, 250)
    run()
    store.decide([verdict(name, Decision.REJECT) for name in names])
    assert [run().rows_edited for _ in range(4)] == [100, 100, 50, 0]
    assert {row.status for row in board.table} == {"rejected"}
