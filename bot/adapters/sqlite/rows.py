"""Conversion of candidates, posts and source posts between rows of the database and classes of the domain."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from typing import Any

from bot.adapters.sqlite.file import from_json, to_json
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Flag, Verdict
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, PostMode
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import QueueRow
from handlers.contract import FinishReason, Sample

SELECT_ROWS = """
SELECT candidate.*, song.artist, song.song, song.genres, song.genres_asked, song.origin, song.url AS song_url,
       tweet.id AS tweet_id, tweet.text AS tweet_text, tweet.author AS tweet_author,
       tweet.created_at AS tweet_created_at, tweet.kind AS tweet_kind, tweet.lang AS tweet_lang,
       tweet.url AS tweet_url, verdict.decision, verdict.edited_text, verdict.who, verdict.reason AS verdict_reason,
       verdict.decided_at
FROM candidate
JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
JOIN tweet ON tweet.id = candidate.tweet_id
LEFT JOIN verdict ON verdict.id = candidate.verdict_id
"""
"""Query for the columns of a `QueueRow`, without WHERE and ORDER BY."""
SELECT_ROW = SELECT_ROWS + "WHERE candidate.id = ?"
SONG_COLUMNS = """song.artist, song.song, song.genres, song.genres_asked, song.origin, song.url AS song_url,
       candidate.song_number,
       tweet.id AS tweet_id, tweet.text AS tweet_text, tweet.author AS tweet_author, tweet.kind AS tweet_kind,
       tweet.created_at AS tweet_created_at, tweet.lang AS tweet_lang, tweet.url AS tweet_url"""
"""Columns for `report_of` and `source_post_of`."""
POST_JOINS = """post
JOIN candidate ON candidate.id = post.candidate_id
JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
JOIN tweet ON tweet.id = candidate.tweet_id"""
"""Posts with their songs and source posts."""


def insert_candidate(connection: sqlite3.Connection, candidate: Candidate, now: str) -> None:
    """Insert a candidate, and its song unless that is already there."""
    report = candidate.report
    connection.execute(
        "INSERT INTO song (tweet_id, number, artist, song, genres, genres_asked, origin, url, key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            report.source_post_id,
            report.number,
            report.artist,
            to_json(asdict(report.song)),
            to_json(report.genres),
            to_json(report.genres_asked),
            report.origin,
            report.url,
            report.song.key,
        ),
    )
    connection.execute(
        "INSERT INTO candidate (id, tweet_place, tweet_id, song_number, number, sample, model, model_version,"
        " archive_sha256, genres_unknown, status, created_at, flags, score, experiment, exposure_id,"
        " trace_id, blind)"
        " SELECT ?, place, id, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tweet WHERE id = ?",
        (
            candidate.id,
            report.number,
            candidate.number,
            to_json(asdict(candidate.sample)),
            candidate.model,
            candidate.model_version,
            candidate.archive_sha256,
            to_json(candidate.genres_unknown),
            candidate.status,
            now,
            to_json(candidate.flags),
            candidate.score,
            candidate.experiment,
            candidate.exposure_id,
            candidate.trace_id,
            candidate.is_blind,
            report.source_post_id,
        ),
    )
    index_words(connection, candidate.id)


def index_words(connection: sqlite3.Connection, candidate_id: str) -> None:
    """Within a transaction: make a candidate found by its song, source post, sample and edited text as they are now."""
    connection.execute(_INDEX_WORDS, (candidate_id,))


_INDEX_WORDS = """
INSERT OR REPLACE INTO search
SELECT candidate.id, search_key(song.artist || ' ' || json_extract(song.song, '$.title')
    || ' ' || tweet.text || ' ' || tweet.author
    || ' ' || json_extract(candidate.sample, '$.text') || ' ' || COALESCE(verdict.edited_text, '')),
    search_key(song.artist),
    char(31) || COALESCE((SELECT group_concat(search_key(value), char(31)) FROM json_each(song.genres)), '') || char(31)
FROM candidate
JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
JOIN tweet ON tweet.id = candidate.tweet_id
LEFT JOIN verdict ON verdict.id = candidate.verdict_id
WHERE candidate.id = ?
"""


def has_come(connection: sqlite3.Connection, song: Song, since: str, *, except_for: str = "") -> bool:
    """Whether a song came in another source post since a time."""
    row = connection.execute(
        "SELECT 1 FROM song JOIN tweet ON tweet.id = song.tweet_id"
        " WHERE song.key = ? AND song.key <> '' AND song.tweet_id <> ? AND tweet.handled_at >= ? LIMIT 1",
        (song.key, except_for, since),
    ).fetchone()
    return row is not None


def queue_row(row: sqlite3.Row) -> QueueRow:
    """Convert a row of `SELECT_ROWS`."""
    verdict = None
    if row["verdict_id"] is not None:
        decision = Decision(row["decision"])
        verdict = Verdict(
            candidate_id=row["id"],
            decision=decision,
            who=row["who"],
            edited_text=row["edited_text"],
            reason=row["verdict_reason"],
        )
    return QueueRow(
        candidate=_candidate(row),
        source_post=source_post_of(row),
        created_at=row["created_at"],
        verdict=verdict,
        decided_at=row["decided_at"],
    )


def report_of(row: sqlite3.Row) -> SongReport:
    """Convert the columns of the table `song`."""
    return SongReport(
        source_post_id=row["tweet_id"],
        number=row["song_number"],
        song=Song(**from_json(row["song"])),
        artist=row["artist"],
        genres=tuple(json.loads(row["genres"])),
        genres_asked=tuple(json.loads(row["genres_asked"])),
        origin=row["origin"],
        url=row["song_url"],
    )


def _candidate(row: sqlite3.Row) -> Candidate:
    return Candidate(
        report=report_of(row),
        number=row["number"],
        sample=_sample(from_json(row["sample"])),
        model=row["model"],
        model_version=row["model_version"],
        archive_sha256=row["archive_sha256"],
        genres_unknown=tuple(json.loads(row["genres_unknown"])),
        status=CandidateStatus(row["status"]),
        flags=tuple(map(Flag, json.loads(row["flags"]))),
        score=row["score"],
        withdrawn=row["withdrawn"],
        experiment=row["experiment"],
        exposure_id=row["exposure_id"],
        trace_id=row["trace_id"],
        song_waits=bool(row["blind"]),
    )


def _sample(document: dict[str, Any]) -> Sample:
    """Convert a stored sample; those of schema versions before 5 have no finish reason."""
    return Sample(**{**document, "finish_reason": FinishReason.parse(document.get("finish_reason"))})


def post_of(row: sqlite3.Row) -> OutgoingPost:
    """Convert a row with the columns of the table `post`."""
    return OutgoingPost(
        candidate_id=row["candidate_id"],
        text=row["sent_text"] or row["text"],
        is_whole=bool(row["sent_text"]),
        network=row["network"],
        mode=PostMode(row["mode"]),
        in_reply_to=row["in_reply_to"],
        status=OutgoingPostStatus(row["status"]),
        attempts=row["attempts"],
        after_id=row["after_id"],
        attempted_at=row["attempted_at"],
        external_id=row["external_id"],
        reason=row["reason"],
    )


def source_post_of(row: sqlite3.Row) -> SourcePost:
    """Convert a row with the columns of the table `tweet`, named `tweet_...`."""
    return SourcePost(
        id=row["tweet_id"],
        text=row["tweet_text"],
        author=row["tweet_author"],
        created_at=row["tweet_created_at"],
        kind=Kind(row["tweet_kind"]),
        lang=row["tweet_lang"],
        url=row["tweet_url"],
    )
