"""The outbox in SQLite: each post is marked before the call that sends it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from typing_extensions import override

from bot.adapters.sqlite import board_extras
from bot.adapters.sqlite.accepted_posts import RELEASED, WAITING, SqliteAcceptedPosts, values_of
from bot.adapters.sqlite.file import count_usage, stamp
from bot.adapters.sqlite.queue import record_elsewhere
from bot.adapters.sqlite.rows import POST_JOINS, SONG_COLUMNS, post_of, report_of, source_post_of
from bot.adapters.sqlite.schema import wrapped_errors
from bot.domain.candidates import Decision, Verdict
from bot.domain.keys import text_key
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, PostMode, refusal_label
from bot.domain.pace import DEFAULT_PACE, Pace
from bot.domain.post_text import Draft
from bot.ports import Outbox

_POST = (
    "post.candidate_id, post.text, post.sent_text, post.network, post.mode, post.in_reply_to, post.status,"
    " post.attempts, post.after_id, post.attempted_at, post.external_id, post.reason"
)
_PENDING = f"""{WAITING}
SELECT {_POST}, {SONG_COLUMNS} FROM {POST_JOINS} JOIN waiting ON waiting.candidate_id = post.candidate_id
WHERE waiting.rival_id IS NULL AND {RELEASED} ORDER BY post.place LIMIT :limit
"""  # noqa: S608 -- constants
_MAX_LABELS = 50
_TOO_OLD = "accepted too long ago"


class SqliteOutbox(SqliteAcceptedPosts, Outbox):
    """Outbox on the bot's database."""

    @override
    def enqueue_accepted(self, *, since: datetime) -> int:
        now = self._now()
        with self._writing() as connection:
            accepted = connection.execute(
                "SELECT candidate.id, COALESCE(verdict.edited_text, json_extract(candidate.sample, '$.text')) AS text"
                # Without INDEXED BY, SQLite scans all candidates, of which there are millions.
                " FROM verdict INDEXED BY verdict_decided CROSS JOIN candidate ON candidate.id = verdict.candidate_id"
                " WHERE candidate.verdict_id = verdict.id AND verdict.decided_at >= ? AND verdict.decision = 'accept'"
                " AND NOT EXISTS (SELECT 1 FROM post WHERE post.candidate_id = candidate.id) ORDER BY verdict.id",
                (stamp(since),),
            ).fetchall()
            connection.executemany(
                "INSERT INTO post (candidate_id, text, text_key, status, created_at) VALUES (?, ?, ?, ?, ?)",
                [(row["id"], row["text"], text_key(row["text"]), OutgoingPostStatus.PENDING, now) for row in accepted],
            )
        return len(accepted)

    @override
    def cancel_stale(self, *, before: datetime) -> int:
        with self._writing() as connection:
            stale = connection.execute(
                "SELECT post.candidate_id FROM post JOIN candidate ON candidate.id = post.candidate_id"
                " JOIN verdict ON verdict.id = candidate.verdict_id"
                " LEFT JOIN confirmation ON confirmation.candidate_id = post.candidate_id"
                " WHERE post.status = 'pending' AND MAX(verdict.decided_at, COALESCE(confirmed_at, '')) < ?",
                (stamp(before),),
            ).fetchall()
            for row in stale:
                connection.execute(
                    "UPDATE post SET status = ?, reason = ? WHERE candidate_id = ?",
                    (OutgoingPostStatus.CANCELLED, _TOO_OLD, row["candidate_id"]),
                )
                # On the board it would otherwise look like one that is still to be sent.
                board_extras.tell(connection, row["candidate_id"], f"not posted: {_TOO_OLD}")
        return len(stale)

    @override
    def pending_posts(self, limit: int, *, pace: Pace = DEFAULT_PACE) -> list[tuple[OutgoingPost, Draft]]:
        rows = self._read(_PENDING, {**values_of(pace, self._clock()), "limit": limit})
        return [
            (post_of(row), Draft(text=row["text"], report=report_of(row), source_post=source_post_of(row)))
            for row in rows
        ]

    @override
    def is_repeat(self, candidate_id: str, text: str) -> bool:
        with wrapped_errors(self._path):
            return has_posted(self._connection, text, except_for=candidate_id)

    @override
    def claim(
        self,
        candidate_id: str,
        *,
        text: str,
        network: str,
        mode: PostMode,
        in_reply_to: str | None,
        made_of: str | None = None,
    ) -> OutgoingPost | None:
        with self._writing() as connection:
            newest = connection.execute(
                "SELECT external_id FROM post WHERE network = ? AND status = ? ORDER BY sent_number DESC LIMIT 1",
                (network, OutgoingPostStatus.SENT),
            ).fetchone()
            claimed = connection.execute(
                "UPDATE post SET status = ?, sent_text = ?, network = ?, mode = ?, in_reply_to = ?, after_id = ?,"
                " attempted_at = ?, attempts = attempts + 1, reason = '' WHERE candidate_id = ? AND status = ?"
                " AND text = COALESCE(?, text)",
                (
                    OutgoingPostStatus.SENDING,
                    text,
                    network,
                    mode,
                    in_reply_to,
                    newest["external_id"] if newest is not None else None,
                    self._now(),
                    candidate_id,
                    OutgoingPostStatus.PENDING,
                    made_of,
                ),
            )
            if claimed.rowcount != 1:
                return None
            row = connection.execute(
                f"SELECT {_POST}, {SONG_COLUMNS} FROM {POST_JOINS} WHERE post.candidate_id = ?",  # noqa: S608 -- constants
                (candidate_id,),
            ).fetchone()
        return replace(post_of(row), report=report_of(row))

    @override
    def set_post(
        self, candidate_id: str, status: OutgoingPostStatus, *, external_id: str | None = None, reason: str = ""
    ) -> None:
        now = self._now()
        with self._writing() as connection:
            if status is not OutgoingPostStatus.REFUSED:
                board_extras.tell(connection, candidate_id, "")
            if status is OutgoingPostStatus.SENT:
                record_sent(connection, candidate_id, external_id, now)
                _accept_after_all(connection, candidate_id, now)
                return
            if status is OutgoingPostStatus.PENDING and not _take_accepted_text(connection, candidate_id):
                status, reason = OutgoingPostStatus.CANCELLED, "the verdict was taken back"
            changed = connection.execute(
                "UPDATE post SET status = ?, reason = ? WHERE candidate_id = ? AND status <> ?",
                (status, reason, candidate_id, OutgoingPostStatus.SENT),
            )
            if status is OutgoingPostStatus.REFUSED and changed.rowcount:
                _count_refusal(connection, candidate_id, refusal_label(reason))
                # On the board it would otherwise look like one that is still to be sent.
                board_extras.tell(connection, candidate_id, f"not posted: {reason}")

    @override
    def doubtful_posts(self) -> list[OutgoingPost]:
        rows = self._read(
            f"SELECT {_POST} FROM post WHERE status IN ('sending', 'unknown') ORDER BY place"  # noqa: S608 -- constants
        )
        return [post_of(row) for row in rows]

    @override
    def external_ids(self, ids: Collection[str]) -> set[str]:
        marks = ", ".join("?" * len(ids))
        rows = self._read(f"SELECT external_id FROM post WHERE external_id IN ({marks})", tuple(ids))  # noqa: S608 -- question marks
        return {row["external_id"] for row in rows}

    @override
    def count_looked_up(self, network: str, posts: int) -> None:
        with self._writing() as connection:
            count_usage(connection, f"{network} read", posts, self._now())


