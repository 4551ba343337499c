"""Migration of databases of earlier versions with all that is in them."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.bluesky.source import BlueskyFeed, BlueskySource
from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.adapters.sqlite.schema import APPLICATION_ID
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.outgoing_posts import PostMode
from bot.domain.source_posts import Kind, SourcePostStatus
from bot.ports import Correction, Order, SongFilter, SongLabel, SongQuery

SAMPLE = '{"text":"A slow lamp.","token_count":4,"log_prob":-3.0,"topics":[0.5,0.5],"seed":7}'
SONG = '{"artists":["Ona"],"title":"Moss","featured":[],"version":null,"cover_of":null,"confidence":0.9}'


@pytest.fixture
def version_1(database: Path) -> Path:
    """A database of version 1: three source posts, one with two candidates, one of them decided on twice."""
    database.parent.mkdir()
    connection = sqlite3.connect(database)
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    for name, status in (("1", "done"), ("2", "no song"), ("3", "pending")):
        connection.execute(
            "INSERT INTO tweet (id, source, author, created_at, text, read_at, status)"
            " VALUES (?, 's', 'a', '', ?, '', ?)",
            (name, f"text {name}", status),
        )
    connection.execute("INSERT INTO source VALUES ('s', 'here', '')")
    connection.execute("INSERT INTO song VALUES ('1', 1, 'Ona', ?, '[\"dream pop\"]')", (SONG,))
    for number in (1, 2):
        connection.execute(
            "INSERT INTO candidate VALUES (?, 1, '1', 1, ?, ?, 'lcgan', '2', 'ab', '[]', 'waiting', 'then', NULL)",
            (f"1.1.{number}", number, SAMPLE),
        )
    for decision in ("reject", "accept"):
        connection.execute(
            "INSERT INTO verdict (candidate_id, decision, edited_text, who, decided_at)"
            " VALUES ('1.1.2', ?, NULL, 'ana', ?)",
            (decision, datetime.now(UTC).isoformat(timespec="seconds")),
        )
    connection.execute("UPDATE candidate SET status = 'accepted', verdict_id = 2 WHERE id = '1.1.2'")
    connection.commit()
    connection.close()
    return database


def test_candidates_of_version_1_are_found_have_no_reason_and_count_for_their_version(version_1: Path) -> None:
    with SqliteDesk(version_1) as desk:
        for words in ("ona", "MOSS", "text 1", "slow lamp"):
            (song,) = desk.songs(SongQuery(filter=SongFilter(words=words))).songs
            assert len(song.rows) == 2, words
        assert desk.songs(SongQuery(filter=SongFilter(artist="on", genre="Dream pop"))).total == 1
        assert desk.songs(SongQuery(order=Order.BEST)).total == 1  # without a score
        (_, decided) = song.rows
        assert decided.row.verdict
        assert (decided.row.verdict.reason, decided.row.candidate.withdrawn) == ("", "")
        (tally,) = desk.versions()
        assert (tally.waiting, tally.accepted, tally.rejected) == (1, 1, 0)
        seen = {row.row.candidate.id: row.verdict_id for row in song.rows}
        desk.correct(Correction(place=song.place, label=SongLabel.NO_SONG, who="ana", seen=seen))
        (tally,) = desk.versions()
        assert (tally.waiting, tally.accepted, tally.rejected) == (0, 0, 0)


def test_rows_of_version_1_are_all_there_and_counted(version_1: Path) -> None:
    with SqliteStore(version_1) as store:
        state = store.state()
        assert [state.source_posts[status] for status in SourcePostStatus] == [1, 1, 1, 0]
        assert [state.candidates[status] for status in CandidateStatus] == [1, 1, 0]
        assert store.cursor("s") == "here"
        waiting, accepted = store.rows()
        (pending,) = store.pending(9)
    assert (waiting.candidate.flags, waiting.candidate.score, waiting.candidate.report.origin) == ((), None, "")
    assert (waiting.candidate.sample.finish_reason, waiting.is_cut_off) == (None, False)
    assert (accepted.verdict, accepted.source_post.kind) == (
        Verdict(candidate_id="1.1.2", decision=Decision.ACCEPT, who="ana"),
        Kind.FEED,
    )
    assert pending.source_post.id == "3"


def test_candidates_of_version_1_are_of_no_experiment_and_show_their_version(version_1: Path) -> None:
    with SqliteStore(version_1) as store:
        found = [row.candidate for row in store.rows()]
        (tally,) = store.state().versions
    assert [(each.experiment, each.exposure_id, each.trace_id, each.is_blind, each.variant) for each in found] == [
        ("", "", "", False, "lcgan 2")
    ] * 2
    assert (tally.waiting, tally.accepted, tally.rejected) == (1, 1, 0)


def test_references_hold_after_the_verdicts_were_moved(version_1: Path) -> None:
    with SqliteStore(version_1) as store:
        store.decide([Verdict(candidate_id="1.1.2", decision=Decision.UNDO, who="bo")])
        assert [row.candidate.status for row in store.rows()] == [CandidateStatus.WAITING] * 2
        assert store._connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
        assert store._connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
            store._connection.execute(
                "INSERT INTO verdict (candidate_id, decision, who, decided_at) VALUES ('9', 'undo', '', '')"
            )
    connection = sqlite3.connect(version_1)
    decisions = [row[0] for row in connection.execute("SELECT decision FROM verdict ORDER BY id")]
    connection.close()
    assert decisions == ["reject", "accept", "undo"]


def test_what_was_accepted_before_there_was_a_poster_is_posted_only_while_it_is_new(version_1: Path) -> None:
    with SqliteStore(version_1) as store:
        assert store.enqueue_accepted(since=datetime.now(UTC) + timedelta(minutes=1)) == 0
        assert store.enqueue_accepted(since=datetime.now(UTC) - timedelta(days=1)) == 1
        ((post, draft),) = store.pending_posts(9)
    assert (post.candidate_id, post.text, draft.source_post.id) == ("1.1.2", "A slow lamp.", "1")


def test_what_version_2_decided_elsewhere_and_the_board_does_not_show_is_still_to_be_written(version_1: Path) -> None:
    connection = sqlite3.connect(version_1)
    for statement in MIGRATIONS[1]:
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 2")
    connection.execute("UPDATE candidate SET board = 'on'")
    connection.commit()
    connection.close()
    with SqliteStore(version_1) as store:
        (edit,) = store.begin_edits(9, post_of=lambda _, text: text)
    assert (edit.candidate_id, edit.seen.status, edit.status, edit.who) == ("1.1.2", "waiting", "accepted", "ana")


@pytest.fixture
def version_3(database: Path) -> Path:
    """A database that release 0.1.0 wrote after passes with Bluesky and Mastodon, which it called bsky and masto."""
    database.parent.mkdir()
    connection = sqlite3.connect(database)
    connection.executescript((Path(__file__).parent / "version_3.sql").read_text(encoding="utf-8"))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 3")
    connection.close()
    return database


def test_networks_of_version_3_get_their_names_and_ids_keep_their_prefixes(version_3: Path) -> None:
    server = "http://127.0.0.1:43479"
    with SqliteStore(version_3, now=lambda: datetime(2026, 11, 29, tzinfo=UTC)) as store, SqliteDesk(version_3) as desk:
        state = store.state()
        posts = desk.posts().rows
        (pause,) = store.pauses()
        source_posts = [row.source_post for row in store.rows()]
        assert store._connection.execute("PRAGMA foreign_key_check").fetchall() == []
        origins = [row[0] for row in store._connection.execute("SELECT source FROM tweet ORDER BY place")]
    assert list(state.cursors) == [
        "bluesky:mentions:sandboxbot.test",
        "bluesky:timeline:sandboxbot.test",
        f"mastodon:mentions:{server}",
        f"mastodon:timeline:{server}",
    ]
    assert json.loads(state.cursors[f"mastodon:timeline:{server}"])["since"] == "1001"
    assert origins == ["bluesky:timeline:sandboxbot.test", *[f"mastodon:timeline:{server}"] * 2]
    assert pause.part == "bluesky:timeline:sandboxbot.test"
    assert state.usage == {"bluesky post": 1, "mastodon post": 1}
    assert [post.post.network for post in posts] == ["mastodon", "bluesky"]
    assert [(post.id.partition(":")[0], post.network) for post in source_posts] == [
        *[("bsky", "bluesky")] * 2,
        *[("masto", "mastodon")] * 2,
    ]
    assert posts[0].post.candidate_id == "masto:1000.1.2"


def test_a_bot_goes_on_where_version_3_stopped(version_3: Path) -> None:
    client = BlueskyClient(handle="sandboxbot.test", app_password="none")  # noqa: S106 -- it never signs in
    source = BlueskySource(BlueskyFeed.TIMELINE, client=client, account="sandboxbot.test")
    with SqliteStore(version_3) as store:
        assert source.describe(store.cursor(source.name) or "") == "after 2026-11-28T19:54:53.016Z"
        store.decide([Verdict(candidate_id="masto:1000.1.1", decision=Decision.ACCEPT, who="ana")])
        assert store.enqueue_accepted(since=datetime.now(UTC) - timedelta(days=1)) == 1
        post = store.claim("masto:1000.1.1", text="x", network="mastodon", mode=PostMode.STANDALONE, in_reply_to=None)
    assert post is not None
    # Own posts are read from behind the newest that is known.
    assert post.after_id == "1002"


def test_a_migration_that_breaks_off_leaves_the_file_as_it_was(version_1: Path) -> None:
    connection = sqlite3.connect(version_1)
    connection.execute("CREATE TABLE pause (x)")
    connection.commit()
    with pytest.raises(Exception, match="pause"):
        SqliteStore(version_1)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
    assert connection.execute("SELECT COUNT(*) FROM sqlite_master WHERE name = 'post'").fetchone()[0] == 0
    connection.close()
