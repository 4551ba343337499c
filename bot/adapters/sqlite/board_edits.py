"""Edits of the board for verdicts given elsewhere, in SQLite: each is marked before the call that writes it.

A text on the board is replaced only if it is on record here, as a sample or as the text of a verdict. A text that
somebody has begun to edit stays, and so does an unknown status.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import replace

from typing_extensions import override

from bot.adapters.sqlite import board_extras
from bot.adapters.sqlite.file import SqliteFile
from bot.adapters.sqlite.rows import SELECT_ROW, queue_row
from bot.domain.candidates import CandidateStatus
from bot.domain.post_text import as_written
from bot.ports import BoardEdit, BoardEdited, BoardRow, BoardStore, Origin, TextRule

# CROSS JOIN keeps the order of the tables: SQLite would else go through all candidates, which are sorted already.
_DUE = """
SELECT board_edit.candidate_id, board_edit.restore, candidate.status,
       json_extract(candidate.sample, '$.text') AS sample,
       COALESCE(board_row.status, 'waiting') AS seen_status,
       COALESCE(board_row.text, json_extract(candidate.sample, '$.text')) AS seen_text,
       COALESCE(board_row.who, '') AS seen_who,
       COALESCE(board_extra.note, '') AS note,
       COALESCE(board_extra.version <> board_extra.shown, 0) AS is_behind,
       current.edited_text, COALESCE(latest.who, '') AS who
FROM board_edit
CROSS JOIN candidate ON candidate.id = board_edit.candidate_id
LEFT JOIN board_row ON board_row.candidate_id = candidate.id
LEFT JOIN board_extra ON board_extra.candidate_id = candidate.id
LEFT JOIN verdict AS current ON current.id = candidate.verdict_id
LEFT JOIN verdict AS latest ON latest.id = (SELECT MAX(id) FROM verdict WHERE candidate_id = candidate.id)
WHERE board_edit.due AND board_edit.sent_at IS NULL AND candidate.board = 'on'
AND lower(trim(COALESCE(board_row.status, ''))) IN ('', 'waiting', 'accepted', 'rejected')
ORDER BY candidate.tweet_place, candidate.song_number, candidate.number LIMIT ?
"""


class SqliteBoardEdits(SqliteFile, BoardStore):
    """Part of `BoardStore` for edits of the board."""

    @override
    def begin_edits(self, limit: int, *, post_of: TextRule) -> list[BoardEdit]:
        with self._writing() as connection:
            edits = begin_due_edits(connection, limit, self._now())
        return [self._with_post(edit, post_of) for edit in edits]

    def _with_post(self, edit: BoardEdit, post_of: TextRule) -> BoardEdit:
        """Add the post: of an accepted candidate with the accepted text, of any other with the text of its row.

        A row of an experiment, and one that may have another one's notes, is given its own version and score, or none.
        """
        (found,) = self._read(SELECT_ROW, (edit.candidate_id,))
        row = queue_row(found)
        shown = edit.seen.text if edit.text is None else edit.text
        is_accepted = row.candidate.status is CandidateStatus.ACCEPTED
        has_origin = bool(row.candidate.experiment) or edit.note is not None
        return replace(
            edit,
            post=post_of(row, row.text if is_accepted else as_written(shown)),
            origin=Origin.of(row.candidate) if has_origin else None,
        )

    @override
    def edits_in_doubt(self) -> tuple[Collection[str], str | None]:
        rows = self._read("SELECT candidate_id, sent_at FROM board_edit WHERE sent_at IS NOT NULL")
        return [row["candidate_id"] for row in rows], max((row["sent_at"] for row in rows), default=None)

    @override
    def settle_edits(self, edited: BoardEdited) -> None:
        with self._writing() as connection:
            for name in edited.written:
                _remember_sent(connection, name)
                _finish(connection, name)
                board_extras.finish(connection, name)
            for name in edited.left:
                connection.execute(f"UPDATE board_edit SET due = 1, {_UNSENT} WHERE candidate_id = ?", (name,))  # noqa: S608 -- a constant
                board_extras.catch_up(connection, name)
            for name in edited.gone:
                forget_edit(connection, name)
                board_extras.forget(connection, name)
            _restore(connection, edited.misplaced)
            for name in edited.noted:
                _restore_extras(connection, name)


_UNSENT = "sent_status = NULL, sent_text = NULL, sent_who = NULL, sent_at = NULL"


def begin_due_edits(connection: sqlite3.Connection, limit: int, now: str) -> list[BoardEdit]:
    """Within a transaction: mark due edits as under way, and return them; -1 stands for all of them."""
    edits = [_edit(connection, row) for row in connection.execute(_DUE, (limit,)).fetchall()]
    for edit in edits:
        if _is_shown(edit):
            forget_edit(connection, edit.candidate_id)
    edits = [edit for edit in edits if not _is_shown(edit)]
    connection.executemany(
        "UPDATE board_edit SET due = 0, sent_status = ?, sent_text = ?, sent_who = ?, sent_at = ?"
        " WHERE candidate_id = ?",
        [(edit.status, edit.text, edit.who, now, edit.candidate_id) for edit in edits],
    )
    for edit in edits:
        board_extras.begin(connection, edit.candidate_id)
    return edits


def remember_row(connection: sqlite3.Connection, row: BoardRow) -> None:
    """Within a transaction: keep the content of a row, with which the next read is compared."""
    connection.execute(
        "INSERT OR REPLACE INTO board_row (candidate_id, status, text, who) VALUES (?, ?, ?, ?)",
        (row.candidate_id, row.status, row.text, row.who),
    )


def mark_edit(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: let the next edits write the status on record into a row."""
    connection.execute(
        "INSERT INTO board_edit (candidate_id) VALUES (?) ON CONFLICT (candidate_id) DO UPDATE SET due = 1",
        (candidate_id,),
    )


