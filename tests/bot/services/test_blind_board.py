"""The board tells the versions of a song after its last verdict, and not before, whatever goes wrong."""

from __future__ import annotations

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision
from bot.domain.errors import DoubtfulError, NetworkUnavailableError
from tests.bot.helpers.blind_songs import VERSIONS, add_blind_song, decide
from tests.bot.helpers.table_board import PatientClock, Run, TableBoard, fill

SHOWN_A, SHOWN_B = (f"lcgan {VERSIONS[arm]}" for arm in "AB")


def shown(board: TableBoard) -> list[str]:
    """Versions of the rows, each with a score or both without."""
    origins = [board.origins[row.candidate_id] for row in board.table]
    assert [bool(origin.variant) for origin in origins] == [origin.score is not None for origin in origins]
    return [origin.variant for origin in origins]


def test_rows_are_appended_without_version_and_score(store: SqliteStore, board: TableBoard, run: Run) -> None:
    add_blind_song(store, "AB")
    run()
    assert shown(board) == ["", ""]


def test_verdicts_on_the_board_fill_them_in_with_the_last_of_the_song(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    board.decide(first, status="accepted")
    run()
    assert shown(board) == ["", ""]
    board.decide(second, status="rejected")
    summary = run()
    assert (summary.verdicts, summary.rows_edited) == (1, 2)
    assert shown(board) == [SHOWN_A, SHOWN_B]
    assert [(row.status, row.who) for row in board.table] == [("accepted", "ana"), ("rejected", "ana")]
    assert (run().rows_edited, run().verdicts) == (0, 0)


def test_verdicts_elsewhere_fill_them_in_as_well(store: SqliteStore, board: TableBoard, run: Run) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    decide(store, first)
    run()
    assert shown(board) == ["", ""]
    decide(store, second)
    run()
    assert shown(board) == [SHOWN_A, SHOWN_B]


@pytest.mark.parametrize("on_board", [True, False])
def test_an_undo_empties_them_again(store: SqliteStore, board: TableBoard, run: Run, *, on_board: bool) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    decide(store, first, second)
    run()
    assert shown(board) == [SHOWN_A, SHOWN_B]
    if on_board:
        board.decide(first, status="waiting")
    else:
        decide(store, first, decision=Decision.UNDO)
    run()
    assert shown(board) == ["", ""]
    decide(store, first)
    run()
    assert shown(board) == [SHOWN_A, SHOWN_B]


def test_a_changed_mind_within_a_decided_song_costs_no_further_edit(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    decide(store, first, second)
    run()
    board.decide(first, status="rejected")
    assert (run().rows_edited, shown(board)) == (0, [SHOWN_A, SHOWN_B])


def test_a_write_in_doubt_is_made_again(
    store: SqliteStore, board: TableBoard, board_clock: PatientClock, run: Run
) -> None:
    for number, is_applied in enumerate((True, False)):
        first, second = add_blind_song(store, "AB", name=f"e{number}")
        run()
        decide(store, first, second)
        board.faults = [(DoubtfulError("no answer"), is_applied)]
        with pytest.raises(DoubtfulError):
            run()
        board_clock.seconds += 100
        run()
        board_clock.seconds += 100
        run()
        assert shown(board)[-2:] == [SHOWN_A, SHOWN_B], is_applied


def test_a_refused_write_is_made_again(store: SqliteStore, board: TableBoard, run: Run) -> None:
    first, second = add_blind_song(store, "AB")
    run()
    decide(store, first, second)
    board.faults = [(NetworkUnavailableError("busy"), False)]
    with pytest.raises(NetworkUnavailableError):
        run()
    run()
    assert shown(board) == [SHOWN_A, SHOWN_B]


def test_a_song_that_is_decided_between_the_look_and_the_append_is_told(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    ids = add_blind_song(store, "AB")
    begin = store.begin_append

    def decide_first(names: list[str]) -> None:
        decide(store, *ids)
        begin(names)

    store.begin_append = decide_first  # type: ignore[method-assign, assignment] # somebody decides at this moment
    run()
    store.begin_append = begin  # type: ignore[method-assign]
    run()
    assert [row.status for row in board.table] == ["accepted", "accepted"]
    assert shown(board) == [SHOWN_A, SHOWN_B]


def test_a_row_that_was_given_another_ones_version_gets_its_own_again(
    store: SqliteStore, board: TableBoard, run: Run
) -> None:
    first, second = add_blind_song(store, "AB")
    (plain,) = fill(store, 1)
    (blind, *_) = add_blind_song(store, "BA", name="e2")
    run()
    decide(store, first, second)
    board.meanwhile = board.table.reverse  # somebody sorts while the bot writes
    run()
    for _ in range(3):
        run()
    variants = {name: origin.variant for name, origin in board.origins.items()}
    assert (variants[first], variants[second]) == (SHOWN_A, SHOWN_B)
    assert (variants[plain], variants[blind]) == ("m 1", "")


def test_ordinary_rows_keep_what_they_were_appended_with(store: SqliteStore, board: TableBoard, run: Run) -> None:
    (name,) = fill(store, 1)
    run()
    assert board.origins[name].variant == "m 1"
    board.decide(name, status="accepted")
    run()
    decide(store, name, decision=Decision.UNDO)
    run()
    (edit,) = board.edits
    assert edit.origin is None
