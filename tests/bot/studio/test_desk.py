"""The desk: pages by place, verdicts by what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Flag, Verdict
from bot.domain.errors import InputError, StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.source_posts import SourcePost
from bot.ports import CUT_OFF, Change, Order, SongFilter, SongPage, SongQuery
from handlers.contract import FinishReason
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
    expected = names[::-1] if order is Order.NEWEST else names
    assert walk_pages(desk, status=None, order=order, limit=limit) == expected
    assert walk_pages(desk, status=CandidateStatus.WAITING, order=order, limit=limit) == expected
    assert walk_pages(desk, status=CandidateStatus.REJECTED, order=order, limit=limit) == []


def test_a_page_shows_of_each_song_the_candidates_of_its_status_alone(desk: SqliteDesk, store: SqliteStore) -> None:
    first = add_song(store, SourcePost(id="1", text="x"), ["a", "b"])
    second = add_song(store, SourcePost(id="2", text="x"), ["c"])
    accept(store, first[0], *second)

    def shown(status: CandidateStatus | None) -> list[list[str]]:
        songs = desk.songs(SongQuery(status=status)).songs
        return [[row.row.candidate.sample.text for row in song.rows] for song in songs]

    assert shown(CandidateStatus.WAITING) == [["b"]]
    assert shown(CandidateStatus.ACCEPTED) == [["a"], ["c"]]
    assert shown(None) == [["a", "b"], ["c"]]


@pytest.mark.parametrize("place", ["x", "1", "1.", ".1", "-1.2", "1.2.3", "9" * 30 + ".1", "١.١", "1.1\n"])
def test_a_place_that_is_none_is_refused_by_its_value(desk: SqliteDesk, place: str) -> None:
    with pytest.raises(InputError, match="place"):
        desk.songs(SongQuery(after=place))


@pytest.mark.parametrize("order", Order)
def test_pages_are_counted_and_lead_back_the_way_they_came(desk: SqliteDesk, store: SqliteStore, order: Order) -> None:
    for number in range(7):
        add_song(store, SourcePost(id=f"t{number}", text="x"), ["a"])

    def page(*, after: str = "", before: str = "") -> SongPage:
        query = SongQuery(status=CandidateStatus.WAITING, order=order, limit=3, after=after, before=before)
        return desk.songs(query)

    first = page()
    second = page(after=first.songs[-1].place)
    third = page(after=second.songs[-1].place)
    assert [(each.first, each.total, each.more) for each in (first, second, third)] == [
        (0, 7, True),
        (3, 7, True),
        (6, 7, False),
    ]
    assert page(before=third.songs[0].place) == second
    assert page(before=second.songs[0].place) == first


def test_a_page_goes_on_behind_its_songs_when_all_of_them_are_decided(desk: SqliteDesk, store: SqliteStore) -> None:
    names = [add_song(store, SourcePost(id=f"t{number}", text="x"), ["a"])[0] for number in range(6)]
    for order in Order:
        first = desk.songs(SongQuery(status=CandidateStatus.WAITING, order=order, limit=2))
        accept(store, *(row.row.candidate.id for song in first.songs for row in song.rows))
        rest = desk.songs(SongQuery(status=CandidateStatus.WAITING, order=order, after=first.songs[-1].place))
        assert len(rest.songs) == 4, order
        store.decide(Verdict(candidate_id=name, decision=Decision.UNDO, who="jo") for name in names)


def test_the_best_songs_are_those_above_the_mean_of_their_own_version(desk: SqliteDesk, store: SqliteStore) -> None:
    # By the plain score, every song of version 2 would come first.
    scores = {"1": {"low": -5.0, "high": -3.0}, "2": {"less": -1.5, "more": -1.0}}
    for version, songs in scores.items():
        for name, score in songs.items():
            add_song(store, SourcePost(id=name, text="x"), ["a"], version=version, scores=(score,))
    page = desk.songs(SongQuery(status=CandidateStatus.WAITING, order=Order.BEST))
    assert [song.source_post.id for song in page.songs] == ["high", "more", "less", "low"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("SIGUR ros", ["1"]),  # neither case nor accents
        ("sigur rós heima", ["1"]),  # in artist and title
        ("mo", ["2"]),  # a letter that Unicode does not take apart
        ("radio", ["1"]),  # author
        ("listen", ["1", "2"]),  # source post
        ("glass & wood", ["2"]),  # the text; entities are what readers see
        ("glas", ["2"]),  # a part of a word
        ("歌", ["3"]),  # without spaces between words
        ("rós glass", []),  # each word in one candidate
        ("100%", ["3"]),  # no pattern
        ("_", []),
    ],
)
def test_a_search_finds_candidates_by_parts_of_words(
    desk: SqliteDesk, store: SqliteStore, words: str, found: list[str]
) -> None:
    add_song(store, SourcePost(id="1", text="Listen!", author="@Radio"), ["a", "b"], artist="Sigur Rós", title="Heima")
    add_song(store, SourcePost(id="2", text="listen again"), ["Glass &amp; wood."], artist="MØ", title="Kamikaze")
    add_song(store, SourcePost(id="3", text="100% 日本の歌"), ["c"], artist="Ona", title="Garden")
    assert [song.source_post.id for song in desk.songs(SongQuery(filter=SongFilter(words=words))).songs] == found


def test_a_search_finds_the_wording_of_an_edit_and_shows_the_candidate_alone(
    desk: SqliteDesk, store: SqliteStore
) -> None:
    first, _ = add_song(store, SourcePost(id="1", text="x"), ["a slow lamp", "a fast lamp"])
    accept(store, first, text="A zither.")
    (song,) = desk.songs(SongQuery(filter=SongFilter(words="zither"))).songs
    assert [row.row.candidate.id for row in song.rows] == [first]


def test_filters_select_by_artist_genre_flag_and_what_was_cut_off(desk: SqliteDesk, store: SqliteStore) -> None:
    add_song(store, SourcePost(id="1", text="x"), ["a", "b"], artist="Ona Vell", flags={2: (Flag.COPY,)})
    add_song(store, SourcePost(id="2", text="x"), ["c"], artist="Béla Tin", genres=("Dream  Pop", "jazz"))
    add_song(store, SourcePost(id="3", text="x"), ["d"], genres=("jazz",), finish_reason=FinishReason.LENGTH)

    def texts(**wanted: str) -> list[str]:
        page = desk.songs(SongQuery(filter=SongFilter(**wanted)))  # type: ignore[arg-type]
        return [row.row.text for song in page.songs for row in song.rows]

    assert texts(artist="bela") == ["c"]
    assert texts(genre="dream pop") == ["a", "b", "c"]
    assert texts(genre="dream") == []
    assert texts(flag="copy") == ["b"]
    assert texts(flag=CUT_OFF) == ["d"]
    assert texts(artist="ona", flag="copy", genre="jazz") == []


def test_a_version_and_a_curator_select_decided_candidates_alone(desk: SqliteDesk, store: SqliteStore) -> None:
    old, _ = add_song(store, SourcePost(id="1", text="x"), ["a", "b"], version="2")
    new, _ = add_song(store, SourcePost(id="2", text="x"), ["c", "d"], version="3")
    accept(store, old, new)

    def shown(**wanted: object) -> list[str]:
        page = desk.songs(SongQuery(filter=SongFilter(**wanted)))  # type: ignore[arg-type]
        return [row.row.candidate.id for song in page.songs for row in song.rows]

    assert shown(version=("lcgan", "3")) == [new]
    assert shown(version=("lcgan", "4")) == []
    assert shown(who="jo") == [old, new]
    assert shown(who="ana") == []


def test_days_are_those_of_the_verdict_for_decided_candidates_and_of_the_sample_for_others(
    database: Path, store: SqliteStore
) -> None:
    add_song(store, SourcePost(id="1", text="x"), ["a", "b"])
    today = datetime.now(UTC).astimezone().date()
    later = datetime.now(UTC) + timedelta(days=3)
    with SqliteDesk(database, now=lambda: later) as desk:
        desk.change([change("1.1.1", Decision.ACCEPT, 0)])

        def count(status: CandidateStatus, **days: date) -> int:
            return desk.songs(SongQuery(status=status, filter=SongFilter(**days))).total  # type: ignore[arg-type]

        assert count(CandidateStatus.WAITING, since=today, until=today) == 1
        assert count(CandidateStatus.WAITING, since=today + timedelta(days=1)) == 0
        assert count(CandidateStatus.ACCEPTED, until=today + timedelta(days=1)) == 0
        assert count(CandidateStatus.ACCEPTED, since=today + timedelta(days=2), until=today + timedelta(days=4)) == 1


@pytest.mark.parametrize("status", [None, CandidateStatus.WAITING])
def test_the_first_and_the_last_day_of_the_calendar_leave_nothing_out(
    desk: SqliteDesk, store: SqliteStore, status: CandidateStatus | None
) -> None:
    add_song(store, SourcePost(id="1", text="x"), ["a"])
    whole = SongFilter(since=date.min, until=date.max)
    assert desk.songs(SongQuery(status=status, filter=whole)).total == 1
    assert desk.songs(SongQuery(status=status, filter=SongFilter(since=date.max))).total == 0
    assert desk.songs(SongQuery(status=status, filter=SongFilter(until=date.min))).total == 0


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
