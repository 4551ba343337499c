"""What is on the board and what it last said, in SQLite."""

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
# The index holds what is to be put on the board and nothing else; left to itself SQLite goes through all that waits.
_PENDING_APPEND = f"""{SELECT_ROWS}
WHERE candidate.id IN (
    SELECT id FROM candidate INDEXED BY candidate_unboarded WHERE board = 'off' AND status = 'waiting'
    ORDER BY tweet_place, song_number, number LIMIT ?
)
ORDER BY candidate.tweet_place, candidate.song_number, candidate.number"""  # noqa: S608 -- constants


class SqliteBoardStore(SqliteBoardEdits):
    """The board's bookkeeping."""

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
            # Decided elsewhere since it was looked at: the row that is on its way says that it waits.
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
        # Compared before the lock is taken: the rows come over the net, and a curator elsewhere should not wait for it.
        changed = [row for row in rows if self._says_something_new(row)]
        verdicts: list[Verdict] = []
        unclear: list[str] = []
        landed = 0
        now = self._now()
        with self._writing() as connection:
            for row in changed:
                before = _last_said(connection, row.candidate_id)
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

    def _says_something_new(self, row: BoardRow) -> bool:
        before = _last_said(self._connection, row.candidate_id)
        return before is not None and (before["status"], before["text"]) != (row.status, row.text)


def _last_said(connection: sqlite3.Connection, candidate_id: str) -> sqlite3.Row | None:
    """What the board's row said last time; what was put there when it was not read since; None for a strange id."""
    row: sqlite3.Row | None = connection.execute(
        "SELECT COALESCE(board_row.status, 'waiting') AS status, json_extract(candidate.sample, '$.text') AS sample,"
        " COALESCE(board_row.text, json_extract(candidate.sample, '$.text')) AS text"
        " FROM candidate LEFT JOIN board_row ON board_row.candidate_id = candidate.id WHERE candidate.id = ?",
        (candidate_id,),
    ).fetchone()
    return row


def _verdict(row: BoardRow, before: sqlite3.Row) -> tuple[Verdict | None, str]:
    """What a changed row means: a verdict, or nothing yet, or something that a person should clear up."""
    try:
        status = _status(row.status)
    except ValueError:
        return None, f"{row.candidate_id}: {row.status!r} is no status"
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
    """A status as people type it; an emptied cell is a candidate that waits."""
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
