"""The record of a restore in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from typing_extensions import override

from bot.adapters.sqlite.file import stamp
from bot.adapters.sqlite.outbox import record_sent
from bot.adapters.sqlite.queue import record_elsewhere
from bot.adapters.sqlite.restore_state import (
    BOARD_READ,
    COMPARED,
    LOOKED,
    RESTORED,
    SETTLED,
    TRUSTED,
    SqliteRestoreState,
)
from bot.adapters.sqlite.schema import wrapped_errors
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.keys import text_key
from bot.domain.outgoing_posts import OutgoingPostStatus, OwnPost, PostMode
from bot.ports import FoundPost, RestoreRecord, UnsentText

_WHO = "restore"
"""Curator of the verdicts that a restore finds again by the posts that followed from them."""
_LAST_CHANGE = """
SELECT MAX(time) FROM (
    SELECT MAX(updated_at) AS time FROM note WHERE key <> 'write check'
    UNION ALL SELECT MAX(attempted_at) FROM post
    UNION ALL SELECT MAX(decided_at) FROM verdict
    UNION ALL SELECT MAX(updated_at) FROM source
)
"""
_UNSENT = """
SELECT candidate.rowid AS place, candidate.id, candidate.status, json_extract(candidate.sample, '$.text') AS sample,
       verdict.edited_text, song.artist, json_extract(song.song, '$.title') AS title
