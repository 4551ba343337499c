"""The curator's queue in SQLite, with the only function that records verdicts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from typing_extensions import override

from bot.adapters.sqlite.board_extras import drop_note, show_origins
from bot.adapters.sqlite.file import SqliteFile
from bot.adapters.sqlite.rows import SELECT_ROW, SELECT_ROWS, index_words, queue_row
from bot.adapters.sqlite.schema import wrapped_errors
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import StaleVerdictError, UnknownCandidateError
from bot.domain.keys import text_key
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.ports import Queue, QueueRow

_ALL = SELECT_ROWS + "ORDER BY candidate.tweet_place, candidate.song_number, candidate.number LIMIT :limit"
# A statement of its own: no index serves a condition that holds for any status.
_OF_STATUS = (
    SELECT_ROWS
    + "WHERE candidate.status = :status"
    + " ORDER BY candidate.tweet_place, candidate.song_number, candidate.number LIMIT :limit"
)


class SqliteQueue(SqliteFile, Queue):
    """Queue of candidates and their verdicts."""

    @override
    def rows(self, *, status: CandidateStatus | None = None, limit: int | None = None) -> Iterator[QueueRow]:
        with wrapped_errors(self._path):
            values = {"status": status, "limit": -1 if limit is None else limit}
            for row in self._connection.execute(_ALL if status is None else _OF_STATUS, values):
                yield queue_row(row)

    @override
    def find(self, candidate_ids: Sequence[str]) -> list[QueueRow]:
        found = {name: self._read(SELECT_ROW, (name,)) for name in candidate_ids}
        _check_known([name for name, rows in found.items() if not rows])
        with wrapped_errors(self._path):
            return [queue_row(found[name][0]) for name in candidate_ids]

    @override
    def decide(self, verdicts: Iterable[Verdict]) -> None:
        now = self._now()
        with self._writing() as connection:
            unknown: list[str] = []
            for verdict in verdicts:
                if is_out(connection, verdict.candidate_id):
                    raise StaleVerdictError(
                        f"{verdict.candidate_id} is posted, or being posted: its verdict stays; nothing was changed"
                    )
                if not record_elsewhere(connection, verdict, now):
                    unknown.append(verdict.candidate_id)
            _check_known(unknown)


def _check_known(unknown: Sequence[str]) -> None:
    if unknown:
        raise UnknownCandidateError(
            f"no candidate has the id {', '.join(unknown)}; nothing was changed"
            " (`deephypebot queue list` shows the ids)"
        )


def is_out(connection: sqlite3.Connection, candidate_id: str) -> bool:
    """Within a transaction: whether a candidate is posted or being posted, so that its verdict can no longer change.

    A post in doubt is not among them: a curator who knows that it is not out must be able to take it back.
    """
    row = connection.execute("SELECT status FROM post WHERE candidate_id = ?", (candidate_id,)).fetchone()
    return row is not None and row["status"] in (OutgoingPostStatus.SENDING.value, OutgoingPostStatus.SENT.value)


OUT = frozenset({OutgoingPostStatus.SENDING, OutgoingPostStatus.SENT, OutgoingPostStatus.UNKNOWN})
"""Statuses of a post that is or may be published."""


def record_elsewhere(connection: sqlite3.Connection, verdict: Verdict, now: str) -> bool:
    """Within a transaction: record a verdict that was not given on the board, and mark its row for an edit."""
    if not record_verdict(connection, verdict, now):
        return False
    drop_note(connection, verdict.candidate_id)
    connection.execute(
        "INSERT INTO board_edit (candidate_id) SELECT id FROM candidate WHERE id = ? AND board <> 'off'"
        " ON CONFLICT (candidate_id) DO UPDATE SET due = 1",
        (verdict.candidate_id,),
    )
    return True


_END_LABEL = """
UPDATE song_label SET undone_at = ? WHERE undone_at IS NULL AND (tweet_id, song_number) IN
(SELECT tweet_id, song_number FROM candidate WHERE id = ? AND withdrawn <> '')
"""
"""A verdict on a candidate that was withdrawn says that its song is one after all."""


def record_verdict(connection: sqlite3.Connection, verdict: Verdict, now: str) -> bool:
    """Within a transaction: record a verdict and update the candidate's post; False for an unknown candidate."""
    row = connection.execute(
        "SELECT json_extract(sample, '$.text') AS text FROM candidate WHERE id = ?", (verdict.candidate_id,)
    ).fetchone()
    if row is None:
        return False
    inserted = connection.execute(
        "INSERT INTO verdict (candidate_id, decision, edited_text, who, reason, decided_at) VALUES (?, ?, ?, ?, ?, ?)",
        (verdict.candidate_id, verdict.decision, verdict.edited_text, verdict.who, verdict.reason, now),
    )
    current = None if verdict.decision is Decision.UNDO else inserted.lastrowid
    connection.execute(_END_LABEL, (now, verdict.candidate_id))
    connection.execute(
        # A withdrawal is recorded after its verdict; any other verdict makes the candidate count again.
        "UPDATE candidate SET status = ?, verdict_id = ?, withdrawn = '' WHERE id = ?",
        (verdict.decision.status, current, verdict.candidate_id),
    )
    if connection.execute(_BLIND_OR_TOLD, {"id": verdict.candidate_id}).rowcount:
        show_origins(connection, verdict.candidate_id)
    index_words(connection, verdict.candidate_id)
    if verdict.decision is Decision.ACCEPT:
        text = row["text"] if verdict.edited_text is None else verdict.edited_text
        _revive_post(connection, verdict.candidate_id, text)
    else:
        connection.execute("DELETE FROM confirmation WHERE candidate_id = ?", (verdict.candidate_id,))
        connection.execute(
            "UPDATE post SET status = ?, reason = 'the verdict was taken back' WHERE candidate_id = ? AND status = ?",
            (OutgoingPostStatus.CANCELLED, verdict.candidate_id, OutgoingPostStatus.PENDING),
        )
    return True


_WAITS = """
EXISTS (
    SELECT 1 FROM candidate AS own JOIN candidate AS other ON other.tweet_place = own.tweet_place
    AND other.song_number = own.song_number AND other.experiment = own.experiment
    WHERE own.id = :id AND other.status = 'waiting'
)
"""
# Changes something with the last verdict of a song of an experiment, and with the first one that is taken back.
_BLIND_OR_TOLD = f"""
UPDATE candidate SET blind = {_WAITS}
WHERE tweet_place = (SELECT tweet_place FROM candidate WHERE id = :id)
AND song_number = (SELECT song_number FROM candidate WHERE id = :id)
AND experiment = (SELECT experiment FROM candidate WHERE id = :id) AND experiment <> ''
AND blind <> {_WAITS}
"""  # noqa: S608 -- constants


def _revive_post(connection: sqlite3.Connection, candidate_id: str, text: str) -> None:
    """Update a post that is neither published nor being sent; the outbox creates new posts."""
    connection.execute(
        "UPDATE post SET status = ?, text = ?, sent_text = '', text_key = ?, reason = '' WHERE candidate_id = ?"
        " AND status IN ('pending', 'cancelled', 'refused')",
        (OutgoingPostStatus.PENDING, text, text_key(text), candidate_id),
    )
