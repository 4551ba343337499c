"""Store and queue in one SQLite file.

Nothing is lost and nothing comes twice because
- a page's tweets and the cursor behind it are committed together, before any tweet is handled;
- a tweet's candidates and its new status are committed together, and only while the tweet is still pending;
- ids are derived from the feed's, and unique.

One connection belongs to one thread. Several processes may use the file at once (the bot writes while a curator reads).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bot.adapters.sqlite_schema import connect, transaction, wrapped_errors
from bot.domain.errors import UnknownCandidateError
from bot.domain.model import (
    Candidate,
    CandidateStatus,
    Decision,
    Song,
    SongReport,
    Tweet,
    TweetStatus,
    Verdict,
)
from bot.ports import FeedPage, PendingTweet, Queue, QueueRow, Store, StoreState
from handlers.contract import Sample

_LAST_ERROR = "last error"
_SHOWN_FAILURES = 5

_ROWS = """
SELECT candidate.*, song.artist, song.song, song.genres,
       tweet.id AS tweet_id, tweet.text AS tweet_text, tweet.author AS tweet_author,
       tweet.created_at AS tweet_created_at, verdict.decision, verdict.edited_text, verdict.who, verdict.decided_at
FROM candidate
JOIN song ON song.tweet_id = candidate.tweet_id AND song.number = candidate.song_number
JOIN tweet ON tweet.id = candidate.tweet_id
LEFT JOIN verdict ON verdict.id = candidate.verdict_id
WHERE :status IS NULL OR candidate.status = :status
ORDER BY candidate.tweet_place, candidate.song_number, candidate.number
LIMIT :limit
"""


class SqliteStore(Store, Queue):
    """The bot's memory and the curator's queue.

    Args:
        path: the database; made when it does not exist.

    Raises:
        StoreError: the file cannot be used, here and from every method.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with wrapped_errors(self._path), transaction(self._connection):
            yield self._connection

    def _read(self, statement: str, values: dict[str, object] | tuple[object, ...] = ()) -> list[sqlite3.Row]:
        with wrapped_errors(self._path):
            return self._connection.execute(statement, values).fetchall()

    def cursor(self, source: str) -> str | None:
        """See `Store.cursor`."""
        rows = self._read("SELECT cursor FROM source WHERE name = ?", (source,))
        return rows[0]["cursor"] if rows else None

    def add_page(self, source: str, page: FeedPage) -> int:
        """See `Store.add_page`. A tweet whose id is known already, from whatever source, is left as it is."""
        now = _now()
        with self._writing() as connection:
            before = connection.total_changes
            connection.executemany(
                "INSERT INTO tweet (id, source, author, created_at, text, read_at, status) VALUES (?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO NOTHING",
                [
                    (tweet.id, source, tweet.author, tweet.created_at, tweet.text, now, TweetStatus.PENDING)
                    for tweet in page.tweets
                ],
            )
            added = connection.total_changes - before
            connection.executemany(
                "INSERT OR REPLACE INTO bad_row (source, line, reason, excerpt, seen_at) VALUES (?, ?, ?, ?, ?)",
                [(source, row.line, row.reason, row.excerpt, now) for row in page.bad_rows],
            )
            connection.execute(
                "INSERT INTO source (name, cursor, updated_at) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at",
                (source, page.cursor, now),
            )
        return added

    def pending(self, limit: int, *, after: int = 0) -> list[PendingTweet]:
        """See `Store.pending`."""
        rows = self._read(
            "SELECT place, id, text, author, created_at FROM tweet"
            " WHERE status = ? AND place > ? ORDER BY place LIMIT ?",
            (TweetStatus.PENDING, after, limit),
        )
        return [
            PendingTweet(
                place=row["place"],
                tweet=Tweet(id=row["id"], text=row["text"], author=row["author"], created_at=row["created_at"]),
            )
            for row in rows
        ]

    def count_pending(self) -> int:
        """See `Store.count_pending`."""
        rows = self._read("SELECT COUNT(*) FROM tweet WHERE status = ?", (TweetStatus.PENDING,))
        return int(rows[0][0])

    def finish(
        self, tweet_id: str, status: TweetStatus, *, candidates: Iterable[Candidate] = (), reason: str = ""
    ) -> bool:
        """See `Store.finish`."""
        now = _now()
        with self._writing() as connection:
            closed = connection.execute(
                "UPDATE tweet SET status = ?, reason = ?, handled_at = ? WHERE id = ? AND status = ?",
                (status, reason, now, tweet_id, TweetStatus.PENDING),
            )
            if closed.rowcount != 1:
                return False  # another bot was quicker: its candidates are in the queue
            for candidate in candidates:
                _insert_candidate(connection, candidate, now)
        return True

    def count_attempt(self, tweet_id: str, reason: str) -> int:
        """See `Store.count_attempt`."""
        with self._writing() as connection:
            connection.execute(
                "UPDATE tweet SET attempts = attempts + 1, reason = ? WHERE id = ? AND status = ?",
                (reason, tweet_id, TweetStatus.PENDING),
            )
            row = connection.execute("SELECT attempts FROM tweet WHERE id = ?", (tweet_id,)).fetchone()
        return int(row["attempts"]) if row is not None else 0

    def reopen_failed(self) -> int:
        """See `Store.reopen_failed`."""
        with self._writing() as connection:
            reopened = connection.execute(
                "UPDATE tweet SET status = ?, attempts = 0 WHERE status = ?"
                " AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.tweet_id = tweet.id)",
                (TweetStatus.PENDING, TweetStatus.FAILED),
            )
        return reopened.rowcount

    def set_last_error(self, message: str | None) -> None:
        """See `Store.set_last_error`."""
        with self._writing() as connection:
            connection.execute("DELETE FROM note WHERE key = ?", (_LAST_ERROR,))
            if message is not None:
                connection.execute("INSERT INTO note VALUES (?, ?, ?)", (_LAST_ERROR, message, _now()))

    def state(self) -> StoreState:
        """See `Store.state`."""
        tweets = dict(map(tuple, self._read("SELECT status, COUNT(*) FROM tweet GROUP BY status")))
        candidates = dict(map(tuple, self._read("SELECT status, COUNT(*) FROM candidate GROUP BY status")))
        errors = self._read("SELECT value, updated_at FROM note WHERE key = ?", (_LAST_ERROR,))
        failures = self._read(
            "SELECT id, reason FROM tweet WHERE status = ? ORDER BY place DESC LIMIT ?",
            (TweetStatus.FAILED, _SHOWN_FAILURES),
        )
        return StoreState(
            tweets={status: tweets.get(status, 0) for status in TweetStatus},
            candidates={status: candidates.get(status, 0) for status in CandidateStatus},
            bad_rows=int(self._read("SELECT COUNT(*) FROM bad_row")[0][0]),
            cursors={row["name"]: row["cursor"] for row in self._read("SELECT name, cursor FROM source ORDER BY name")},
            last_error=errors[0]["value"] if errors else None,
            last_error_at=errors[0]["updated_at"] if errors else None,
            failures=tuple((row["id"], row["reason"]) for row in failures),
        )

    def rows(self, *, status: CandidateStatus | None = None, limit: int | None = None) -> Iterator[QueueRow]:
        """See `Queue.rows`."""
        with wrapped_errors(self._path):
            values = {"status": status, "limit": -1 if limit is None else limit}
            for row in self._connection.execute(_ROWS, values):
                yield _queue_row(row)

    def decide(self, verdicts: Iterable[Verdict]) -> None:
        """See `Queue.decide`."""
        now = _now()
        unknown: list[str] = []
        with self._writing() as connection:
            for verdict in verdicts:
                if connection.execute("SELECT 1 FROM candidate WHERE id = ?", (verdict.candidate_id,)).fetchone():
                    _insert_verdict(connection, verdict, now)
                else:
                    unknown.append(verdict.candidate_id)
            if unknown:
                raise UnknownCandidateError(
                    f"no candidate has the id {', '.join(unknown)}; nothing was changed"
                    " (`deephypebot queue list` shows the ids)"
                )


