"""Pace: when accepted posts leave, and what each of them waits for."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.outgoing_posts import OutgoingPostStatus
from bot.domain.pace import DAY, AcceptedPost, Pace, Rival, Wait, WaitReason, counted
from bot.domain.posting_hours import PostingHours
from bot.domain.wait_words import ahead_words, wait_words

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HALF_HOURLY = Pace(hold=2 * MINUTE, min_gap=30 * MINUTE, per_day=10)


def accepted(name: str, *, ago: timedelta = timedelta(hours=1), rival: Rival | None = None) -> AcceptedPost:
    return AcceptedPost(candidate_id=name, accepted_at=NOW - ago, rival=rival)


def told(pace: Pace, posts: list[AcceptedPost], left: list[datetime]) -> list[str]:
    return [wait_words(wait, pace, now=NOW) for wait in pace.forecast(posts, left, NOW)]


BERLIN = PostingHours.parse("9:00-22:00 Europe/Berlin")


def test_without_a_pace_everything_leaves_with_the_next_pass() -> None:
    posts = [accepted("1"), accepted("2", ago=timedelta(0))]
    assert told(Pace(), posts, [NOW]) == ["leaves with the next pass of the bot"] * 2


def test_each_post_waits_for_its_hold_then_for_the_gap_behind_the_one_before_it() -> None:
    pace = Pace(hold=2 * MINUTE, min_gap=30 * MINUTE, hours=PostingHours.parse("0-24 UTC"))
    posts = [accepted("1", ago=MINUTE), accepted("2"), accepted("3")]
    # The first of the row can still be taken back, so the others need not wait for it.
    assert told(pace, posts, []) == [
        "leaves at 12:30 UTC (gap of 30 minutes)",
        "leaves with the next pass of the bot",
        "leaves at 13:00 UTC (gap of 30 minutes)",
    ]
    assert told(pace, posts[:1], []) == ["held until 12:01 UTC so that it can be taken back"]
    assert told(pace, posts[1:2], [NOW - 10 * MINUTE]) == ["leaves at 12:20 UTC (gap of 30 minutes)"]


def test_hours_hold_posts_until_the_window_opens() -> None:
    pace = Pace(min_gap=30 * MINUTE, hours=PostingHours.parse("14:30-15:15 Europe/Berlin"))
    assert told(pace, [accepted("1"), accepted("2"), accepted("3")], []) == [
        "leaves at 14:30 CEST (posting hours 14:30–15:15 Europe/Berlin)",
        "leaves at 15:00 CEST (gap of 30 minutes)",
        "leaves on 2 May, 14:30 CEST (posting hours 14:30–15:15 Europe/Berlin)",
    ]


def test_the_limit_of_24_hours_is_told_with_its_end() -> None:
    pace = Pace(per_day=2, hours=PostingHours.parse("0-24 UTC"))
    left = [NOW - timedelta(hours=20), NOW - timedelta(hours=1)]
    assert told(pace, [accepted("1"), accepted("2")], left) == [
        "leaves at 16:00 UTC (2 posts in 24 hours reached)",
        "leaves on 2 May, 11:00 UTC (2 posts in 24 hours reached)",
    ]
    assert told(Pace(per_day=0), [accepted("1")], []) == ["nothing leaves, because per_day is 0"]


@pytest.mark.parametrize(
    ("status", "at", "words"),
    [
        (OutgoingPostStatus.SENT, NOW - 400 * DAY, "a post about this song left on 27 Mar 2025, 12:00 UTC (9)"),
        (OutgoingPostStatus.UNKNOWN, NOW - MINUTE, "a post about this song may have left at 11:59 UTC (9)"),
        (OutgoingPostStatus.PENDING, None, "another post about this song is before it (9)"),
    ],
)
def test_a_second_post_about_a_song_waits_for_a_curator_and_holds_up_no_other(
    status: OutgoingPostStatus, at: datetime | None, words: str
) -> None:
    pace = Pace(min_gap=30 * MINUTE, hours=PostingHours.parse("0-24 UTC"))
    rival = Rival(candidate_id="9", status=status, at=at)
    assert told(pace, [accepted("1", rival=rival), accepted("2")], []) == [
        words,
        "leaves with the next pass of the bot",
    ]


def test_a_clock_that_was_ahead_counts_for_25_hours_and_no_longer() -> None:
    hours = timedelta(hours=1)
    assert counted([NOW + 26 * hours, NOW + 24 * hours, NOW - hours], NOW) == (
        [NOW - hours, NOW + 24 * hours],
        [NOW + 26 * hours],
    )
    assert HALF_HOURLY.released_at(NOW + 24 * hours, NOW) == NOW + 24 * hours + HALF_HOURLY.hold
    assert HALF_HOURLY.released_at(NOW + 400 * DAY, NOW) == NOW
    assert ahead_words([NOW + 400 * DAY]).startswith(
        "1 post left while this machine's clock was ahead, the last one at"
    )


@given(
    ages=st.lists(st.integers(-60, 600), max_size=12),
    left=st.lists(st.integers(0, 2000), max_size=12),
    gap=st.sampled_from([0, 30, 90]),
    per_day=st.integers(1, 6),
    hours=st.sampled_from([None, "9-22 Europe/Berlin", "22-6 America/New_York"]),
)
def test_a_forecast_keeps_every_rule(
    ages: list[int], left: list[int], gap: int, per_day: int, hours: str | None
) -> None:
    window = PostingHours.parse(hours) if hours else None
    pace = Pace(hold=20 * MINUTE, min_gap=gap * MINUTE, per_day=per_day, hours=window)
    posts = [accepted(str(number), ago=age * MINUTE) for number, age in enumerate(ages)]
    before = sorted(NOW - minutes * MINUTE for minutes in left)
    waits = pace.forecast(posts, before, NOW)
    times = sorted(wait.until for wait in waits if wait.until is not None)
    assert len(times) == len(posts)
    for post, wait in zip(posts, waits, strict=True):
        assert wait.until is not None
        assert wait.until >= max(NOW, post.accepted_at + pace.hold)
    assert all(window is None or window.contains(time) for time in times)
    assert all(later - earlier >= pace.min_gap for earlier, later in itertools.pairwise([*before[-1:], *times]))
    for number, time in enumerate(times):
        assert sum(other > time - DAY for other in [*before, *times[:number]]) < per_day


def test_a_slot_is_never_before_the_moment_that_is_asked_for() -> None:
    slot = HALF_HOURLY.next_slot(NOW, [NOW - timedelta(hours=3)])
    assert slot == Wait(reason=WaitReason.READY, until=NOW)