FROM candidate
JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
LEFT JOIN verdict ON verdict.candidate_id = candidate.id AND verdict.edited_text IS NOT NULL
LEFT JOIN post ON post.candidate_id = candidate.id
WHERE candidate.rowid > ? AND COALESCE(post.status, '') <> 'sent' ORDER BY candidate.rowid
"""

_UNSETTLED = "SELECT value FROM note WHERE key = ? AND NOT EXISTS (SELECT 1 FROM note WHERE key IN (?, ?))"
"""The time since which an earlier restore knows nothing, until all was found or a person has ended the search."""


def begin_restored(connection: sqlite3.Connection, now: datetime) -> None:
    """Within a transaction: record that a database is a restored backup, of which nothing is known since its making.

    A backup of a restored database may itself miss posts: those that its restore found are kept, and while that restore
    waited to find them, they are looked for as far back as it would have looked.
    """
    newest = connection.execute(_LAST_CHANGE).fetchone()[0]
    since = min(_time(newest), now) if newest else datetime(2000, 1, 1, tzinfo=UTC)
    before = connection.execute(_UNSETTLED, (RESTORED, SETTLED, TRUSTED)).fetchone()
    if before is not None:
        since = min(since, _time(before["value"]))
    connection.execute("DELETE FROM note WHERE key = ? OR substr(key, 1, 9) = 'restored '", (RESTORED,))
    connection.execute("DELETE FROM own_post WHERE is_unread")  # those that are still there are read again
    connection.execute("INSERT INTO note VALUES (?, ?, ?)", (RESTORED, stamp(since), stamp(now)))


class SqliteRestoreRecord(SqliteRestoreState, RestoreRecord):
    """Record of a restore on the bot's database."""

    @override
    def networks_posted_to(self) -> set[str]:
        return {row["network"] for row in self._read("SELECT DISTINCT network FROM post WHERE network <> ''")}

    @override
    def newest_sent(self, network: str) -> str | None:
        rows = self._read(
            "SELECT external_id FROM post WHERE network = ? AND status = ? ORDER BY sent_number DESC LIMIT 1",
            (network, OutgoingPostStatus.SENT),
        )
        return rows[0]["external_id"] if rows else None

    @override
    def keep_own_posts(self, network: str, posts: Iterable[OwnPost]) -> None:
        with self._writing() as connection:
            connection.execute("DELETE FROM own_post WHERE network = ? AND is_unread", (network,))
            connection.executemany(
                "INSERT INTO own_post (network, external_id, text, created_at, candidate_id, in_reply_to, is_unread)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                [
                    (network, own.id, own.text, own.created_at, own.candidate_id, own.in_reply_to, own.is_unread)
                    for own in posts
                ],
            )
            _note(connection, LOOKED + network, self._now())
            connection.execute("DELETE FROM note WHERE key = ?", (COMPARED,))

    @override
    def found_posts(self) -> list[FoundPost]:
        rows = self._read(
            "SELECT * FROM own_post WHERE NOT is_unread AND NOT EXISTS (SELECT 1 FROM post WHERE"
            " post.network = own_post.network AND post.external_id = own_post.external_id) ORDER BY created_at"
        )
        return [
            FoundPost(
                network=row["network"],
                own=OwnPost(
                    id=row["external_id"],
                    text=row["text"],
                    created_at=row["created_at"],
                    candidate_id=row["candidate_id"],
                    in_reply_to=row["in_reply_to"],
                ),
                about=row["about"],
            )
            for row in rows
        ]

    @override
    def unsent_texts(self, *, after: int) -> Iterator[UnsentText]:
        with wrapped_errors(self._path):
            for row in self._connection.execute(_UNSENT, (after,)):
                for text in {row["sample"], row["edited_text"] or row["sample"]}:
                    yield UnsentText(
                        place=row["place"],
                        candidate_id=row["id"],
                        text=text,
                        artist=row["artist"],
                        title=row["title"],
                        is_accepted=row["status"] == CandidateStatus.ACCEPTED,
                    )

    @override
    def set_compared(self, place: int) -> None:
        with self._writing() as connection:
            _note(connection, COMPARED, self._now(), value=str(place))

    @override
    def set_found(self, candidate_id: str, found: FoundPost) -> bool:
        now = self._now()
        sent_at = stamp(found.own.time) if found.own.time is not None else now
        with self._writing() as connection:
            row = connection.execute(_STATE, (candidate_id,)).fetchone()
            if row is None or row["post"] == OutgoingPostStatus.SENT:
                return False
            if row["status"] != CandidateStatus.ACCEPTED:
                record_elsewhere(
                    connection, Verdict(candidate_id=candidate_id, decision=Decision.ACCEPT, who=_WHO), now
                )
            text = row["edited_text"] or row["sample"]
            connection.execute(
                "INSERT INTO post (candidate_id, text, text_key, status, created_at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (candidate_id) DO NOTHING",
                (candidate_id, text, text_key(text), OutgoingPostStatus.PENDING, now),
            )
            connection.execute(
                "UPDATE post SET network = ?, sent_text = ?, mode = ?, in_reply_to = ?, attempts = MAX(attempts, 1),"
                " attempted_at = ? WHERE candidate_id = ?",
                (
                    found.network,
                    found.own.text,
                    PostMode.REPLY if found.own.in_reply_to else PostMode.STANDALONE,
                    found.own.in_reply_to or None,
                    sent_at,
                    candidate_id,
                ),
            )
            record_sent(connection, candidate_id, found.own.id, now)
            connection.execute("UPDATE post SET sent_at = ? WHERE candidate_id = ?", (sent_at, candidate_id))
        return True

    @override
    def set_about(self, candidate_id: str, found: FoundPost) -> None:
        with self._writing() as connection:
            connection.execute(
                "UPDATE own_post SET about = ? WHERE network = ? AND external_id = ?",
                (candidate_id, found.network, found.own.id),
            )

    @override
    def set_board_read(self) -> None:
        self._keep(BOARD_READ)

    @override
    def set_settled(self) -> None:
        self._keep(SETTLED)

    @override
    def trust(self) -> None:
        self._keep(TRUSTED)

    def _keep(self, key: str) -> None:
        with self._writing() as connection:
            _note(connection, key, self._now())


_STATE = """
SELECT candidate.status, json_extract(candidate.sample, '$.text') AS sample, verdict.edited_text, post.status AS post
FROM candidate LEFT JOIN verdict ON verdict.id = candidate.verdict_id
LEFT JOIN post ON post.candidate_id = candidate.id WHERE candidate.id = ?
"""


def _note(connection: sqlite3.Connection, key: str, now: str, *, value: str = "") -> None:
    connection.execute("INSERT OR REPLACE INTO note VALUES (?, ?, ?)", (key, value, now))


def _time(text: str) -> datetime:
    """A time of the database, or the longest ago if it cannot be read."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return datetime(2000, 1, 1, tzinfo=UTC)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