def _insert_candidate(connection: sqlite3.Connection, candidate: Candidate, now: str) -> None:
    report = candidate.report
    connection.execute(
        "INSERT INTO song (tweet_id, number, artist, song, genres) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (report.tweet_id, report.number, report.artist, _json(asdict(report.song)), _json(report.genres)),
    )
    connection.execute(
        "INSERT INTO candidate (id, tweet_place, tweet_id, song_number, number, sample, model, model_version,"
        " archive_sha256, genres_unknown, status, created_at)"
        " SELECT ?, place, id, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM tweet WHERE id = ?",
        (
            candidate.id,
            report.number,
            candidate.number,
            _json(asdict(candidate.sample)),
            candidate.model,
            candidate.model_version,
            candidate.archive_sha256,
            _json(candidate.genres_unknown),
            candidate.status,
            now,
            report.tweet_id,
        ),
    )


def _insert_verdict(connection: sqlite3.Connection, verdict: Verdict, now: str) -> None:
    inserted = connection.execute(
        "INSERT INTO verdict (candidate_id, decision, edited_text, who, decided_at) VALUES (?, ?, ?, ?, ?)",
        (verdict.candidate_id, verdict.decision, verdict.edited_text, verdict.who, now),
    )
    connection.execute(
        "UPDATE candidate SET status = ?, verdict_id = ? WHERE id = ?",
        (verdict.decision.status, inserted.lastrowid, verdict.candidate_id),
    )


def _queue_row(row: sqlite3.Row) -> QueueRow:
    report = SongReport(
        tweet_id=row["tweet_id"],
        number=row["song_number"],
        song=Song(**_tuples(row["song"])),
        artist=row["artist"],
        genres=tuple(json.loads(row["genres"])),
    )
    verdict = None
    if row["verdict_id"] is not None:
        decision = Decision(row["decision"])
        verdict = Verdict(candidate_id=row["id"], decision=decision, who=row["who"], edited_text=row["edited_text"])
    return QueueRow(
        candidate=Candidate(
            report=report,
            number=row["number"],
            sample=Sample(**_tuples(row["sample"])),
            model=row["model"],
            model_version=row["model_version"],
            archive_sha256=row["archive_sha256"],
            genres_unknown=tuple(json.loads(row["genres_unknown"])),
            status=CandidateStatus(row["status"]),
        ),
        tweet=Tweet(
            id=row["tweet_id"],
            text=row["tweet_text"],
            author=row["tweet_author"],
            created_at=row["tweet_created_at"],
        ),
        created_at=row["created_at"],
        verdict=verdict,
        decided_at=row["decided_at"],
    )


def _tuples(document: str) -> dict[str, Any]:
    """A JSON object whose arrays become the tuples that our frozen classes hold."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(document).items()}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
