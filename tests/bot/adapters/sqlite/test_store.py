"""The SQLite store and queue."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.adapters.sqlite.migrations import MIGRATIONS
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Candidate, CandidateStatus, Decision, Verdict
from bot.domain.errors import StoreError, UnknownCandidateError
from bot.domain.odd_items import OddItem
from bot.domain.songs.song import Song, SongReport
from bot.domain.source_posts import SourcePost, SourcePostStatus
from bot.ports import FeedPage
from handlers.contract import FinishReason, Sample
from tests.examples import examples


def page(*ids: str, cursor: str = "c", odd_items: tuple[OddItem, ...] = ()) -> FeedPage:
    source_posts = tuple(SourcePost(id=name, text=f"text {name}") for name in ids)
    return FeedPage(source_posts=source_posts, cursor=cursor, more=False, odd_items=odd_items)


def candidate(source_post_id: str, song_number: int = 1, number: int = 1, text: str = "A slow lamp.") -> Candidate:
    song = Song(artists=("Ona", "Tor"), title="Moss", featured=("Mica",), version="live", confidence=0.9)
    return Candidate(
        report=SongReport(
            source_post_id=source_post_id, number=song_number, song=song, artist="Ona & Tor", genres=("dream pop",)
        ),
        number=number,
        sample=Sample(text=text, token_count=4, log_prob=-3.25, topics=(0.5, 0.5), seed=2**62 + 1),
        model="lcgan",
        model_version="2",
        archive_sha256="ab",
        genres_unknown=("slowcore",),
    )


def test_a_page_and_its_cursor_are_kept_together_and_no_source_post_twice(store: SqliteStore) -> None:
    assert store.cursor("feed") is None
    assert store.add_page("feed", page("1", "2", cursor="a")) == 2
    assert store.add_page("feed", page("2", "3", "3", cursor="b")) == 1
    assert store.add_page("other", page("1", cursor="z")) == 0
    assert (store.cursor("feed"), store.cursor("other")) == ("b", "z")
    assert [pending.source_post.id for pending in store.pending(10)] == ["1", "2", "3"]


def test_pending_source_posts_come_in_pages_in_the_order_of_the_feed(store: SqliteStore) -> None:
    store.add_page("feed", page("c", "a", "b"))
    first = store.pending(2)
    assert [pending.source_post for pending in first] == [
        SourcePost(id="c", text="text c"),
        SourcePost(id="a", text="text a"),
    ]
    assert [pending.source_post.id for pending in store.pending(2, after=first[-1].place)] == ["b"]
    assert store.count_pending() == 3


def test_a_source_post_is_closed_once_with_its_candidates(store: SqliteStore) -> None:
    store.add_page("feed", page("1"))
    assert store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1", number=1), candidate("1", number=2)])
    assert not store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1", number=3)])
    assert [row.candidate.id for row in store.rows()] == ["1.1.1", "1.1.2"]
    assert store.count_pending() == 0


def test_when_a_candidate_cannot_be_kept_its_source_post_stays_pending(store: SqliteStore) -> None:
    store.add_page("feed", page("1"))
    with pytest.raises(StoreError, match="UNIQUE"):
        store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1"), candidate("1")])
    assert store.count_pending() == 1
    assert list(store.rows()) == []


@pytest.mark.slow
@examples(50)
@given(
    text=st.text(st.characters(codec="utf-8"), max_size=60),
    seed=st.integers(0, 2**63 - 1),
    log_prob=st.floats(-1e6, 0),
    reason=st.none() | st.sampled_from(FinishReason),
)
def test_a_candidate_comes_back_as_it_was_kept(
    tmp_path_factory: pytest.TempPathFactory, text: str, seed: int, log_prob: float, reason: FinishReason | None
) -> None:
    kept = candidate("1")
    sample = Sample(text=text, token_count=4, log_prob=log_prob, topics=(0.1, 0.9), seed=seed, finish_reason=reason)
    kept = Candidate(report=kept.report, number=1, sample=sample, model="m", model_version="2", archive_sha256="x")
    with SqliteStore(tmp_path_factory.mktemp("store") / "bot.db") as store:
        store.add_page("feed", page("1"))
        store.finish("1", SourcePostStatus.DONE, candidates=[kept])
        (row,) = store.rows()
    assert row.candidate.sample.finish_reason is reason
    assert row.is_cut_off == (reason is FinishReason.LENGTH)
    assert (row.candidate, row.source_post, row.verdict, row.text) == (
        kept,
        SourcePost(id="1", text="text 1"),
        None,
        text,
    )


def test_a_verdict_is_kept_with_who_and_when_and_the_latest_counts(store: SqliteStore, database: Path) -> None:
    store.add_page("feed", page("1"))
    store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1", number=1), candidate("1", number=2)])
    store.decide([Verdict(candidate_id="1.1.2", decision=Decision.REJECT, who="ana")])
    edited = Verdict(candidate_id="1.1.2", decision=Decision.ACCEPT, who="bo", edited_text="A slower lamp.")
    store.decide([edited])
    (row,) = store.rows(status=CandidateStatus.ACCEPTED)
    assert (row.candidate.id, row.verdict, row.text) == ("1.1.2", edited, "A slower lamp.")
    assert row.decided_at is not None
    assert [row.candidate.id for row in store.rows(status=CandidateStatus.WAITING)] == ["1.1.1"]
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT who, decision FROM verdict").fetchall() == [
            ("ana", "reject"),
            ("bo", "accept"),
        ]
    connection.close()


def test_verdicts_on_unknown_ids_change_nothing_and_name_them(store: SqliteStore) -> None:
    store.add_page("feed", page("1"))
    store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1")])
    verdicts = [Verdict(candidate_id=name, decision=Decision.ACCEPT, who="ana") for name in ("1.1.1", "9.9.9", "8")]
    with pytest.raises(UnknownCandidateError, match=r"9\.9\.9, 8; nothing was changed"):
        store.decide(verdicts)
    assert [row.verdict for row in store.rows()] == [None]


def test_failed_attempts_are_counted_and_failed_source_posts_can_be_reopened(store: SqliteStore) -> None:
    store.add_page("feed", page("1", "2"))
    assert [store.count_attempt("1", "broke"), store.count_attempt("1", "broke again")] == [1, 2]
    store.finish("1", SourcePostStatus.FAILED, reason="broke again")
    store.finish("2", SourcePostStatus.FAILED, candidates=[candidate("2")], reason="song 2: refused")
    assert store.state().failures == (("2", "song 2: refused"), ("1", "broke again"))
    assert store.reopen_failed() == 1
    assert [pending.source_post.id for pending in store.pending(9)] == ["1"]
    assert store.count_attempt("1", "broke") == 1


def test_the_state_counts_what_there_is(store: SqliteStore) -> None:
    odd = OddItem(key="line 3", reason="not valid JSON", excerpt="{")
    store.add_page("feed", page("1", "2", "3", cursor="here", odd_items=(odd,)))
    store.add_page("feed", page(cursor="here", odd_items=(odd,)))
    store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1")])
    store.finish("2", SourcePostStatus.NO_SONG)
    store.set_last_error("no commentary")
    state = store.state()
    assert [state.source_posts[status] for status in SourcePostStatus] == [1, 1, 1, 0]
    assert [state.candidates[status] for status in CandidateStatus] == [1, 0, 0]
    assert (state.odd_items, state.cursors, state.last_error) == ({"feed": 1}, {"feed": "here"}, "no commentary")
    assert [(aside.part, aside.item) for aside in state.set_aside] == [("feed", odd)]
    store.set_last_error(None)
    assert store.state().last_error is None


def test_the_limit_bounds_the_rows(store: SqliteStore) -> None:
    store.add_page("feed", page("1"))
    store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1", number=number) for number in range(1, 6)])
    assert [row.candidate.number for row in store.rows(limit=2)] == [1, 2]


def test_the_queue_is_in_the_order_of_the_feed_whichever_source_post_was_answered_first(store: SqliteStore) -> None:
    store.add_page("feed", page("9", "10"))
    for source_post_id in ("10", "9"):
        songs = [candidate(source_post_id, song_number=song) for song in (1, 2)]
        store.finish(source_post_id, SourcePostStatus.DONE, candidates=songs)
    assert [row.candidate.id for row in store.rows()] == ["9.1.1", "9.2.1", "10.1.1", "10.2.1"]


def test_two_stores_on_one_file_close_a_source_post_once(store: SqliteStore, database: Path) -> None:
    store.add_page("feed", page("1"))
    with SqliteStore(database) as other:
        assert other.finish("1", SourcePostStatus.DONE, candidates=[candidate("1")])
        assert not store.finish("1", SourcePostStatus.DONE, candidates=[candidate("1")])
    assert len(list(store.rows())) == 1


def test_the_file_is_in_wal_mode_and_carries_its_schema_version(store: SqliteStore, database: Path) -> None:
    assert store.cursor("feed") is None
    connection = sqlite3.connect(database)
    pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "user_version")]
    connection.close()
    assert pragmas == ["wal", len(MIGRATIONS)]


def test_a_file_of_a_newer_version_is_refused(database: Path) -> None:
    SqliteStore(database).close()
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match=r"newer deephypebot \(schema 99\)"):
        SqliteStore(database)


def test_a_foreign_file_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    text = tmp_path / "notes.db"
    text.write_text("not a database, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match="not a database"):
        SqliteStore(text)
    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    with pytest.raises(StoreError, match="another program"):
        SqliteStore(foreign)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("other",)]
    connection.close()
    with pytest.raises(StoreError, match="cannot be opened"):
        SqliteStore(text / "below" / "bot.db")


def test_odd_items_are_bounded_and_their_count_goes_on(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.adapters.sqlite.odd_items.KEPT", 3)
    for start in range(0, 10, 2):
        odd = tuple(OddItem(key=f"line {n}", reason="no JSON", excerpt=str(n)) for n in (start, start + 1))
        store.add_page("feed", page(odd_items=odd))
    state = store.state()
    assert state.odd_items == {"feed": 10}
    assert [aside.item.key for aside in state.set_aside] == ["line 9", "line 8", "line 7"]


def test_a_row_that_changes_counts_again_and_one_that_stays_does_not(store: SqliteStore) -> None:
    for excerpt in ("{", "{", "["):
        store.add_page("feed", page(odd_items=(OddItem(key="line 1", reason="no JSON", excerpt=excerpt),)))
    assert store.state().odd_items == {"feed": 2}


def test_half_a_surrogate_pair_is_stored_as_a_question_mark(store: SqliteStore) -> None:
    half = "\ud83d lamp"
    post = SourcePost(id=half, text=half, author=half, lang=half, url=half)
    store.add_page(half, FeedPage(source_posts=(post,), cursor=half, more=False))
    store.set_last_error(half)
    (pending,) = store.pending(5)
    assert (pending.source_post.id, pending.source_post.text) == ("? lamp", "? lamp")
    assert store.count_attempt(half, half) == 1
    assert store.cursor(half) == "? lamp"
    assert store.state().last_error == "? lamp"
