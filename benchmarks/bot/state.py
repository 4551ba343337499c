"""Benchmark of the commands' queries on a database of a year, with a million tweets."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice, pairwise
from pathlib import Path

from bot.adapters.sqlite.backup import back_up
from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.restore import restore
from bot.adapters.sqlite.schema import connect
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Verdict
from bot.domain.outgoing_posts import OwnPost
from bot.domain.pace import Pace
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage, Order, SongQuery
from bot.services.after_restore import AfterRestore
from bot.services.summary import Summary
from handlers.contract import Sample

Step = Callable[[SqliteStore, SqliteDesk], object]

_SAMPLES = 5
_SONG_EVERY = 3
"""Distance between tweets that name a song."""
_DECIDED_EVERY = 10
"""Distance between tweets whose first candidate is decided on; a third of those are accepted."""
_REPEATS = 15

# SQLite generates the rows: a million rows through Python would take minutes.
_FILL = (
    """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :tweets)
    INSERT INTO tweet (id, source, author, created_at, text, read_at, status, kind, handled_at)
    SELECT CAST(1900000000000000000 + i AS TEXT), 'x:timeline:1', 'author ' || (i % 5000), :begin,
           'Listen to “Song ' || i || '” by Artist ' || (i % 20000) || ' https://example.org/' || i, :begin,
           CASE WHEN i % :song_every = 0 THEN 'done' WHEN i % 1000 = 1 THEN 'failed' ELSE 'no song' END, 'timeline',
           strftime('%Y-%m-%dT%H:%M:%S+00:00', :begin, '+' || (i * :seconds / :tweets) || ' seconds') FROM n""",
    """INSERT INTO song (tweet_id, number, artist, song, genres, origin, url, key)
    SELECT id, 1, 'Artist ' || (place % 20000), json_object('artists', json_array('Artist ' || (place % 20000)),
           'title', 'Song ' || place, 'featured', json_array(), 'version', NULL, 'cover_of', NULL, 'confidence', 0.9),
           '["dream pop","slowcore"]', 'spotify', '', 'song' || (place % 50000) || char(31) || char(31) || 'artist'
    FROM tweet WHERE status = 'done'""",
    """WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :samples)
    INSERT INTO candidate (id, tweet_place, tweet_id, song_number, number, sample, model, model_version,
                           archive_sha256, genres_unknown, status, created_at, flags, score, board)
    SELECT id || '.1.' || n, place, id, 1, n, json_object('text', 'A sentence of some length about song ' || place ||
           ', number ' || n || ', that nobody wrote.', 'token_count', 16, 'log_prob', -30.5, 'topics',
           json_array(0.25, 0.25, 0.5), 'seed', place), 'lcgan', CAST(1 + place * 5 / :tweets AS TEXT), 'ab', '[]',
           CASE WHEN place % :decided_every <> 0 OR n > 1 THEN 'waiting'
                WHEN place % 9 = 0 THEN 'accepted' ELSE 'rejected' END,
           handled_at, '[]', -1.9, 'on'
    FROM tweet CROSS JOIN s WHERE tweet.status = 'done'""",
    """INSERT INTO verdict (candidate_id, decision, who, decided_at)
    SELECT id, CASE status WHEN 'accepted' THEN 'accept' ELSE 'reject' END, 'ana', created_at
    FROM candidate WHERE status <> 'waiting'""",
    """UPDATE candidate SET verdict_id = (SELECT id FROM verdict WHERE verdict.candidate_id = candidate.id)
    WHERE status <> 'waiting'""",
    """INSERT INTO post (candidate_id, text, text_key, network, status, created_at, attempted_at, sent_at, external_id,
                         sent_number)
    SELECT id, json_extract(sample, '$.text'), 'key' || tweet_place, 'x', 'sent', created_at, created_at, created_at,
           'post' || tweet_place, tweet_place FROM candidate WHERE status = 'accepted'""",
    """INSERT INTO board_row SELECT id, status, json_extract(sample, '$.text'), 'ana' FROM candidate
    WHERE status <> 'waiting'""",
    "INSERT INTO source VALUES ('x:timeline:1', '{}', :begin)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFigures:
    """Figures of the benchmark."""

    tweets: int
    candidates: int
    file_mib: float
    fill_s: float
    milliseconds: dict[str, float]
    """Median of each command or step of a pass."""
    slowest_ms: float
    """Slowest single run."""
    backup_s: float
    """Time of a verified backup."""
    restore_s: float
    """Time of its restore, which verifies it as well."""
    compare_s: float
    """Time of the first pass after it, in which every unsent candidate is compared with 100 own posts."""


def fill(path: Path, tweets: int) -> None:
    """Create the database of a bot that has read so many tweets within a year."""
    begin = datetime.now(UTC) - timedelta(days=365)
    values = {
        "tweets": tweets,
        "samples": _SAMPLES,
        "song_every": _SONG_EVERY,
        "decided_every": _DECIDED_EVERY,
        "seconds": 365 * 86_400,
        "begin": begin.isoformat(timespec="seconds"),
    }
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        for statement in _FILL:
            connection.execute(statement, values)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def measure(path: Path, *, tweets: int) -> StateFigures:
    """Fill a database and time the commands' queries, each on a new connection."""
    begin = time.perf_counter()
    fill(path, tweets)
    fill_s = time.perf_counter() - begin
    steps = {**_steps(_candidates(path)), **_pages()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_REPEATS):
        for name, step in steps.items():
            times[name].append(_time(path, step))
    with SqliteStore(path) as store:
        state = store.state()
    backup_s, restore_s, compare_s = _copies(path)
    return StateFigures(
        tweets=sum(state.source_posts.values()),
        candidates=sum(state.candidates.values()),
        file_mib=round(path.stat().st_size / 2**20, 1),
        fill_s=round(fill_s, 1),
        milliseconds={name: round(statistics.median(each), 2) for name, each in times.items()},
        slowest_ms=round(max(map(max, times.values())), 2),
        backup_s=backup_s,
        restore_s=restore_s,
        compare_s=compare_s,
    )


