"""The board: every candidate on it once, and what curators do there is read back."""

from __future__ import annotations

import threading

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.ports import BoardRow
from bot.services.board_sync import BoardSync
from bot.services.schedule import Clock, SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.table_board import RULES, PatientClock, Run, TableBoard, fill


def placed(board: TableBoard) -> list[str]:
    return [row.candidate_id for row in board.table]


def test_every_candidate_comes_to_the_board_once_in_bounded_appends(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    ids = fill(store, 250)
    assert run().rows_appended == 250
    assert run().rows_appended == 0
    assert placed(board) == ids
    assert board.appends == 3


def test_rows_that_were_applied_and_answered_with_an_error_are_not_appended_again(
    store: SqliteStore, board: TableBoard, run: Run, board_clock: PatientClock
) -> None:
    ids = fill(store, 3)
    board.faults = [(DoubtfulError("503 after the write"), True)]
    with pytest.raises(DoubtfulError):
        run()
    assert store.state().appends_in_doubt == 3
    board_clock.seconds += 61
    assert run().rows_appended == 3
    assert placed(board) == ids
    assert store.state().appends_in_doubt == 0


def test_rows_without_an_answer_that_are_not_there_are_appended_again(
    store: SqliteStore, board: TableBoard, run: Run, board_clock: PatientClock
) -> None:
    ids = fill(store, 3)
    board.faults = [(DoubtfulError("timed out"), False)]
    with pytest.raises(DoubtfulError):
        run()
    run()
    assert placed(board) == []  # a slow server may still apply it
    board_clock.seconds += 61
    run()
    assert placed(board) == ids


def test_half_an_append_is_completed(store: SqliteStore, board: TableBoard, board_clock: PatientClock) -> None:
    ids = fill(store, 4)
    store.begin_append(ids[:3])
    board.table = [BoardRow(candidate_id=ids[1], status="waiting", text="Lamp 2.")]
    fresh = BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(board_clock, 0))
    fresh.run(Summary(), threading.Event())
    assert sorted(placed(board)) == sorted(ids)


@pytest.mark.parametrize("error", [NetworkUnavailableError("500"), RateLimitedError("429")], ids=str)
def test_an_append_that_was_not_applied_is_tried_again_at_once_when_it_may(
    store: SqliteStore, board: TableBoard, run: Run, error: NetworkError
) -> None:
    ids = fill(store, 3)
    board.faults = [(error, False)]
    with pytest.raises(type(error)):
        run()
    run()
    assert placed(board) == ids


def test_a_database_put_back_from_a_copy_doubles_no_row(store: SqliteStore, board: TableBoard, run: Run) -> None:
    ids = fill(store, 3)
    board.table = [BoardRow(candidate_id=name, status="waiting", text="Lamp.") for name in ids[:2]]
    run()
    assert sorted(placed(board)) == ids


def test_candidates_decided_elsewhere_before_do_not_come_to_the_board(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    ids = fill(store, 3)
    store.decide([Verdict(candidate_id=ids[1], decision=Decision.REJECT, who="bo")])
    run()
    assert placed(board) == [ids[0], ids[2]]


def test_verdicts_are_read_with_who_and_edited_text_and_once(store: SqliteStore, board: TableBoard, run: Run) -> None:
    ids = fill(store, 3)
    run()
    board.table.reverse()  # curators sort
    board.decide(ids[0], status="accepted", text=" A lamp. ")
    board.decide(ids[1], status=" Rejected", who="")
    assert run().verdicts == 2
    assert run().verdicts == 0
    first, second, third = store.rows()
    assert first.verdict == Verdict(candidate_id=ids[0], decision=Decision.ACCEPT, who="ana", edited_text="A lamp.")
    assert second.verdict == Verdict(candidate_id=ids[1], decision=Decision.REJECT, who="board")
    assert third.verdict is None


def test_a_changed_mind_is_a_new_verdict(store: SqliteStore, board: TableBoard, run: Run) -> None:
    (name,) = fill(store, 1)
    run()
    seen = []
    for status, text in (
        ("accepted", None),
        ("accepted", "A lamp."),
        ("rejected", None),
        ("rejected", "Never mind."),
        ("", None),
        ("accepted", "Lamp 1."),
    ):
        board.decide(name, status=status, text=text)
        run()
        (row,) = store.rows()
        seen.append((row.candidate.status.value, row.text))
    assert seen == [
        ("accepted", "Lamp 1."),
        ("accepted", "A lamp."),
        ("rejected", "Lamp 1."),
        ("rejected", "Lamp 1."),
        ("waiting", "Lamp 1."),
        ("accepted", "Lamp 1."),
    ]


def test_an_old_row_does_not_undo_a_verdict_given_elsewhere(store: SqliteStore, board: TableBoard, run: Run) -> None:
    (name,) = fill(store, 1)
    run()
    store.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="studio")])
    assert run().verdicts == 0
    board.decide(name, status="rejected")
    assert run().verdicts == 1
    assert [row.candidate.status for row in store.rows()] == [CandidateStatus.REJECTED]


def test_what_is_no_verdict_is_named_once_and_changes_nothing(store: SqliteStore, board: TableBoard, run: Run) -> None:
    ids = fill(store, 2)
    run()
    board.decide(ids[0], status="perhaps")
    assert run().notices == [f"table: {ids[0]}: 'perhaps' is not a status"]
    assert run().notices == []
    assert {row.candidate.status for row in store.rows()} == {CandidateStatus.WAITING}
    board.decide(ids[0], status="accepted")
    assert run().verdicts == 1


def test_rows_of_strangers_and_removed_rows_do_no_harm(store: SqliteStore, board: TableBoard, run: Run) -> None:
    ids = fill(store, 2)
    run()
    board.table = [BoardRow(candidate_id="8.8.8", status="accepted", text="x"), board.table[1]]
    summary = run()
    assert (summary.verdicts, summary.notices, summary.rows_appended) == (0, [], 0)
    assert placed(board) == ["8.8.8", ids[1]]


def test_an_accepted_edit_changes_the_post_that_is_still_to_be_sent(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    (name,) = fill(store, 1)
    run()
    board.decide(name, status="accepted")
    run()
    store.enqueue_accepted(since=Clock().now().replace(year=2000))
    board.decide(name, status="accepted", text="A lamp.")
    run()
    ((post, _),) = store.pending_posts(9)
    assert post.text == "A lamp."