def forget_edit(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: drop the edit of a row."""
    connection.execute("DELETE FROM board_edit WHERE candidate_id = ?", (candidate_id,))


def settle_landed(connection: sqlite3.Connection, row: BoardRow) -> bool:
    """Within a transaction: settle an edit in doubt if the row has its content; whether that was so."""
    sent = connection.execute(
        "SELECT sent_status, sent_text FROM board_edit WHERE candidate_id = ? AND sent_at IS NOT NULL",
        (row.candidate_id,),
    ).fetchone()
    if sent is None or row.status != sent["sent_status"] or sent["sent_text"] not in {None, row.text}:
        return False  # there is no such edit, it was not applied, or somebody has changed the row since
    remember_row(connection, row)
    _finish(connection, row.candidate_id)
    board_extras.catch_up(connection, row.candidate_id)  # what is beside the row was not read
    return True


def _edit(connection: sqlite3.Connection, row: sqlite3.Row) -> BoardEdit:
    seen = BoardRow(
        candidate_id=row["candidate_id"], status=row["seen_status"], text=row["seen_text"], who=row["seen_who"]
    )
    text = row["edited_text"] or row["sample"]
    is_wanted = row["restore"] or (
        row["status"] == CandidateStatus.ACCEPTED and _is_on_record(connection, seen, row["sample"])
    )
    is_changed = row["status"] != _status_of(seen) or (is_wanted and text != seen.text)
    # The name of who chose what is not taken stays, and so does one beside which nothing but a note or a post changes.
    keeps_who = not row["restore"] and (row["note"] or not is_changed)
    return BoardEdit(
        seen=seen,
        status=row["status"],
        text=text if is_wanted else None,
        who=seen.who if keeps_who else row["who"],
        note=row["note"] if row["is_behind"] else None,
    )


def _is_on_record(connection: sqlite3.Connection, seen: BoardRow, sample: str) -> bool:
    texts = connection.execute("SELECT edited_text FROM verdict WHERE candidate_id = ?", (seen.candidate_id,))
    return seen.text.strip() in {sample.strip(), *((row["edited_text"] or "").strip() for row in texts)}


def _is_shown(edit: BoardEdit) -> bool:
    return edit.note is None and _status_of(edit.seen) == edit.status and edit.text in {None, edit.seen.text}


def _status_of(row: BoardRow) -> str:
    return row.status.strip().casefold() or CandidateStatus.WAITING


def _remember_sent(connection: sqlite3.Connection, candidate_id: str) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO board_row (candidate_id, status, text, who)"
        " SELECT candidate.id, sent_status,"
        "  COALESCE(sent_text, board_row.text, json_extract(candidate.sample, '$.text')), sent_who"
        " FROM board_edit JOIN candidate ON candidate.id = board_edit.candidate_id"
        " LEFT JOIN board_row ON board_row.candidate_id = candidate.id"
        " WHERE board_edit.candidate_id = ? AND sent_at IS NOT NULL",
        (candidate_id,),
    )


def _finish(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Close an edit that is on the board, unless a newer verdict has to be written."""
    connection.execute(f"UPDATE board_edit SET restore = 0, {_UNSENT} WHERE candidate_id = ?", (candidate_id,))  # noqa: S608 -- a constant
    connection.execute("DELETE FROM board_edit WHERE candidate_id = ? AND NOT due", (candidate_id,))


def _restore(connection: sqlite3.Connection, rows: Iterable[BoardRow]) -> None:
    """Mark rows whose content is not a verdict, so that a later edit restores them."""
    for row in rows:
        restored = connection.execute(
            "INSERT INTO board_edit (candidate_id, restore) SELECT id, 1 FROM candidate WHERE id = ?"
            " ON CONFLICT (candidate_id) DO UPDATE SET due = 1, restore = 1",
            (row.candidate_id,),
        )
        if restored.rowcount:
            remember_row(connection, row)


def _restore_extras(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Mark a row that may have another one's note and post, so that a later edit gives it its own."""
    if connection.execute("SELECT 1 FROM candidate WHERE id = ?", (candidate_id,)).fetchone() is not None:
        board_extras.show_beside(connection, candidate_id, board_extras.note_of(connection, candidate_id))