def has_posted(connection: sqlite3.Connection, text: str, *, except_for: str = "") -> bool:
    """Whether a text is or may be published."""
    row = connection.execute(
        "SELECT 1 FROM post WHERE text_key = ? AND candidate_id <> ? AND status IN ('sending', 'unknown', 'sent')",
        (text_key(text), except_for),
    ).fetchone()
    return row is not None


def _accept_after_all(connection: sqlite3.Connection, candidate_id: str, now: str) -> None:
    """Within a transaction: accept a candidate again that was taken back while its post was in doubt, and is out.

    Nothing can be decided on it any more, so it would wait for a verdict for ever.
    """
    row = connection.execute(
        "SELECT post.text, json_extract(candidate.sample, '$.text') AS sample, verdict.who FROM candidate"
        " JOIN post ON post.candidate_id = candidate.id JOIN verdict ON verdict.candidate_id = candidate.id"
        " WHERE candidate.id = ? AND candidate.status = 'waiting' AND verdict.decision = 'accept'"
        " ORDER BY verdict.id DESC LIMIT 1",
        (candidate_id,),
    ).fetchone()
    if row is not None:
        edited = row["text"] if row["text"] != row["sample"] else None
        verdict = Verdict(candidate_id=candidate_id, decision=Decision.ACCEPT, who=row["who"], edited_text=edited)
        record_elsewhere(connection, verdict, now)


def _take_accepted_text(connection: sqlite3.Connection, candidate_id: str) -> bool:
    """Within a transaction: give a post that is not out the text that was accepted last; False if none is accepted.

    A verdict does not change a post under way, because it is looked up by the text that it was sent with.
    """
    row = connection.execute(
        "SELECT COALESCE(verdict.edited_text, json_extract(candidate.sample, '$.text')) AS text FROM candidate"
        " JOIN verdict ON verdict.id = candidate.verdict_id WHERE candidate.id = ? AND candidate.status = 'accepted'",
        (candidate_id,),
    ).fetchone()
    if row is not None:
        connection.execute(
            "UPDATE post SET text = ?, text_key = ?, sent_text = '' WHERE candidate_id = ? AND text <> ?"
            " AND status <> 'sent'",
            (row["text"], text_key(row["text"]), candidate_id, row["text"]),
        )
    return row is not None


def _count_refusal(connection: sqlite3.Connection, candidate_id: str, label: str) -> None:
    """Within a transaction: count a refusal. Past a number of labels the rest share one, since words may vary."""
    known = connection.execute("SELECT COUNT(*), SUM(reason = ?) FROM refusal_tally", (label,)).fetchone()
    name = label if known[1] or known[0] < _MAX_LABELS else "other"
    connection.execute(
        "INSERT INTO refusal_tally SELECT network, ?, 1 FROM post WHERE candidate_id = ?"
        " ON CONFLICT (network, reason) DO UPDATE SET count = count + 1",
        (name, candidate_id),
    )


def record_sent(connection: sqlite3.Connection, candidate_id: str, external_id: str | None, now: str) -> None:
    """Within a transaction: record that a post is sent, and count it."""
    updated = connection.execute(
        "UPDATE post SET status = ?, external_id = ?, sent_at = ?, reason = '',"
        " sent_number = (SELECT COALESCE(MAX(sent_number), 0) + 1 FROM post)"
        " WHERE candidate_id = ? AND status <> ?",
        (OutgoingPostStatus.SENT, external_id, now, candidate_id, OutgoingPostStatus.SENT),
    )
    if updated.rowcount == 1:
        connection.execute(
            "INSERT INTO usage (month, item, count) SELECT ?, network || CASE WHEN sent_text LIKE '%http%' THEN"
            " ' post with a link' ELSE ' post' END, 1 FROM post WHERE candidate_id = ?"
            " ON CONFLICT (month, item) DO UPDATE SET count = count + 1",
            (now[:7], candidate_id),
        )
