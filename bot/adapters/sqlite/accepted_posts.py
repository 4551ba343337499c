"""Accepted posts that are not sent, in SQLite: since when, and which other post is about the same song."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from typing_extensions import override

from bot.adapters.sqlite.file import stamp
from bot.adapters.sqlite.restore_state import SqliteRestoreState
from bot.domain.candidates import CandidateStatus
from bot.domain.errors import StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.pace import AHEAD, AcceptedPost, Pace, Rival
from bot.ports import AcceptedPosts

WAITING = """
WITH due AS MATERIALIZED (
    SELECT post.candidate_id, post.place FROM post WHERE post.status = 'pending'
    UNION ALL
    -- Accepted since the last pass, which makes them posts: behind all others.
    SELECT candidate.id, (1 << 62) + verdict.id FROM verdict INDEXED BY verdict_decided
    CROSS JOIN candidate ON candidate.id = verdict.candidate_id
    WHERE candidate.verdict_id = verdict.id AND verdict.decided_at >= :accepted_since AND verdict.decision = 'accept'
    AND NOT EXISTS (SELECT 1 FROM post WHERE post.candidate_id = candidate.id)
),
waiting AS MATERIALIZED (
    SELECT due.candidate_id, due.place,
        MAX(COALESCE(verdict.decided_at, ''), COALESCE(confirmation.confirmed_at, '')) AS accepted_at,
        CASE WHEN confirmation.candidate_id IS NULL THEN (
            SELECT other.id FROM song AS same
            JOIN tweet AS origin ON origin.id = same.tweet_id
            JOIN candidate AS other ON other.tweet_place = origin.place AND other.song_number = same.number
            LEFT JOIN post AS rival ON rival.candidate_id = other.id
                AND rival.status IN ('sending', 'unknown', 'sent')
                AND COALESCE(rival.sent_at, rival.attempted_at) >= :posted_since
            LEFT JOIN due AS earlier ON earlier.candidate_id = other.id AND earlier.place < due.place
            WHERE :one_a_song AND same.key = song.key AND same.key <> '' AND other.id <> due.candidate_id
            AND (rival.candidate_id IS NOT NULL OR earlier.candidate_id IS NOT NULL)
            -- An answer to a mention is about that mention alone.
            AND (same.tweet_id = song.tweet_id OR NOT :answers_mentions
                OR (origin.kind <> 'mention' AND tweet.kind <> 'mention'))
            ORDER BY rival.candidate_id IS NULL, rival.attempted_at DESC LIMIT 1
        ) END AS rival_id
    FROM due
    JOIN candidate ON candidate.id = due.candidate_id
    JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
    JOIN tweet ON tweet.id = candidate.tweet_id
    LEFT JOIN verdict ON verdict.id = candidate.verdict_id
    LEFT JOIN confirmation ON confirmation.candidate_id = candidate.id
)
"""
"""Beginning of a query on `waiting`: accepted candidates without a post that is under way, with the id of another post
about the song unless a curator has confirmed this one. Its values are those of `values_of`."""
RELEASED = "(:holds_nothing OR waiting.accepted_at <= :released OR waiting.accepted_at > :ahead)"
"""Condition on `waiting`: the hold is over, or began while the clock was ahead."""
_ACCEPTED = (
    WAITING
    + """
SELECT waiting.*, rival.status AS rival_status, COALESCE(rival.sent_at, rival.attempted_at) AS rival_at
FROM waiting LEFT JOIN post AS rival ON rival.candidate_id = waiting.rival_id ORDER BY waiting.place LIMIT :limit
"""
)
_NEVER = "9"
"""Text behind every time."""


def values_of(pace: Pace, now: datetime, *, accepted_since: datetime | None = None) -> dict[str, object]:
    """Values of `WAITING` and `RELEASED`; without `accepted_since`, candidates that have no post yet are left out."""
    return {
        "accepted_since": _NEVER if accepted_since is None else stamp(accepted_since),
        "one_a_song": bool(pace.same_song),
        "posted_since": stamp(now - pace.same_song),
        "answers_mentions": pace.answers_mentions,
        "holds_nothing": not pace.hold,
        "released": stamp(now - pace.hold),
        "ahead": stamp(now + AHEAD),
    }


class SqliteAcceptedPosts(SqliteRestoreState, AcceptedPosts):
    """Accepted posts in the bot's database."""

    @override
    def accepted_posts(self, pace: Pace, *, since: datetime, limit: int) -> list[AcceptedPost]:
        values = {**values_of(pace, self._clock(), accepted_since=since), "limit": limit}
        return [_accepted_post(row) for row in self._read(_ACCEPTED, values)]

    @override
    def departures(self, *, since: datetime) -> list[datetime]:
        rows = self._read(
            "SELECT attempted_at FROM post INDEXED BY post_attempted"
            " WHERE attempted_at >= ? AND status IN ('sending', 'unknown', 'sent') ORDER BY attempted_at",
            (stamp(since),),
        )
        return [datetime.fromisoformat(row["attempted_at"]) for row in rows]

    @override
    def confirm(self, candidate_ids: Sequence[str], who: str) -> None:
        now = self._now()
        with self._writing() as connection:
            for name in candidate_ids:
                _check_accepted(connection, name)
                connection.execute("INSERT OR REPLACE INTO confirmation VALUES (?, ?, ?)", (name, who, now))


def _check_accepted(connection: sqlite3.Connection, candidate_id: str) -> None:
    row = connection.execute(
        "SELECT candidate.status, post.status AS post FROM candidate"
        " LEFT JOIN post ON post.candidate_id = candidate.id WHERE candidate.id = ?",
        (candidate_id,),
    ).fetchone()
    if row is None:
        raise UnknownCandidateError(f"no candidate has the id {candidate_id}; nothing was changed")
    if row["status"] != CandidateStatus.ACCEPTED:
        raise StaleVerdictError(f"{candidate_id} is {row['status']}, so there is no post to confirm: accept it first")
    if row["post"] not in (None, OutgoingPostStatus.PENDING):
        raise StaleVerdictError(f"the post of {candidate_id} is {row['post']}, so there is nothing to confirm")


def _accepted_post(row: sqlite3.Row) -> AcceptedPost:
    rival = None
    if row["rival_id"] is not None:
        # One without a post was accepted since the last pass.
        status = OutgoingPostStatus(row["rival_status"] or OutgoingPostStatus.PENDING)
        at = None if row["rival_at"] is None else datetime.fromisoformat(row["rival_at"])
        rival = Rival(candidate_id=row["rival_id"], status=status, at=at)
    return AcceptedPost(
        candidate_id=row["candidate_id"], accepted_at=datetime.fromisoformat(row["accepted_at"]), rival=rival
    )
