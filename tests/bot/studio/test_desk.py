"""The desk: pages by place, verdicts by what was seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import InputError, StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.ports import Change, Order, SongQuery
from tests.bot.helpers.studio_world import accept, add_song, post


@pytest.fixture
def desk(database: Path) -> Iterator[SqliteDesk]:
    with SqliteDesk(database) as opened:
        yield opened


def change(candidate_id: str, decision: Decision, seen: int, text: str | None = None) -> Change:
    verdict = Verdict(candidate_id=candidate_id, decision=decision, who="ana", edited_text=text)
    return Change(verdict=verdict, seen=seen)


def status_of(desk: SqliteDesk, candidate_id: str) -> CandidateStatus:
    return desk.rows([candidate_id])[0].row.candidate.status


def walk_pages(desk: SqliteDesk, *, status: CandidateStatus | None, order: Order, limit: int) -> list[str]:
    """Ids of the source posts of all pages, one after the other."""
    found: list[str] = []
    after = ""
    while True:
        page = desk.songs(SongQuery(status=status, order=order, after=after, limit=limit))
        found += [song.source_post.id for song in page.songs]
        if not page.more:
            return found
        assert len(page.songs) == limit
        after = page.songs[-1].place


@pytest.mark.parametrize("order", Order)
@pytest.mark.parametrize("limit", [1, 3, 5, 50])
def test_pages_hold_every_song_once_and_in_order(
    desk: SqliteDesk, store: SqliteStore, order: Order, limit: int
) -> None:
    names = [f"t{number}" for number in range(11)]
    for name in names:
        add_song(store, SourcePost(id=name, text="x"), ["a", "b"])
    expected = names if order is Order.OLDEST else names[::-1]
    assert walk_pages(desk, status=None, order=order, limit=limit) == expected
    assert walk_pages(desk, status=CandidateStatus.WAITING, order=order, limit=limit) == expected
    assert walk_pages(desk, status=CandidateStatus.REJECTED, order=order, limit=limit) == []


def test_a_song_that_still_has_a_waiting_candidate_is_shown_with_its_decided_ones(
    desk: SqliteDesk, store: SqliteStore
) -> None:
    first = add_song(store, SourcePost(id="1", text="x"), ["a", "b"])
    second = add_song(store, SourcePost(id="2", text="x"), ["c"])
    accept(store, first[0], *second)
    (song,) = desk.songs(SongQuery(status=CandidateStatus.WAITING)).songs
    assert [row.row.candidate.status for row in song.rows] == [CandidateStatus.ACCEPTED, CandidateStatus.WAITING]
    assert [len(song.rows) for song in desk.songs(SongQuery(status=CandidateStatus.ACCEPTED)).songs] == [2, 1]


@pytest.mark.parametrize("place", ["x", "1", "1.", ".1", "-1.2", "1.2.3", "9" * 30 + ".1", "١.١", "1.1\n"])
def test_a_place_that_is_none_is_refused_by_its_value(desk: SqliteDesk, place: str) -> None:
    with pytest.raises(InputError, match="place"):
        desk.songs(SongQuery(after=place))


def test_a_page_is_found_by_an_index_in_every_order_and_status(database: Path, store: SqliteStore) -> None:
    from bot.adapters.sqlite.desk import _PLACES

    add_song(store, SourcePost(id="1", text="x"), ["a"])
    connection = sqlite3.connect(database)
    values = {"status": "waiting", "place": 0, "number": 0, "limit": 13}
    for statement in _PLACES.values():
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
        assert len(plan) == 1, plan  # no temporary B-tree for DISTINCT or ORDER BY
        assert plan[0].startswith("SEARCH candidate USING COVERING INDEX"), plan
    connection.close()


def test_a_verdict_and_its_undo_are_recorded_with_who_and_leave_the_candidate_waiting(
    desk: SqliteDesk, store: SqliteStore
) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="x"), ["a"])
    desk.change([change(name, Decision.ACCEPT, 0, text="Better.")])
    (row,) = desk.rows([name])
    assert (row.row.text, row.row.verdict and row.row.verdict.who) == ("Better.", "ana")
    assert desk.counts() == {"waiting": 0, "accepted": 1, "rejected": 0}
    desk.change([change(name, Decision.UNDO, row.verdict_id)])
    assert status_of(desk, name) is CandidateStatus.WAITING
    assert desk.rows([name])[0].verdict_id == 0
    assert desk.rows([name])[0].row.text == "a"


def test_a_verdict_on_what_somebody_else_decided_meanwhile_changes_nothing_at_all(
    desk: SqliteDesk, store: SqliteStore
) -> None:
    first, second = add_song(store, SourcePost(id="1", text="x"), ["a", "b"])
    accept(store, second)
    with pytest.raises(StaleVerdictError, match=r"1\.1\.2"):
        desk.change([change(first, Decision.REJECT, 0), change(second, Decision.REJECT, 0)])
    assert status_of(desk, first) is CandidateStatus.WAITING
    assert status_of(desk, second) is CandidateStatus.ACCEPTED


def test_one_unknown_candidate_changes_nothing_at_all(desk: SqliteDesk, store: SqliteStore) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="x"), ["a"])
    with pytest.raises(UnknownCandidateError, match="nobody"):
        desk.change([change(name, Decision.ACCEPT, 0), change("nobody", Decision.ACCEPT, 0)])
    assert status_of(desk, name) is CandidateStatus.WAITING
    with pytest.raises(UnknownCandidateError, match="nobody"):
        desk.rows([name, "nobody"])


@pytest.mark.parametrize("status", [OutgoingPostStatus.SENDING, OutgoingPostStatus.SENT, OutgoingPostStatus.UNKNOWN])
def test_the_verdict_on_a_post_that_may_be_out_stays(
    desk: SqliteDesk, store: SqliteStore, status: OutgoingPostStatus
) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="x"), ["a"])
    accept(store, name)
    post(store, name, status, external_id="77" if status is OutgoingPostStatus.SENT else "")
    (row,) = desk.rows([name])
    assert row.post is status
    with pytest.raises(StaleVerdictError, match="posted"):
        desk.change([change(name, Decision.UNDO, row.verdict_id)])
    assert status_of(desk, name) is CandidateStatus.ACCEPTED


def test_a_verdict_that_is_taken_back_cancels_a_post_that_is_not_out(desk: SqliteDesk, store: SqliteStore) -> None:
    (name,) = add_song(store, SourcePost(id="1", text="x"), ["a"])
    accept(store, name)
    post(store, name, OutgoingPostStatus.PENDING)
    desk.change([change(name, Decision.UNDO, desk.rows([name])[0].verdict_id)])
    (row,) = desk.posts().rows
    assert row.post.status is OutgoingPostStatus.CANCELLED


def test_posts_come_newest_first_page_by_page_and_are_counted(desk: SqliteDesk, store: SqliteStore) -> None:
    names = [add_song(store, SourcePost(id=f"t{number}", text="x"), [f"text {number}"])[0] for number in range(5)]
    accept(store, *names)
    for name in names[:3]:
        post(store, name, OutgoingPostStatus.SENT, external_id=f"9{names.index(name)}")
    page = desk.posts(limit=2)
    assert [row.post.text for row in page.rows] == ["text 4", "text 3"]
    assert page.more
    rest = desk.posts(limit=9, before=page.rows[-1].place)
    assert [row.post.text for row in rest.rows] == ["text 2", "text 1", "text 0"]
    assert not rest.more
    assert (rest.counts[OutgoingPostStatus.SENT], rest.counts[OutgoingPostStatus.PENDING]) == (3, 2)
    assert [row.post.external_id for row in desk.posts(status=OutgoingPostStatus.SENT).rows] == ["92", "91", "90"]


def test_versions_are_tallied_the_newest_first_by_number(desk: SqliteDesk, store: SqliteStore) -> None:
    for version in ("9", "10", "2"):
        names = add_song(store, SourcePost(id=version, text="x"), ["a", "b"], version=version)
        accept(store, names[0])
    assert [(tally.model_version, tally.accepted, tally.waiting) for tally in desk.versions()] == [
        ("10", 1, 1),
        ("9", 1, 1),
        ("2", 1, 1),
    ]