def _copies(path: Path) -> tuple[float, float, float]:
    """Seconds of a backup, of its restore, and of the comparison with own posts after it."""
    copy = path.with_name("copy.db")
    own = [
        OwnPost(id=f"own {number}", text=f"Artist {number} – Song {number}: words of this one that are on no record")
        for number in range(100)
    ]
    times = [time.perf_counter()]
    back_up(path, copy)
    times.append(time.perf_counter())
    restore(copy, path)
    times.append(time.perf_counter())
    with SqliteStore(path) as store:
        store.keep_own_posts("x", own)
        AfterRestore(publishers=(), record=store, outbox=store).is_clear(Summary(), verdicts_read=True)
    times.append(time.perf_counter())
    first, second, third = (round(end - start, 2) for start, end in pairwise(times))
    return first, second, third


def _time(path: Path, step: Step) -> float:
    """Milliseconds of one run of a step."""
    with SqliteStore(path) as store, SqliteDesk(path) as desk:
        start = time.perf_counter()
        step(store, desk)
        return (time.perf_counter() - start) * 1000


def _candidates(path: Path) -> Iterator[str]:
    """Waiting candidates from the middle of the year, a new one for each call."""
    with closing(sqlite3.connect(path)) as connection:
        middle = connection.execute("SELECT MAX(place) / 2 FROM tweet").fetchone()[0]
        rows = connection.execute(
            "SELECT id FROM candidate WHERE tweet_place > ? AND status = 'waiting' ORDER BY tweet_place LIMIT 1000",
            (middle,),
        ).fetchall()
    yield from (row[0] for row in rows)


def _steps(waiting: Iterator[str]) -> dict[str, Step]:
    """Timed steps by name."""
    number = count(1)
    now = datetime.now(UTC)
    return {
        "status": lambda store, _: (store.state(), store.pauses()),
        "queue list": lambda store, _: list(store.rows(limit=50)),
        "queue list --status waiting": lambda store, _: list(store.rows(status=CandidateStatus.WAITING, limit=50)),
        "queue list --status accepted": lambda store, _: list(store.rows(status=CandidateStatus.ACCEPTED, limit=50)),
        "queue accept": lambda store, _: store.decide([_accept(next(waiting))]),
        "queue undo": lambda store, _: store.decide([_undo(next(waiting))]),
        "queue export, the first 100 rows": lambda store, _: list(islice(store.rows(), 100)),
        "once --retry-failed": lambda store, _: store.reopen_failed(),
        "pass: a page of 100 tweets": lambda store, _: _add_page(store, next(number)),
        "pass: pending tweets": lambda store, _: (store.count_pending(), store.pending(200)),
        "pass: a tweet with 5 candidates": lambda store, _: _finish(store),
        "pass: new rows for the board": lambda store, _: (store.appends_in_doubt(), store.pending_append(100)),
        "pass: verdicts for the board": lambda store, _: _board_edits(store),
        "pass: what may be posted": lambda store, _: _outbox(store, now),
    }


def _pages() -> dict[str, Step]:
    """Timed steps of the studio by name."""
    waiting, newest = SongQuery(status=CandidateStatus.WAITING), SongQuery(order=Order.NEWEST)
    return {
        "studio: songs that wait": lambda _, desk: (desk.songs(waiting), desk.counts()),
        "studio: the newest songs": lambda _, desk: desk.songs(newest),
        "studio: posts": lambda _, desk: desk.posts(),
    }


def _accept(name: str) -> Verdict:
    return Verdict(candidate_id=name, decision=Decision.ACCEPT, who="ana")


def _undo(name: str) -> Verdict:
    return Verdict(candidate_id=name, decision=Decision.UNDO, who="ana")


def _add_page(store: SqliteStore, number: int) -> None:
    tweets = tuple(SourcePost(id=f"{number}:{place}", text="“Moss” by Ona Vell") for place in range(100))
    store.add_page("x:timeline:1", FeedPage(source_posts=tweets, cursor="{}", more=False, billed=100))


def _finish(store: SqliteStore) -> None:
    (pending,) = store.pending(1)
    song = Song(artists=("Ona Vell",), title=f"Moss {pending.place}", confidence=0.9)
    report = SongReport(
        source_post_id=pending.source_post.id, number=1, song=song, artist="Ona Vell", genres=("dream pop",)
    )
    candidates = [
        Candidate(
            report=report,
            number=number,
            sample=Sample(text="A slow lamp.", token_count=4, log_prob=-8.0, topics=(0.5, 0.5), seed=number),
            model="lcgan",
            model_version="6",
            archive_sha256="ab",
        )
        for number in range(1, _SAMPLES + 1)
    ]
    fresh_since = datetime.now(UTC) - timedelta(days=7)
    store.finish(pending.source_post.id, SourcePostStatus.DONE, candidates=candidates, fresh_since=fresh_since)


def _board_edits(store: SqliteStore) -> None:
    store.edits_in_doubt()
    store.begin_edits(100, post_of=lambda _, text: text)


def _outbox(store: SqliteStore, now: datetime) -> None:
    store.doubtful_posts()
    store.cancel_stale(before=now - timedelta(days=3))
    store.enqueue_accepted(since=now - timedelta(days=3))
    store.departures(since=now - timedelta(days=1))
    pace = Pace(hold=timedelta(minutes=2), same_song=timedelta(days=365))
    store.pending_posts(50, pace=pace)
    store.accepted_posts(pace, since=now - timedelta(days=3), limit=200)
