"""Notes, posts, versions and scores that the bot shows beside the rows of the board, in SQLite.

None of them is read back. A write that is repeated changes nothing, so whatever may not be there is written again: a
row is behind until an edit that was sent with its latest version is known to be applied.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence


def note_of(connection: sqlite3.Connection, candidate_id: str) -> str:
    """Within a transaction: the note that a row should have; empty if it should have none."""
    row = connection.execute("SELECT note FROM board_extra WHERE candidate_id = ?", (candidate_id,)).fetchone()
    return row["note"] if row is not None else ""


def show_beside(connection: sqlite3.Connection, candidate_id: str, note: str) -> None:
    """Within a transaction: give a row a note, or none, and its present post, by the next edits."""
    connection.execute(
        "INSERT INTO board_extra (candidate_id, note) VALUES (?, ?)"
        " ON CONFLICT (candidate_id) DO UPDATE SET note = excluded.note, version = version + 1",
        (candidate_id, note),
    )
    catch_up(connection, candidate_id)


def catch_up(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: mark a row for an edit if what is beside it may be behind."""
    connection.execute("UPDATE board_extra SET sent = NULL WHERE candidate_id = ?", (candidate_id,))
    connection.execute(
        "INSERT INTO board_edit (candidate_id) SELECT candidate_id FROM board_extra"
        " WHERE candidate_id = ? AND version <> shown ON CONFLICT (candidate_id) DO UPDATE SET due = 1",
        (candidate_id,),
    )


def drop_note(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: take the note of a row away by its next edit."""
    connection.execute(
        "UPDATE board_extra SET note = '', version = version + 1 WHERE candidate_id = ? AND note <> ''",
        (candidate_id,),
    )


def show_origins(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: let the rows of a song of an experiment follow a verdict on one of its candidates.

    The last verdict of the song fills in versions and scores, and one that is taken back empties them again.
    """
    connection.execute(_ORIGINS_BEHIND, (candidate_id,))
    connection.execute(_ORIGINS_DUE, (candidate_id,))


def expect_origins(connection: sqlite3.Connection, candidate_ids: Sequence[str]) -> None:
    """Within a transaction: let rows that are about to be appended as waiting get what a verdict since then shows."""
    connection.executemany(
        "INSERT INTO board_extra (candidate_id) SELECT id FROM candidate WHERE id = ? AND status <> 'waiting'"
        " AND experiment <> '' ON CONFLICT (candidate_id) DO UPDATE SET version = version + 1",
        [(name,) for name in candidate_ids],
    )


_ROWS_OF_SONG = """
FROM candidate JOIN candidate AS decided ON decided.tweet_place = candidate.tweet_place
AND decided.song_number = candidate.song_number AND decided.experiment = candidate.experiment
WHERE decided.id = ? AND candidate.experiment <> '' AND candidate.board <> 'off'
"""
_ORIGINS_BEHIND = f"""
INSERT INTO board_extra (candidate_id) SELECT candidate.id {_ROWS_OF_SONG}
ON CONFLICT (candidate_id) DO UPDATE SET version = version + 1
"""
_ORIGINS_DUE = f"""
INSERT INTO board_edit (candidate_id) SELECT candidate.id {_ROWS_OF_SONG}
ON CONFLICT (candidate_id) DO UPDATE SET due = 1
"""


def tell(connection: sqlite3.Connection, candidate_id: str, note: str) -> None:
    """Within a transaction: give the row of a candidate a note, if it has one; an empty note takes it away."""
    if note:
        connection.execute(
            "INSERT INTO board_extra (candidate_id, note) SELECT id, ? FROM candidate WHERE id = ? AND board <> 'off'"
            " ON CONFLICT (candidate_id) DO UPDATE SET note = excluded.note, version = version + 1",
            (note, candidate_id),
        )
    else:
        drop_note(connection, candidate_id)
    catch_up(connection, candidate_id)


def begin(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: record that what is beside a row is about to be sent."""
    connection.execute("UPDATE board_extra SET sent = version WHERE candidate_id = ?", (candidate_id,))


def finish(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: record that what was sent is on the board."""
    connection.execute(
        "UPDATE board_extra SET shown = sent, sent = NULL WHERE candidate_id = ? AND sent IS NOT NULL", (candidate_id,)
    )
    connection.execute(
        "DELETE FROM board_extra WHERE candidate_id = ? AND note = '' AND shown = version", (candidate_id,)
    )


def forget(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: drop what is beside a row that is gone."""
    connection.execute("DELETE FROM board_extra WHERE candidate_id = ?", (candidate_id,))
