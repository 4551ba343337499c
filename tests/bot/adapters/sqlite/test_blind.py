"""Candidates of an experiment in the database: when their version may be told, and what counts them."""

from __future__ import annotations

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision
from bot.ports import Correction, SongFilter, SongLabel, SongQuery
from tests.bot.helpers.blind_songs import EXPERIMENT, EXPOSURES, TRACE, VERSIONS, add_blind_song, decide
from tests.bot.helpers.table_board import fill


def blind(store: SqliteStore) -> list[bool]:
    return [row.candidate.is_blind for row in store.rows()]


def tallies(store: SqliteStore) -> list[tuple[str, int, int, int]]:
    with SqliteDesk(store._path) as desk:
        found = [(each.model_version, each.waiting, each.accepted, each.rejected) for each in desk.versions()]
    of_status = [(each.model_version, each.waiting, each.accepted, each.rejected) for each in store.state().versions]
    assert sorted(found) == sorted(of_status)
    return sorted(found)


def test_a_candidate_keeps_its_experiment_its_exposure_and_its_version(store: SqliteStore) -> None:
    add_blind_song(store, "AB")
    found = [row.candidate for row in store.rows()]
    assert [each.experiment for each in found] == [EXPERIMENT] * 2
    assert [each.exposure_id for each in found] == [EXPOSURES["A"], EXPOSURES["B"]]
    assert [each.trace_id for each in found] == [TRACE, TRACE]
    assert [each.model_version for each in found] == [VERSIONS["A"], VERSIONS["B"]]


def test_a_candidate_without_an_experiment_is_not_blind(store: SqliteStore) -> None:
    fill(store, 2)
    assert blind(store) == [False, False]
    assert [(row.candidate.experiment, row.candidate.exposure_id) for row in store.rows()] == [("", "")] * 2


def test_the_versions_of_a_song_may_be_told_after_its_last_verdict_and_not_after_an_undo(store: SqliteStore) -> None:
    first, second = add_blind_song(store, "AB")
    other = add_blind_song(store, "BA", name="e2", title="Tin Sea")
    assert blind(store) == [True] * 4
    decide(store, first)
    # One of two decided: its version would tell the other's.
    assert blind(store) == [True] * 4
    decide(store, second, decision=Decision.REJECT)
    assert blind(store) == [False, False, True, True]
    decide(store, first, decision=Decision.UNDO)
    assert blind(store) == [True] * 4
    decide(store, first, *other)
    assert blind(store) == [False] * 4


def test_a_count_of_a_version_does_not_move_before_the_song_is_decided(store: SqliteStore) -> None:
    fill(store, 2)
    first, second = add_blind_song(store, "AB")
    assert tallies(store) == [("1", 2, 0, 0)]
    decide(store, first)
    assert tallies(store) == [("1", 2, 0, 0)]
    assert store.state().candidates[CandidateStatus.ACCEPTED] == 1  # of no version
    decide(store, second, decision=Decision.REJECT)
    assert tallies(store) == [("1", 2, 0, 0), (VERSIONS["B"], 0, 0, 1), (VERSIONS["A"], 0, 1, 0)]
    decide(store, second, decision=Decision.UNDO)
    assert tallies(store) == [("1", 2, 0, 0)]


def test_a_withdrawn_song_counts_for_no_version(store: SqliteStore) -> None:
    add_blind_song(store, "AB")
    with SqliteDesk(store._path) as desk:
        (song,) = desk.songs(SongQuery()).songs
        seen = {row.row.candidate.id: row.verdict_id for row in song.rows}
        desk.correct(Correction(place=song.place, label=SongLabel.NO_SONG, who="ana", seen=seen))
    assert tallies(store) == [(VERSIONS["B"], 0, 0, 0), (VERSIONS["A"], 0, 0, 0)]
    assert blind(store) == [False, False]


@pytest.mark.parametrize("status", [None, CandidateStatus.ACCEPTED])
def test_a_search_for_a_version_finds_no_candidate_of_a_song_that_waits(
    store: SqliteStore, status: CandidateStatus | None
) -> None:
    first, second = add_blind_song(store, "AB")
    query = SongQuery(status=status, filter=SongFilter(version=("lcgan", VERSIONS["A"])))
    with SqliteDesk(store._path) as desk:
        assert desk.songs(query).total == 0
        decide(store, first)
        assert desk.songs(query).total == 0
        decide(store, second)
        assert [row.row.candidate.id for song in desk.songs(query).songs for row in song.rows] == [first]


def test_words_do_not_find_a_version(store: SqliteStore) -> None:
    decide(store, *add_blind_song(store, "AB"))
    with SqliteDesk(store._path) as desk:
        for words in (*VERSIONS.values(), *EXPOSURES.values(), TRACE):
            assert desk.songs(SongQuery(filter=SongFilter(words=words))).total == 0


def test_the_counts_hold_after_every_change(store: SqliteStore) -> None:
    ids = [name for number in range(4) for name in add_blind_song(store, "ABBA", name=f"e{number}")]
    for step, name in enumerate(ids * 2):
        decide(store, name, decision=(Decision.ACCEPT, Decision.UNDO, Decision.REJECT)[step % 3])
        expected: dict[str, list[int]] = {}
        for row in store.rows():
            if not row.candidate.is_blind:
                counts = expected.setdefault(row.candidate.model_version, [0, 0, 0])
                counts[list(CandidateStatus).index(row.candidate.status)] += 1
        assert tallies(store) == sorted((version, *counts) for version, counts in expected.items())
