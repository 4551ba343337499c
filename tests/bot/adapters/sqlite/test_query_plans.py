"""The commands' and the pass's statements find what they need by an index, however many candidates there are."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.file import SqliteFile
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.pace import Pace
from bot.domain.source_posts import SourcePost
from bot.ports import Order, SongQuery
from tests.bot.helpers.studio_world import accept, add_song

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PACE = Pace(hold=timedelta(minutes=2), same_song=timedelta(days=365))
SCAN = re.compile(
    r"SCAN (candidate|tweet|song|verdict|search|post|board_row)\b(?! USING INDEX candidate_(unboarded|boarding))"
)
"""A step that goes through a whole table, of those that grow with every source post.

The indexes `candidate_unboarded` and `candidate_boarding` are partial: they have the rows that are to be appended.
"""


def scans(opened: SqliteFile, step: Callable[[], object]) -> list[str]:
    """Steps of the query plans of a call's statements that go through a whole growing table."""
    statements: list[str] = []
    opened._connection.set_trace_callback(statements.append)
    step()
    opened._connection.set_trace_callback(None)
    found: list[str] = []
    with closing(sqlite3.connect(opened._path)) as connection:
        for statement in statements:
            if statement.lstrip().upper().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE")):
                plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
                found += [f"{line}: {statement}" for line in plan if SCAN.match(line)]
    return found


@pytest.fixture
def filled(store: SqliteStore) -> SqliteStore:
    for number in range(5):
        ids = add_song(store, SourcePost(id=f"t{number}", text="x"), ["a", "b"])
        accept(store, ids[0])
    return store


@pytest.mark.parametrize(
    "step",
    [
        lambda store: store.pending(200),
        lambda store: store.pending_append(100),
        lambda store: store.begin_edits(100, post_of=lambda _, text: text),
        lambda store: store.edits_in_doubt(),
        lambda store: store.doubtful_posts(),
        lambda store: store.cancel_stale(before=NOW - timedelta(days=3)),
        lambda store: store.enqueue_accepted(since=NOW - timedelta(days=3)),
        lambda store: store.departures(since=NOW - timedelta(days=1)),
        lambda store: store.pending_posts(50, pace=PACE),
        lambda store: store.accepted_posts(PACE, since=NOW - timedelta(days=3), limit=200),
        lambda store: (store.state(), store.pauses()),
    ],
    ids=[
        "source posts", "rows to append", "edits of the board", "edits in doubt", "posts in doubt", "stale posts",
        "accepted ones", "departures", "posts to send", "what waits", "status",
    ],
)  # fmt: skip
def test_a_step_of_a_pass_goes_through_no_table_that_grows(
    step: Callable[[SqliteStore], object], filled: SqliteStore
) -> None:
    assert scans(filled, lambda: step(filled)) == []


@pytest.mark.parametrize("order", [Order.OLDEST, Order.NEWEST])
@pytest.mark.parametrize("status", [None, CandidateStatus.WAITING])
def test_a_page_of_the_studio_goes_along_the_index_of_places(
    order: Order, status: CandidateStatus | None, filled: SqliteStore
) -> None:
    with SqliteDesk(filled._path) as desk:
        for query in (
            SongQuery(status=status, order=order, limit=2),
            SongQuery(status=status, order=order, after="3.1"),
        ):
            found = scans(desk, lambda query=query: desk.songs(query))  # type: ignore[misc] # mypy loses the default
            assert [line for line in found if "USING COVERING INDEX" not in line] == []
