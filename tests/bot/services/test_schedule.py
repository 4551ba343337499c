"""Schedule of calls: rate limits, pauses after failures, idle times, clocks that jump."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.adapters.lookups.catalog import EmptyCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.errors import CredentialsError, NetworkUnavailableError, RateLimitedError
from bot.ports import CommentaryService, FeedPage, SongSamples, Source
from bot.services.genres import ChainResolver
from bot.services.schedule import Schedule, SettleTimer
from bot.services.service import Bot
from handlers.contract import CommentaryRequest
from tests.bot.helpers.set_clock import SetClock


@pytest.fixture
def schedule(store: SqliteStore, clock: SetClock) -> Schedule:
    return Schedule(store, clock, spread=lambda: 1.0)


def test_a_rate_limit_is_waited_for_even_after_a_restart(
    store: SqliteStore, schedule: Schedule, clock: SetClock
) -> None:
    schedule.failed("x", RateLimitedError("X answered 429", retry_at=clock.now() + timedelta(minutes=14)))
    assert schedule.waits_for("x") == "x is paused until 2026-05-01 12:14:00 UTC: X answered 429"
    assert schedule.waits_for("board") == ""
    again = Schedule(store, clock)
    clock.pass_by(13 * 60)
    assert again.waits_for("x")
    clock.pass_by(61)
    assert again.waits_for("x") == ""
    again.succeeded("x")
    assert store.pauses() == []


@pytest.mark.parametrize("jump", [timedelta(days=-3), timedelta(days=-400)])
def test_a_clock_that_is_set_back_does_not_make_a_pause_last_for_ever(
    schedule: Schedule, clock: SetClock, jump: timedelta
) -> None:
    schedule.failed("x", RateLimitedError("429", retry_at=clock.now() + timedelta(minutes=15)))
    clock.time += jump
    assert schedule.waits_for("x") == ""


def test_pauses_grow_with_failures_in_a_row_up_to_a_quarter_of_an_hour(schedule: Schedule, clock: SetClock) -> None:
    pauses = []
    for _ in range(8):
        schedule.failed("x", NetworkUnavailableError("502"))
        begin = clock.seconds
        while schedule.waits_for("x"):
            clock.pass_by(1)
        pauses.append(clock.seconds - begin)
    assert pauses == [30, 60, 120, 240, 480, 900, 900, 900]
    schedule.succeeded("x")
    schedule.failed("x", NetworkUnavailableError("502"))
    assert schedule.waits_for("x") == "x is paused for 30 s after a failure"


def test_wrong_credentials_are_not_tried_every_half_minute(schedule: Schedule, clock: SetClock) -> None:
    schedule.failed("x", CredentialsError("401"))
    clock.pass_by(400)
    assert schedule.waits_for("x")


def test_the_interval_varies_by_a_tenth_and_grows_fivefold_while_nothing_comes(
    store: SqliteStore, clock: SetClock
) -> None:
    low, high = Schedule(store, clock, spread=lambda: 0.0), Schedule(store, clock, spread=lambda: 1.0)
    assert low.next_wait(60, idle=False) == pytest.approx(54)
    assert high.next_wait(60, idle=False) == pytest.approx(66)
    idle = [low.next_wait(60, idle=True) for _ in range(20)]
    assert idle[:3] == pytest.approx([54] * 3)
    assert idle == sorted(idle)
    assert idle[-1] == pytest.approx(54 * 5)
    assert low.next_wait(60, idle=False) == pytest.approx(54)


def test_a_write_in_doubt_settles_by_a_time_that_no_clock_can_set(clock: SetClock) -> None:
    settle_timer = SettleTimer(clock, 60)
    settle_timer.begin("post")
    clock.time += timedelta(days=1)
    assert not settle_timer.is_settled("post", clock.now().isoformat())
    clock.seconds += 60
    assert settle_timer.is_settled("post", clock.now().isoformat())


def test_a_write_of_an_earlier_process_settles_by_the_time_of_day_or_from_now_on(clock: SetClock) -> None:
    settle_timer = SettleTimer(clock, 60)
    began = clock.now().isoformat()
    assert not settle_timer.is_settled("post", began)
    clock.pass_by(61)
    assert settle_timer.is_settled("post", began)
    later = (clock.now() + timedelta(days=9)).isoformat()
    assert not settle_timer.is_settled("other", later)
    clock.pass_by(61)
    assert settle_timer.is_settled("other", later)


class LimitedSource(Source):
    """A source that is rate-limited until a time, and counts who asks earlier."""

    def __init__(self, clock: SetClock) -> None:
        self.clock = clock
        self.until = clock.now() + timedelta(minutes=15)
        self.calls = 0

    @property
    def name(self) -> str:
        return "limited"

    def read(self, cursor: str | None, limit: int) -> FeedPage:
        self.calls += 1
        if self.clock.now() < self.until:
            raise RateLimitedError("429", retry_at=self.until)
        return FeedPage(source_posts=(), cursor=cursor or str(limit), more=False)


class Silent(CommentaryService):
    def generate(self, request: CommentaryRequest) -> SongSamples:
        raise AssertionError(request)

    def is_reachable(self) -> bool:
        return True

    def close(self) -> None:
        pass


def test_a_source_is_asked_once_before_its_reset_and_once_after(store: SqliteStore, clock: SetClock) -> None:
    source = LimitedSource(clock)
    for _ in range(30):
        bot = Bot(
            sources=(source,),
            resolver=ChainResolver(table=EmptyCatalog()),
            commentary=Silent(),
            store=store,
            clock=clock,
        )
        summary = bot.tick()
        clock.pass_by(60)
        if clock.now() < source.until:
            assert source.calls == 1
            assert summary.problems or "is paused until 2026-05-01 12:15:00" in summary.notices[0]
    assert store.cursor("limited") == "200"
