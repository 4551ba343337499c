"""The board's bookkeeping in SQLite: the rows on the board and their last known content."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence

from typing_extensions import override

from bot.adapters.sqlite.board_edits import SqliteBoardEdits, forget_edit, remember_row, settle_landed
from bot.adapters.sqlite.queue import record_verdict
from bot.adapters.sqlite.rows import SELECT_ROWS, queue_row
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.ports import BoardChanges, BoardRow, QueueRow

_APPEND_BEGAN = "boarding began"
_ANONYMOUS = "board"
# The index holds only candidates to append; without INDEXED BY, SQLite scans all that wait.
_PENDING_APPEND = f"""{SELECT_ROWS}
WHERE candidate.id IN (
    SELECT id FROM candidate INDEXED BY candidate_unboarded WHERE board = 'off' AND status = 'waiting'
    ORDER BY tweet_place, song_number, number LIMIT ?
)
ORDER BY candidate.tweet_place, candidate.song_number, candidate.number"""  # noqa: S608 -- constants


class SqliteBoardStore(SqliteBoardEdits):
    """Store of the board's rows."""

    @override
    def pending_append(self, limit: int) -> list[QueueRow]:
        return [queue_row(row) for row in self._read(_PENDING_APPEND, (limit,))]

    @override
    def begin_append(self, candidate_ids: Sequence[str]) -> None:
        with self._writing() as connection:
            connection.executemany(
                "UPDATE candidate SET board = 'doubtful' WHERE id = ? AND board = 'off'",
                [(name,) for name in candidate_ids],
            )
            # Decided elsewhere since it was read: the appended row will still say "waiting".
            connection.executemany(
                "INSERT INTO board_edit (candidate_id) SELECT id FROM candidate WHERE id = ? AND status <> 'waiting'"
                " ON CONFLICT (candidate_id) DO UPDATE SET due = 1",
                [(name,) for name in candidate_ids],
            )
            connection.execute("DELETE FROM note WHERE key = ?", (_APPEND_BEGAN,))
            connection.execute("INSERT INTO note VALUES (?, '', ?)", (_APPEND_BEGAN, self._now()))

    @override
    def appends_in_doubt(self) -> tuple[Collection[str], str | None]:
        names = self._read("SELECT id FROM candidate WHERE board = 'doubtful'")
        began = self._read("SELECT updated_at FROM note WHERE key = ?", (_APPEND_BEGAN,))
        return [row["id"] for row in names], began[0]["updated_at"] if began else None

    @override
    def settle_appends(self, *, there: Collection[str], missing: Collection[str]) -> None:
        with self._writing() as connection:
            for place, names in (("on", there), ("off", missing)):
                connection.executemany(
                    "UPDATE candidate SET board = ? WHERE id = ? AND board = 'doubtful'",
                    [(place, name) for name in names],
                )

    @override
    def apply_board(self, rows: Iterable[BoardRow]) -> BoardChanges:
        # Compared before the lock is taken: the rows come over the net, and other curators should not wait for them.
        changed = [row for row in rows if self._has_changed(row)]
        verdicts: list[Verdict] = []
        unclear: list[str] = []
        landed = 0
        now = self._now()
        with self._writing() as connection:
            for row in changed:
                before = _last_known(connection, row.candidate_id)
                if before is None:
                    continue
                if settle_landed(connection, row):
                    landed += 1
                    continue
                verdict, doubt = _verdict(row, before)
                if verdict is not None:
                    record_verdict(connection, verdict, now)
                    forget_edit(connection, row.candidate_id)
                    verdicts.append(verdict)
                unclear += [doubt] if doubt else []
                remember_row(connection, row)
        return BoardChanges(verdicts=tuple(verdicts), unclear=tuple(unclear), landed=landed)

    def _has_changed(self, row: BoardRow) -> bool:
        before = _last_known(self._connection, row.candidate_id)
        return before is not None and (before["status"], before["text"]) != (row.status, row.text)


def _last_known(connection: sqlite3.Connection, candidate_id: str) -> sqlite3.Row | None:
    """Last known content of a candidate's row: as read, or else as appended; None for an unknown id."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT COALESCE(board_row.status, 'waiting') AS status, json_extract(candidate.sample, '$.text') AS sample,"
        " COALESCE(board_row.text, json_extract(candidate.sample, '$.text')) AS text"
        " FROM candidate LEFT JOIN board_row ON board_row.candidate_id = candidate.id WHERE candidate.id = ?",
        (candidate_id,),
    ).fetchone()
    return row


def _verdict(row: BoardRow, before: sqlite3.Row) -> tuple[Verdict | None, str]:
    """The verdict that a changed row expresses, if any, and a problem for a person to solve, if any."""
    try:
        status = _status(row.status)
    except ValueError:
        return None, f"{row.candidate_id}: {row.status!r} is not a status"
    if status is CandidateStatus.ACCEPTED and not row.text.strip():
        return None, f"{row.candidate_id}: accepted without a text"
    same_status = _is_same(status, before["status"])
    if same_status and (status is not CandidateStatus.ACCEPTED or row.text.strip() == before["text"].strip()):
        return None, ""
    decision = _DECISIONS[status]
    edited = row.text.strip() if decision is Decision.ACCEPT and row.text.strip() != before["sample"].strip() else None
    verdict = Verdict(
        candidate_id=row.candidate_id, decision=decision, who=row.who.strip() or _ANONYMOUS, edited_text=edited
    )
    return verdict, ""


def _status(typed: str) -> CandidateStatus:
    """The status that a person typed; an empty cell means waiting."""
    return CandidateStatus(typed.strip().casefold() or CandidateStatus.WAITING)


def _is_same(status: CandidateStatus, before: str) -> bool:
    try:
        return _status(before) is status
    except ValueError:
        return False


_DECISIONS = {
    CandidateStatus.WAITING: Decision.UNDO,
    CandidateStatus.ACCEPTED: Decision.ACCEPT,
    CandidateStatus.REJECTED: Decision.REJECT,
}
