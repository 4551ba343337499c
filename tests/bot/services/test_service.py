"""The pass: feed to queue, with the real client against a loopback gateway."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from bot.adapters.gateway_client import GatewayClient
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import NoServiceError, SongFailedError, SongRefusedError
from bot.domain.songs.song import request_seed
from bot.domain.source_posts import SourcePostStatus
from bot.services.service import Bot, Summary
from handlers.contract import CommentaryRequest

MakeBot = Callable[..., Bot]


def fail(code: grpc.StatusCode, *titles: str) -> Callable[[Any, grpc.ServicerContext], None]:
    """A fault for the songs of the given titles, or for all of them."""

    def fault(request: Any, context: grpc.ServicerContext) -> None:
        if not titles or request.title in titles:
            context.abort(code, "as the test says")

    return fault


def statuses(store: SqliteStore) -> dict[SourcePostStatus, int]:
    return {status: count for status, count in store.state().source_posts.items() if count}


def test_a_pass_brings_every_song_of_the_feed_to_the_queue(make_bot: MakeBot, store: SqliteStore) -> None:
    steps: list[tuple[int, int]] = []
    summary = make_bot().tick(progress=lambda done, total: steps.append((done, total)))
    assert summary == Summary(
        source_posts_read=4,
        source_posts_done=3,
        source_posts_without_song=1,
        songs=5,
        songs_of_unknown_genre=1,
        candidates=25,
    )
    assert steps == [(number, 4) for number in range(1, 5)]
    rows = {row.candidate.id: row for row in store.rows()}
    assert len(rows) == 25
    row = rows["103.2.4"]
    report = row.candidate.report
    assert (report.song.artists, report.song.title, report.artist) == (("@onavell",), "Moss", "Ona Vell")
    assert report.genres == ("dream pop", "slowcore")
    assert row.candidate.genres_unknown == ("slowcore",)
    assert row.text.startswith("Moss by Ona Vell, take 4")
    assert (row.candidate.model, row.candidate.model_version, row.candidate.archive_sha256) == ("lcgan", "3", "ab" * 32)
    assert rows["103.3.1"].candidate.report.genres == ()
    assert rows["104.1.1"].candidate.report.song.version == "Tor Brisk Remix"
    assert rows["101.1.1"].source_post.author == "radio"


def test_the_request_says_what_is_known_of_the_song(make_bot: MakeBot, gateway: Any) -> None:
    make_bot(num_samples=3).tick()
    request = next(request for request in gateway.requests if request.title == "Tin Sea")
    assert (list(request.genres), request.artist, request.num_samples) == (["techno"], "Tor Brisk", 3)
    assert (request.model, request.unit) == ("lcgan", "103")


def test_a_second_pass_finds_nothing_to_do(make_bot: MakeBot, store: SqliteStore, gateway: Any) -> None:
    make_bot().tick()
    asked = len(gateway.requests)
    assert make_bot().tick() == Summary()
    assert len(gateway.requests) == asked
    assert len(list(store.rows())) == 25


def test_a_feed_that_is_read_anew_adds_nothing_twice(make_bot: MakeBot, store: SqliteStore, feed_path: Path) -> None:
    make_bot().tick()
    feed_path.write_text('{"id": "100", "text": "Ona Vell - Rye"}\n' + feed_path.read_text())
    summary = make_bot().tick()
    assert (summary.source_posts_read, summary.source_posts_known, summary.candidates) == (1, 4, 5)
    assert "replaced" in summary.notices[0]
    assert len(list(store.rows())) == 30


def test_the_seed_follows_from_the_source_post_and_the_song(
    make_bot: MakeBot, store: SqliteStore, gateway: Any
) -> None:
    make_bot().tick()
    seeds = {request.title: request.seed for request in gateway.requests}
    assert len(set(seeds.values())) == 5
    for row in store.rows():
        report = row.candidate.report
        assert (
            seeds[report.song.title] == report.seed == request_seed(report.source_post_id, report.number, report.song)
        )


def test_while_the_server_is_down_source_posts_wait_and_then_they_are_handled(
    make_bot: MakeBot, store: SqliteStore, gateway: Any
) -> None:
    gateway.stop()
    bot = make_bot(timeout_s=1.0)
    summary = bot.tick()
    assert (summary.source_posts_read, summary.candidates) == (4, 0)
    assert gateway.target in summary.outage
    assert statuses(store)[SourcePostStatus.PENDING] >= 3
    assert store.state().last_error == summary.outage
    gateway.start()
    # The client's connection tries again within two seconds; until then a pass finds nobody, as before.
    passes = [bot.tick()]
    deadline = time.monotonic() + 20
    while passes[-1].outage and time.monotonic() < deadline:
        time.sleep(0.2)
        passes.append(bot.tick())
    assert (passes[-1].outage, passes[-1].source_posts_pending) == ("", 0)
    assert sum(again.source_posts_read for again in passes) == 0
    assert sum(again.candidates for again in passes) == 25
    assert store.state().last_error is None


def test_when_the_server_goes_away_half_way_what_was_answered_is_kept(
    make_bot: MakeBot, store: SqliteStore, gateway: Any
) -> None:
    gateway.fault = fail(grpc.StatusCode.UNAVAILABLE, "Salt Clock")
    summary = make_bot(concurrency=1, timeout_s=1.0).tick()
    assert (summary.source_posts_done, summary.candidates, summary.source_posts_pending) == (2, 20, 1)
    gateway.fault = None
    assert make_bot().tick().candidates == 5
    assert len(list(store.rows())) == 25


def test_a_model_that_is_not_live_is_no_source_posts_fault(make_bot: MakeBot, store: SqliteStore, gateway: Any) -> None:
    gateway.fault = fail(grpc.StatusCode.NOT_FOUND)
    summary = make_bot().tick()
    assert "NOT_FOUND" in summary.outage
    assert SourcePostStatus.FAILED not in statuses(store)


def test_a_refused_song_fails_its_source_post_with_the_reason_and_the_others_go_on(
    make_bot: MakeBot, store: SqliteStore, gateway: Any
) -> None:
    gateway.fault = fail(grpc.StatusCode.INVALID_ARGUMENT, "Moss")
    summary = make_bot().tick()
    assert (summary.outage, summary.source_posts_done, summary.source_posts_failed, summary.candidates) == (
        "",
        2,
        1,
        20,
    )
    ((source_post_id, reason),) = store.state().failures
    assert source_post_id == "103"
    assert "song 2, 'Moss': the request was refused: as the test says" in reason
    # What its other songs got is not thrown away.
    assert {row.candidate.id for row in store.rows()} >= {"103.1.1", "103.3.5"}


def test_a_song_that_the_contract_refuses_never_leaves_the_bot(
    make_bot: MakeBot, store: SqliteStore, gateway: Any, feed_path: Path, catalog_path: Path
) -> None:
    catalog_path.write_text(f'{{"artist": "Ona Vell", "genres": ["{"x" * 201}"]}}\n')
    feed_path.write_text('{"id": "1", "text": "Ona Vell - Moss"}\n')
    assert make_bot().tick().source_posts_failed == 1
    assert "genres: must have at most 200 characters" in store.state().failures[0][1]
    assert gateway.requests == []


def test_a_source_post_that_the_server_breaks_on_is_put_off_and_at_last_given_up(
    make_bot: MakeBot, store: SqliteStore, gateway: Any, feed_path: Path
) -> None:
    gateway.fault = fail(grpc.StatusCode.INTERNAL, "Slow Lamp")
    summary = make_bot(max_attempts=2).tick()
    assert (
        summary.source_posts_done,
        summary.source_posts_postponed,
        summary.source_posts_pending,
        summary.outage,
    ) == (2, 1, 1, "")
    with feed_path.open("a") as file:
        file.write('{"id": "105", "text": "Ona Vell - Rye"}\n')
    summary = make_bot(max_attempts=2).tick()
    assert (summary.source_posts_done, summary.source_posts_failed, summary.source_posts_pending) == (1, 1, 0)
    gateway.fault = None
    assert store.reopen_failed() == 1
    assert make_bot().tick().candidates == 5


def test_a_server_that_breaks_on_everything_is_an_outage_and_blames_no_source_post(
    make_bot: MakeBot, store: SqliteStore, gateway: Any
) -> None:
    gateway.fault = fail(grpc.StatusCode.INTERNAL)
    for _ in range(3):
        assert "the server failed" in make_bot(max_attempts=1).tick().outage
    assert statuses(store) == {SourcePostStatus.PENDING: 3, SourcePostStatus.NO_SONG: 1}


def test_a_slow_server_is_given_up_at_the_deadline(make_bot: MakeBot, gateway: Any, store: SqliteStore) -> None:
    gateway.fault = lambda _request, _context: gateway.released.wait(20)
    started = time.monotonic()
    summary = make_bot(timeout_s=0.4).tick()
    assert time.monotonic() - started < 5
    assert "DEADLINE_EXCEEDED" in summary.outage
    assert store.count_pending() == 3


def test_requests_of_several_source_posts_are_in_flight_together_and_bounded(
    make_bot: MakeBot, gateway: Any, feed_path: Path
) -> None:
    feed_path.write_text("".join(f'{{"id": "{number}", "text": "Ona Vell - Moss"}}\n' for number in range(12)))
    lock, now, most = threading.Lock(), [0], [0]

    def count(_request: Any, _context: grpc.ServicerContext) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1

    gateway.fault = count
    assert make_bot(concurrency=3).tick().candidates == 60
    assert most[0] == 3


@pytest.mark.slow
def test_told_to_stop_it_keeps_what_comes_within_the_grace_and_leaves_the_rest(
    make_bot: MakeBot, gateway: Any, store: SqliteStore
) -> None:
    stop = threading.Event()

    def slow(request: Any, _context: grpc.ServicerContext) -> None:
        stop.set()
        gateway.released.wait(0.2 if request.title == "Slow Lamp" else 20)

    gateway.fault = slow
    started = time.monotonic()
    summary = make_bot(grace_s=1.0).tick(stop=stop)
    assert time.monotonic() - started < 4
    assert (summary.source_posts_done, summary.outage) == (1, "")
    assert summary.source_posts_pending == 2
    assert len(list(store.rows())) == 5


def test_run_goes_on_after_a_pass_that_failed(make_bot: MakeBot, feed_path: Path) -> None:
    stop, results = threading.Event(), []
    content = feed_path.read_text()
    feed_path.unlink()

    def report(result: Summary | Exception) -> None:
        results.append(result)
        feed_path.write_text(content)
        if len(results) == 2:
            stop.set()

    make_bot().run(interval_s=0.01, stop=stop, report=report)
    first, second = results
    assert isinstance(first, Summary)
    assert isinstance(second, Summary)
    assert "does not exist" in first.problems[0]
    assert second.candidates == 25


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, SongRefusedError),
        (grpc.StatusCode.INTERNAL, SongFailedError),
        (grpc.StatusCode.UNKNOWN, SongFailedError),
        (grpc.StatusCode.DEADLINE_EXCEEDED, SongFailedError),
        (grpc.StatusCode.UNAVAILABLE, NoServiceError),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, NoServiceError),
        (grpc.StatusCode.NOT_FOUND, NoServiceError),
        (grpc.StatusCode.UNIMPLEMENTED, NoServiceError),
        (grpc.StatusCode.UNAUTHENTICATED, NoServiceError),
        (grpc.StatusCode.CANCELLED, NoServiceError),
    ],
)
def test_every_error_of_the_client_becomes_one_of_the_bots(
    gateway: Any, code: grpc.StatusCode, error: type[Exception]
) -> None:
    gateway.fault = fail(code)
    commentary = GatewayClient(gateway.target, model="lcgan", timeout_s=2.0)
    with pytest.raises(error) as caught:
        commentary.generate(CommentaryRequest(genres=()))
    commentary.close()
    assert type(caught.value) is error
