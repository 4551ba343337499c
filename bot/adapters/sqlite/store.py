"""The bot's store in one SQLite file.

Nothing is lost and nothing is done twice, because
- a page's source posts and its cursor are committed together, before any source post is handled;
- a source post's candidates and its new status are committed together, and only while it is pending;
- a row on the board and a post are marked before the call that creates them, and looked up if its outcome is unknown;
- ids are derived from those of the feed, and unique.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime

from typing_extensions import override

from bot.adapters.sqlite import odd_items
from bot.adapters.sqlite.board import MISSING, SqliteBoardStore
from bot.adapters.sqlite.evaluations import SqliteEvaluations
from bot.adapters.sqlite.file import count_usage, stamp
from bot.adapters.sqlite.outbox import SqliteOutbox
from bot.adapters.sqlite.queue import SqliteQueue
from bot.adapters.sqlite.restored import SqliteRestoreRecord
from bot.adapters.sqlite.rows import has_come, insert_candidate
from bot.adapters.sqlite.tallies import version_tallies
from bot.domain.candidates import Candidate, CandidateStatus, Decision
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import FeedPage, Pause, PendingSourcePost, Store, StoreState

_LAST_ERROR = "last error"
_LAST_GOOD = "last good pass"
_FAILED = "last pass failed"
_SHOWN_FAILURES = 5


class SqliteStore(SqliteQueue, SqliteOutbox, SqliteBoardStore, SqliteEvaluations, SqliteRestoreRecord, Store):
    """Store, queue, outbox, the board's bookkeeping, evaluations and the record of a restore: all ports of one file."""

    @override
    def cursor(self, source: str) -> str | None:
        rows = self._read("SELECT cursor FROM source WHERE name = ?", (source,))
        return rows[0]["cursor"] if rows else None

    @override
    def add_page(self, source: str, page: FeedPage) -> int:
        """Store a page. A source post whose id is known, from any source, is left as it is."""
        now = self._now()
        with self._writing() as connection:
            added = _insert_source_posts(connection, source, page.source_posts, now)
            odd_items.set_aside(connection, source, page.odd_items, now)
            connection.execute(
                "INSERT INTO source (name, cursor, updated_at) VALUES (?, ?, ?) ON CONFLICT (name)"
                " DO UPDATE SET cursor = excluded.cursor, updated_at = excluded.updated_at",
                (source, page.cursor, now),
            )
            if page.billed:
                count_usage(connection, f"{source.partition(':')[0]} read", page.billed, now)
        return added

    @override
    def pending(self, limit: int, *, after: int = 0) -> list[PendingSourcePost]:
        rows = self._read(
            "SELECT place, id, text, author, created_at, kind, lang, url FROM tweet"
            " WHERE status = ? AND place > ? ORDER BY place LIMIT ?",
            (SourcePostStatus.PENDING, after, limit),
        )
        return [PendingSourcePost(place=row["place"], source_post=_source_post(row)) for row in rows]

    @override
    def count_pending(self) -> int:
        rows = self._read(
            "SELECT COALESCE(SUM(count), 0) FROM tweet_tally WHERE status = ?", (SourcePostStatus.PENDING,)
        )
        return int(rows[0][0])

    @override
    def finish(
        self,
        source_post_id: str,
        status: SourcePostStatus,
        *,
        candidates: Iterable[Candidate] = (),
        reason: str = "",
        fresh_since: datetime | None = None,
    ) -> bool:
        now = self._now()
        with self._writing() as connection:
            closed = connection.execute(
                "UPDATE tweet SET status = ?, reason = ?, handled_at = ? WHERE id = ? AND status = ?",
                (status, reason, now, source_post_id, SourcePostStatus.PENDING),
            )
            if closed.rowcount != 1:
                return False  # another bot was faster: its candidates are in the queue
            for candidate in candidates:
                song = candidate.report.song
                if fresh_since is None or not has_come(connection, song, stamp(fresh_since), except_for=source_post_id):
                    insert_candidate(connection, candidate, now)
        return True

    @override
    def count_attempt(self, source_post_id: str, reason: str) -> int:
        with self._writing() as connection:
            connection.execute(
                "UPDATE tweet SET attempts = attempts + 1, reason = ? WHERE id = ? AND status = ?",
                (reason, source_post_id, SourcePostStatus.PENDING),
            )
            row = connection.execute("SELECT attempts FROM tweet WHERE id = ?", (source_post_id,)).fetchone()
        return int(row["attempts"]) if row is not None else 0

    @override
    def reopen_failed(self) -> int:
        with self._writing() as connection:
            reopened = connection.execute(
                "UPDATE tweet SET status = ?, attempts = 0 WHERE status = ?"
                " AND NOT EXISTS (SELECT 1 FROM candidate WHERE candidate.tweet_place = tweet.place)",
                (SourcePostStatus.PENDING, SourcePostStatus.FAILED),
            )
        return reopened.rowcount

    @override
    def set_last_error(self, message: str | None, *, failed: bool = False) -> None:
        notes = {_LAST_ERROR: message, _FAILED: "yes" if failed else None}
        with self._writing() as connection:
            for key, value in notes.items():
                connection.execute("DELETE FROM note WHERE key = ?", (key,))
                if value is not None:
                    connection.execute("INSERT INTO note VALUES (?, ?, ?)", (key, value, self._now()))
            if message is None:
                connection.execute("INSERT OR REPLACE INTO note VALUES (?, '', ?)", (_LAST_GOOD, self._now()))

    @override
    def pauses(self) -> list[Pause]:
        rows = self._read("SELECT part, until, reason FROM pause ORDER BY part")
        return [
            Pause(part=row["part"], until=datetime.fromisoformat(row["until"]), reason=row["reason"]) for row in rows
        ]

    @override
    def set_pause(self, part: str, pause: Pause | None) -> None:
        with self._writing() as connection:
            connection.execute("DELETE FROM pause WHERE part = ?", (part,))
            if pause is not None:
                connection.execute("INSERT INTO pause VALUES (?, ?, ?)", (part, stamp(pause.until), pause.reason))

    @override
    def state(self) -> StoreState:
        source_posts = dict(map(tuple, self._read("SELECT status, count FROM tweet_tally")))
        posts = dict(map(tuple, self._read("SELECT status, count FROM post_tally")))
        # Withdrawn ones are in the queue as rejected, although they do not count against their versions.
        candidates = dict(map(tuple, self._read("SELECT status, SUM(count) FROM candidate_tally GROUP BY status")))
        errors = self._read("SELECT value, updated_at FROM note WHERE key = ?", (_LAST_ERROR,))
        failures = self._read(
            "SELECT id, reason FROM tweet WHERE status = ? ORDER BY place DESC LIMIT ?",
            (SourcePostStatus.FAILED, _SHOWN_FAILURES),
        )
        sources = self._read("SELECT name, cursor, updated_at FROM source ORDER BY name")
        usage = self._read("SELECT item, count FROM usage WHERE month = ? ORDER BY item", (self._now()[:7],))
        return StoreState(
            source_posts={status: source_posts.get(status, 0) for status in SourcePostStatus},
            candidates={status: candidates.get(status, 0) for status in CandidateStatus},
            odd_items=odd_items.counts(self._read),
            set_aside=odd_items.latest(self._read),
            cursors={row["name"]: row["cursor"] for row in sources},
            read_at={row["name"]: row["updated_at"] for row in sources},
            last_error=errors[0]["value"] if errors else None,
            last_error_at=errors[0]["updated_at"] if errors else None,
            failures=tuple((row["id"], row["reason"]) for row in failures),
            posts={status: posts.get(status, 0) for status in OutgoingPostStatus},
            usage={row["item"]: row["count"] for row in usage},
            versions=tuple(version_tallies(self._read)),
            appends_in_doubt=int(self._read("SELECT COUNT(*) FROM candidate WHERE board = 'doubtful'")[0][0]),
            rows_missing=sum(map(int, self._note(MISSING))),
            pass_failed=bool(self._note(_FAILED)),
            last_good_pass_at=next(iter(self._note(_LAST_GOOD, "updated_at")), None),
            verdicts={
                (row["model"], row["model_version"], Decision(row["decision"])): row["count"]
                for row in self._read("SELECT model, model_version, decision, count FROM verdict_tally")
            },
            refusals={
                (row["network"], row["reason"]): row["count"]
                for row in self._read("SELECT network, reason, count FROM refusal_tally")
            },
        )

    def _note(self, key: str, column: str = "value") -> list[str]:
        return [row[column] for row in self._read("SELECT value, updated_at FROM note WHERE key = ?", (key,))]


def _insert_source_posts(
    connection: sqlite3.Connection, source: str, source_posts: Sequence[SourcePost], now: str
) -> int:
    rows = [
        (
            source_post.id,
            source,
            source_post.author,
            source_post.created_at,
            source_post.text,
            now,
            SourcePostStatus.PENDING,
            source_post.kind,
            source_post.lang,
            source_post.url,
        )
        for source_post in source_posts
    ]
    # A post that was edited before it was handled is answered as it is now; a row of a file stays as it was read.
    connection.executemany(
        "UPDATE tweet SET text = ? WHERE id = ? AND status = ? AND kind <> ? AND text <> ?",
        [(one.text, one.id, SourcePostStatus.PENDING, Kind.FEED, one.text) for one in source_posts],
    )
    # The number of inserted rows; `total_changes` would count changes by triggers as well.
    return connection.executemany(
        "INSERT INTO tweet (id, source, author, created_at, text, read_at, status, kind, lang, url)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        rows,
    ).rowcount


def _source_post(row: sqlite3.Row) -> SourcePost:
    return SourcePost(
        id=row["id"],
        text=row["text"],
        author=row["author"],
        created_at=row["created_at"],
        kind=Kind(row["kind"]),
        lang=row["lang"],
        url=row["url"],
    )
