"""A verdict of the board that the rules for posts object to is not taken; the row says why until it is right."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import DoubtfulError, NetworkUnavailableError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.services.board_sync import BoardSync
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.studio_world import post
from tests.bot.helpers.table_board import RULES, PatientClock, Run, TableBoard, fill, passes

LONG = "long " * 70
TOO_LONG = "the post is too long, 361 of 280 characters of X: edit it first"  # "Ona – Moss: " and the text


@pytest.fixture
def board() -> TableBoard:
    return TableBoard(shows_posts=True)


def said(board: TableBoard, name: str) -> tuple[str, str, str, str]:
    """Status, text, curator and note of a row."""
    (row,) = [row for row in board.table if row.candidate_id == name]
    return row.status, row.text, row.who, board.notes.get(name, "")


def decisions(store: SqliteStore) -> list[tuple[str, str]]:
    found = store._connection.execute("SELECT decision, who FROM verdict ORDER BY id").fetchall()
    return list(map(tuple, found))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (LONG, TOO_LONG),
        ("What an unsayable lamp.", "the text contains 'unsayable', which is never posted: edit it first"),
        ("A slow\x07 lamp.", "the text has the hidden character U+0007 behind 'Ona – Moss: A slow': take it out first"),
        ("A\N{RIGHT-TO-LEFT OVERRIDE}b", "the text has the hidden character U+202E RIGHT-TO-LEFT OVERRIDE"),
        ("  ", "the text is empty: write one, or reject the candidate"),
    ],
)
def test_an_accepted_text_that_may_not_be_posted_is_set_back_with_the_reason(
    store: SqliteStore, board: TableBoard, run: Run, *, text: str, reason: str
) -> None:
    (name,) = fill(store, 1)
    run()
    board.decide(name, status="accepted", text=text)
    summary = run()
    assert (summary.verdicts, summary.rows_edited) == (0, 1)
    assert summary.notices[0].startswith(f"table: {name}: not accepted: {reason}")
    status, shown, who, note = said(board, name)
    assert (status, shown, who) == ("waiting", text, "ana")
    assert note.startswith(reason)
    assert decisions(store) == []
    # Once: the next passes find nothing to do.
    assert (run().rows_edited, run().notices) == (0, [])


def test_accepted_again_it_is_set_back_again_and_mended_it_is_accepted_and_the_note_goes(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    for _ in range(2):
        board.decide(name, status="accepted", text=LONG)
        run()
        assert said(board, name) == ("waiting", LONG, "ana", TOO_LONG)
    board.decide(name, status="accepted", text="A\tshort lamp.\r\n")
    assert run().verdicts == 1
    assert said(board, name)[3] == ""
    assert [row.text for row in store.rows(status=CandidateStatus.ACCEPTED)] == ["A short lamp."]
    assert run().rows_edited == 0


def test_the_note_follows_the_text_while_the_row_waits(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="accepted", text=LONG)
    run()
    board.decide(name, status="waiting", text="An unsayable lamp.")
    run()
    assert said(board, name)[3].startswith("the text contains 'unsayable'")
    board.decide(name, status="waiting", text="A lamp.")
    run()
    assert said(board, name) == ("waiting", "A lamp.", "ana", "")
    assert decisions(store) == []


@pytest.mark.parametrize("way", ["rejected here", "rejected elsewhere", "accepted elsewhere"])
def test_another_verdict_takes_the_note_away(
    store: SqliteStore, board: TableBoard, run: Run, name: str, way: str
) -> None:
    board.decide(name, status="accepted", text=LONG)
    run()
    if way == "rejected here":
        board.decide(name, status="rejected")
    else:
        decision = Decision.REJECT if way == "rejected elsewhere" else Decision.ACCEPT
        store.decide([Verdict(candidate_id=name, decision=decision, who="bo")])
    run()
    assert said(board, name)[0] == way.partition(" ")[0]
    assert said(board, name)[3] == ""
    assert run().rows_edited == 0


def test_a_text_that_was_accepted_before_is_not_posted_once_it_is_made_too_long(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="accepted")
    run()
    store.enqueue_accepted(since=datetime.now(UTC) - timedelta(days=1))
    board.decide(name, status="accepted", text=LONG)
    run()
    assert said(board, name) == ("waiting", LONG, "ana", TOO_LONG)
    assert decisions(store) == [("accept", "ana"), ("undo", "ana")]
    assert store.pending_posts(9) == []


def test_a_candidate_that_was_rejected_elsewhere_is_set_back_to_that(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    store.decide([Verdict(candidate_id=name, decision=Decision.REJECT, who="bo")])
    run()
    board.decide(name, status="accepted", text=LONG)
    run()
    assert said(board, name) == ("rejected", LONG, "ana", TOO_LONG)


@pytest.mark.parametrize(
    ("status", "text"), [("waiting", "Lamp 1."), ("rejected", "Lamp 1."), ("accepted", "A lamp."), ("accepted", LONG)]
)
def test_a_post_that_is_out_keeps_its_verdict_as_in_the_studio(
    store: SqliteStore, board: TableBoard, run: Run, *, status: str, text: str
) -> None:
    (name,) = fill(store, 1)
    run()
    board.decide(name, status="accepted")
    run()
    post(store, name, OutgoingPostStatus.SENT, external_id="7")
    board.decide(name, status=status, text=text)
    what = "accepted" if status == "accepted" else "taken back"
    assert run().notices == [f"table: {name}: not {what}: the post is out: its verdict and its text stay"]
    assert said(board, name) == ("accepted", text, "ana", "the post is out: its verdict and its text stay")
    assert board.posts[name] == "Ona – Moss: Lamp 1."
    assert decisions(store) == [("accept", "ana")]
    assert run().rows_edited == 0


def test_a_post_in_doubt_can_be_taken_back(store: SqliteStore, board: TableBoard, run: Run, name: str) -> None:
    board.decide(name, status="accepted")
    run()
    post(store, name, OutgoingPostStatus.UNKNOWN)
    board.decide(name, status="rejected")
    run()
    assert said(board, name)[0] == "rejected"
    assert decisions(store) == [("accept", "ana"), ("reject", "ana")]


@pytest.mark.parametrize("after", ["a new text", "rejected", "pending again"])
def test_a_refused_post_is_told_in_its_row_until_something_becomes_of_it(
    store: SqliteStore, board: TableBoard, run: Run, name: str, *, after: str
) -> None:
    board.decide(name, status="accepted")
    run()
    post(store, name, OutgoingPostStatus.REFUSED, reason="X rejects the post: a duplicate")
    assert run().rows_edited == 1
    assert said(board, name) == ("accepted", "Lamp 1.", "ana", "not posted: X rejects the post: a duplicate")
    assert run().rows_edited == 0
    if after == "a new text":
        board.decide(name, status="accepted", text="Another lamp.")
    elif after == "rejected":
        store.decide([Verdict(candidate_id=name, decision=Decision.REJECT, who="bo")])
    else:
        store.set_post(name, OutgoingPostStatus.PENDING)
    run()
    assert said(board, name)[3] == ""
    assert run().rows_edited == 0


def test_without_a_board_a_refused_post_waits_for_no_edit(store: SqliteStore) -> None:
    (name,) = fill(store, 1)
    store.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo")])
    post(store, name, OutgoingPostStatus.REFUSED, reason="a duplicate")
    found = store._connection.execute("SELECT COUNT(*) FROM board_extra, board_edit").fetchone()
    assert found[0] == 0


def test_one_row_that_is_not_right_keeps_no_other_verdict_back(store: SqliteStore, board: TableBoard, run: Run) -> None:
    first, second, third = fill(store, 3)
    run()
    board.decide(first, status="accepted", text=LONG)
    board.decide(second, status="accepted")
    board.decide(third, status="rejected")
    assert run().verdicts == 2
    assert [row.candidate.status[0] for row in store.rows()] == ["w", "a", "r"]
    assert {name for name, note in board.notes.items() if note} == {first}


@pytest.mark.parametrize("applied", [False, True])
def test_a_set_back_without_an_answer_is_written_until_it_is_there(
    board: TableBoard, run: Run, name: str, board_clock: PatientClock, *, applied: bool
) -> None:
    board.decide(name, status="accepted", text=LONG)
    board.faults = [(DoubtfulError("timed out"), applied)]
    with pytest.raises(DoubtfulError):
        run()
    run()
    board_clock.seconds += 61
    run()
    run()
    assert said(board, name) == ("waiting", LONG, "ana", TOO_LONG)
    assert run().rows_edited == 0


def test_a_board_that_may_not_be_edited_takes_no_wrong_verdict_and_is_mended_later(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="accepted", text=LONG)
    board.faults = [(NetworkUnavailableError("protected"), False)] * 2
    for _ in range(2):
        with pytest.raises(NetworkUnavailableError):
            run()
    assert decisions(store) == []
    assert said(board, name)[0] == "accepted"
    run()
    assert said(board, name) == ("waiting", LONG, "ana", TOO_LONG)


@pytest.mark.parametrize("applied", [False, True])
def test_a_bot_killed_around_a_set_back_is_followed_by_one_that_finishes_it(
    store: SqliteStore, board: TableBoard, name: str, *, applied: bool
) -> None:
    board.decide(name, status="accepted", text=LONG)
    store.apply_board(board.rows(), objection_to=RULES.objection_to)
    edits = store.begin_edits(9, post_of=lambda _, text: text)
    if applied:
        board.edit(edits)
    sync = BoardSync(board=board, store=store, rules=RULES, settle_timer=SettleTimer(PatientClock(), 0))
    for _ in range(3):
        sync.run(Summary(), threading.Event())
    assert said(board, name) == ("waiting", LONG, "ana", TOO_LONG)
    assert decisions(store) == []
    assert store.edits_in_doubt()[0] == []


def test_who_mends_the_row_while_it_is_set_back_wins(
    store: SqliteStore, board: TableBoard, run: Run, name: str
) -> None:
    board.decide(name, status="accepted", text=LONG)
    board.meanwhile = lambda: board.decide(name, status="rejected")
    run()
    run()
    assert decisions(store) == [("reject", "ana")]
    assert said(board, name) == ("rejected", LONG, "ana", "")


def test_a_note_that_landed_in_another_row_because_somebody_sorted_is_taken_away(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, _, third = fill(store, 3)
    run()
    board.decide(first, status="accepted", text=LONG)
    board.meanwhile = board.table.reverse
    run()
    assert board.notes[third] == TOO_LONG
    run()
    run()
    assert said(board, first) == ("waiting", LONG, "ana", TOO_LONG)
    assert said(board, third)[3] == ""
    assert board.posts[third] == "Ona – Moss: Lamp 3."
    assert decisions(store) == []
    assert run().rows_edited == 0


def test_the_post_of_a_row_follows_its_text(store: SqliteStore, board: TableBoard, run: Run, name: str) -> None:
    board.decide(name, status="waiting", text="A lamp.")
    assert run().rows_edited == 1
    assert board.posts[name] == "Ona – Moss: A lamp."
    assert said(board, name) == ("waiting", "A lamp.", "ana", "")
    store.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text="Moss by Ona.")])
    run()
    assert board.posts[name] == "Moss by Ona."
    assert run().rows_edited == 0


def test_a_board_without_posts_is_not_written_to_for_a_changed_text(
    store: SqliteStore, board_clock: PatientClock
) -> None:
    board = TableBoard()
    run = passes(board, store, board_clock)
    (name,) = fill(store, 1)
    run()
    board.decide(name, status="waiting", text="A lamp.")
    assert run().rows_edited == 0
    assert board.edits == []
