"""Rows of the board as they are read, in SQLite: which changes are verdicts, and what becomes of the others."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field, replace

from bot.adapters.sqlite import board_extras
from bot.adapters.sqlite.board_edits import forget_edit, mark_edit, remember_row, settle_landed
from bot.adapters.sqlite.queue import is_out, record_verdict
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.post_text import as_written
from bot.ports import BoardRow

_ANONYMOUS = "board"


@dataclass(slots=True, kw_only=True)
class BoardReading:
    """Verdicts and problems of one reading of the board."""

    unclear: list[str]
    verdicts: list[Verdict] = field(default_factory=list)
    landed: int = 0

    def take(self, connection: sqlite3.Connection, row: BoardRow, objection: str, now: str, *, posts: bool) -> None:
        """Within a transaction: record what a changed row says.

        Args:
            connection: the database.
            row: the row.
            objection: reason why its candidate may not be accepted with its text; empty without one.
            now: the time.
            posts: whether the board shows posts, which follow the texts.
        """
        before = last_known(connection, row.candidate_id)
        if before is None:
            return
        if settle_landed(connection, row):
            self.landed += 1
            return
        verdict, doubt = _verdict(row, before)
        refusal = _refusal(connection, verdict, objection) if verdict is not None else ""
        if verdict is not None and refusal:
            what = "accepted" if verdict.decision is Decision.ACCEPT else "taken back"
            verdict, doubt = _in_place_of(connection, verdict), f"{row.candidate_id}: not {what}: {refusal}"
        if verdict is not None:
            record_verdict(connection, verdict, now)
            forget_edit(connection, row.candidate_id)
            self.verdicts.append(verdict)
        self.unclear += [doubt] if doubt else []
        remember_row(connection, row)
        if refusal:
            mark_edit(connection, row.candidate_id)
        _show(
            connection, row, refusal or objection, is_refused=bool(refusal), is_new=posts and row.text != before["text"]
        )


def _refusal(connection: sqlite3.Connection, verdict: Verdict, objection: str) -> str:
    """Reason why a verdict is not taken; empty if it is."""
    row = connection.execute("SELECT status FROM post WHERE candidate_id = ?", (verdict.candidate_id,)).fetchone()
    if row is not None and row["status"] == OutgoingPostStatus.SENT:
        return "the post is out: its verdict and its text stay"
    return objection if verdict.decision is Decision.ACCEPT else ""


def _in_place_of(connection: sqlite3.Connection, refused: Verdict) -> Verdict | None:
    """The verdict in place of one that is refused, if any: the candidate no longer goes out with its earlier text."""
    row = connection.execute("SELECT status FROM candidate WHERE id = ?", (refused.candidate_id,)).fetchone()
    if row["status"] != CandidateStatus.ACCEPTED or is_out(connection, refused.candidate_id):
        return None
    return replace(refused, decision=Decision.UNDO, edited_text=None)


def _show(connection: sqlite3.Connection, row: BoardRow, objection: str, *, is_refused: bool, is_new: bool) -> None:
    """Keep the row's note and post right: a reason stays while the row waits with a text that is still not right."""
    noted = board_extras.note_of(connection, row.candidate_id)
    is_kept = is_refused or (bool(noted) and _is_same(CandidateStatus.WAITING, row.status))
    note = objection if is_kept else ""
    if note != noted or is_new:
        board_extras.show_beside(connection, row.candidate_id, note)
    else:
        board_extras.catch_up(connection, row.candidate_id)


def last_known(connection: sqlite3.Connection, candidate_id: str) -> sqlite3.Row | None:
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
    text = as_written(row.text)
    same_status = _is_same(status, before["status"])
    if same_status and (status is not CandidateStatus.ACCEPTED or text == as_written(before["text"])):
        return None, ""
    decision = _DECISIONS[status]
    edited = text if decision is Decision.ACCEPT and text != before["sample"].strip() else None
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
