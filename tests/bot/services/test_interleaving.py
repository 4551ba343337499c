"""Songs while an interleaved experiment runs: candidates of all arms, shuffled, from a gateway on loopback."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.adapters.gateway_client import GatewayClient
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import SongFailedError
from bot.entrypoints.display import summary_lines
from bot.ports import SongSamples
from bot.services.service import Bot
from handlers.contract import CommentaryRequest, RankBy
from tests.bot.helpers.loopback_gateway import LoopbackGateway

SONGS = 400


@pytest.fixture
def experiment(gateway: LoopbackGateway) -> LoopbackGateway:
    gateway.live = {"3": ("0 a",), "7": ("0 a",)}
    gateway.experiment = "autumn"
    return gateway


def ask(gateway: LoopbackGateway, **changes: object) -> SongSamples:
    request = CommentaryRequest(**{"genres": ("techno",), "title": "Moss", "seed": 5, "unit": "17", **changes})  # type: ignore[arg-type] # a test names the right ones
    client = GatewayClient(gateway.target, model="lcgan", timeout_s=5.0)
    try:
        return client.generate(request)
    finally:
        client.close()


def test_the_candidates_of_a_song_are_of_both_versions_in_equal_numbers_and_in_the_gateways_order(
    experiment: LoopbackGateway, make_bot: Callable[..., Bot], store: SqliteStore
) -> None:
    summary = make_bot(num_samples=4).tick()
    assert (summary.songs, summary.candidates) == (5, 20)
    assert all(request.interleave for request in experiment.requests)
    for song in {row.candidate.report.song.title for row in store.rows()}:
        found = [row.candidate for row in store.rows() if row.candidate.report.song.title == song]
        assert [each.number for each in found] == [1, 2, 3, 4]
        assert Counter(each.model_version for each in found) == {"3": 2, "7": 2}
        for each in found:
            assert each.sample.text.endswith(f"of {each.model_version}.")
            assert each.archive_sha256 == f"hash-of-{each.model_version}"
            assert each.genres_unknown == (f"unknown-to-{each.model_version}",)
            assert each.exposure_id == f"{each.report.source_post_id} {each.report.seed} {each.model_version}"
            assert (each.experiment, each.is_blind) == ("autumn", True)


def test_a_bot_asks_to_rank_by_value_and_without_it_where_a_version_cannot(
    gateway: LoopbackGateway, make_bot: Callable[..., Bot], store: SqliteStore
) -> None:
    gateway.live = {"3": ("0 a",), "7": ("0 a",)}
    gateway.valued = ("3", "7")
    assert ask(gateway, rank_by="value").samples[0].sample.value == 0.62
    gateway.valued = ("3",)
    gateway.requests.clear()
    assert ask(gateway, rank_by="value").samples[0].sample.value is None
    # All arms of an experiment get the same request: both are asked again.
    assert [request.rank_by for request in gateway.requests] == ["value", ""]
    gateway.valued = ("3", "7")
    gateway.requests.clear()
    summary = make_bot(num_samples=2, rank_by=RankBy.VALUE).tick()
    assert summary.source_posts_failed == 0
    assert {request.rank_by for request in gateway.requests} == {"value"}
    assert {row.candidate.sample.value for row in store.rows()} == {0.62}


def test_the_number_of_samples_is_the_total_rounded_up_to_equal_numbers(experiment: LoopbackGateway) -> None:
    assert [len(ask(experiment, num_samples=number).samples) for number in (1, 2, 3, 5)] == [2, 2, 4, 6]


def test_a_bot_that_asks_again_gets_the_same_order(experiment: LoopbackGateway) -> None:
    assert ask(experiment, num_samples=6) == ask(experiment, num_samples=6)


def test_without_an_experiment_one_version_writes_the_song(
    gateway: LoopbackGateway, make_bot: Callable[..., Bot], store: SqliteStore
) -> None:
    make_bot(num_samples=2).tick()
    found = [row.candidate for row in store.rows()]
    assert {(each.model_version, each.experiment, each.is_blind) for each in found} == {("3", "", False)}
    assert {each.genres_unknown for each in found} == {(), ("slowcore",)}  # by the song
    assert all(request.interleave for request in gateway.requests)


def test_songs_of_a_sticky_experiment_are_of_one_version_and_blind_as_well(
    experiment: LoopbackGateway, make_bot: Callable[..., Bot], store: SqliteStore
) -> None:
    experiment.live = {"7": ("0 a",)}
    make_bot(num_samples=2).tick()
    found = [row.candidate for row in store.rows()]
    assert {(each.model_version, each.experiment, each.is_blind) for each in found} == {("7", "autumn", True)}
    assert len(found) == 10


def test_that_an_arm_failed_is_told_without_its_version_and_the_other_arm_writes_the_song(
    experiment: LoopbackGateway, make_bot: Callable[..., Bot], store: SqliteStore
) -> None:
    experiment.errors = {"7": "UNAVAILABLE: no worker answers"}
    summary = make_bot(num_samples=4).tick()
    assert summary.candidates == 10
    assert {(row.candidate.model_version, row.candidate.is_blind) for row in store.rows()} == {("3", True)}
    assert summary.problems == []
    failed = [notice for notice in summary.notices if notice.endswith(": an arm of the experiment autumn failed")]
    # Once for each source post, however many songs it names.
    assert len(failed) == 3
    said = f"{summary_lines(summary)} {summary}"
    assert "lcgan" not in said
    assert "no worker answers" not in said


def test_if_all_arms_fail_the_song_is_asked_for_again(
    experiment: LoopbackGateway, make_bot: Callable[..., Bot]
) -> None:
    experiment.errors = dict.fromkeys(experiment.live, "INTERNAL")
    with pytest.raises(SongFailedError):
        ask(experiment)
    summary = make_bot(num_samples=4).tick()
    assert (summary.candidates, summary.source_posts_pending) == (0, 3)
    experiment.errors = {}
    assert make_bot(num_samples=4).tick().candidates == 20


@pytest.mark.slow
@pytest.mark.usefixtures("experiment")
def test_place_and_version_are_independent(make_bot: Callable[..., Bot], store: SqliteStore, feed_path: Path) -> None:
    rows = [{"id": f"p{number}", "text": f"Listen to Ona Vell’s “Song {number}”"} for number in range(SONGS)]
    feed_path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    make_bot(num_samples=4, concurrency=8).tick()
    counts = Counter((row.candidate.number, row.candidate.model_version) for row in store.rows())
    assert counts.total() == 4 * SONGS
    for place in (1, 2, 3, 4):
        # 4 standard deviations of a fair coin: by chance once in 4,000 runs, and every run draws the same songs.
        assert abs(counts[place, "3"] - SONGS / 2) < 4 * (SONGS / 4) ** 0.5, place
    songs: dict[str, str] = {}
    for row in store.rows():
        name = row.candidate.report.source_post_id
        songs[name] = songs.get(name, "") + row.candidate.model_version
    # All six orders of two and two come, none of them rarely.
    orders = Counter(songs.values())
    assert len(orders) == 6
    assert min(orders.values()) > SONGS / 6 / 2
