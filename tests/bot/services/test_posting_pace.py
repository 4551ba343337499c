"""The poster keeps a pace: time to take a post back, a gap, hours, one post a song. It loses and doubles nothing."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, Verdict
from bot.domain.errors import DoubtfulError, StaleVerdictError, UnknownCandidateError
from bot.domain.outgoing_posts import OutgoingPostStatus, PostMode
from bot.domain.pace import Pace, WaitReason
from bot.domain.posting_hours import PostingHours
from bot.domain.source_posts import Kind, SourcePost
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.post_waits import PostWaits
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.posting import FILE, Account, accept, one_pass, posts, rules
from tests.bot.helpers.set_clock import SetClock
from tests.bot.helpers.table_board import TableBoard, fill, passes

MINUTE = timedelta(minutes=1)
HOLD = Pace(hold=2 * MINUTE, per_day=100)
GAP = Pace(min_gap=30 * MINUTE, per_day=100)
ONE_A_SONG = Pace(same_song=timedelta(days=365), per_day=100)


AHEAD = pytest.mark.parametrize(
    ("ahead", "sent"), [(timedelta(days=400), 1), (timedelta(hours=26), 1), (timedelta(hours=2), 0)]
)


Run = Callable[[Pace], Summary]


@pytest.fixture
def run(clocked: SqliteStore, account: Account, clock: SetClock) -> Run:
    """One pass of a poster, by a bot that was just started."""

    def once(pace: Pace) -> Summary:
        options = PostSenderOptions(dry_run=False, pace=pace, per_pass=100)
        return one_pass(sender(clocked, account, clock, options))

    return once


def sender(store: SqliteStore, account: Account, clock: SetClock, options: PostSenderOptions) -> PostSender:
    form = replace(FILE, reply_to_mentions=options.pace.answers_mentions)
    return PostSender(
        publisher=account,
        outbox=store,
        rules=rules(form),
        settle_timer=SettleTimer(clock, 60),
        clock=clock,
        options=options,
    )


def undo(store: SqliteStore, *ids: str) -> None:
    store.decide(Verdict(candidate_id=name, decision=Decision.UNDO, who="bo") for name in ids)


# --- Time to take a post back -----------------------------------------------------------------------------------------


def test_a_post_is_held_so_long_that_it_can_be_taken_back_with_nothing_posted(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    first, _ = accept(clocked, "One lamp.", "Two lamps.")
    summary = run(HOLD)
    assert (summary.posts_sent, summary.posts_waiting) == (0, 2)
    clock.pass_by(119)
    run(HOLD)
    undo(clocked, first)
    clock.pass_by(1)
    assert run(HOLD).posts_sent == 1
    assert account.texts == ["Two lamps."]
    assert posts(clocked) == {"sent": 1, "cancelled": 1}


def test_a_verdict_that_is_taken_back_on_the_board_within_the_hold_posts_nothing(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    board = TableBoard()
    read = passes(board, clocked, clock)
    first, second = fill(clocked, 2)
    read()
    for status in ("accepted", "waiting"):
        board.decide(first, status=status)
        read()
        assert run(HOLD).posts_sent == 0
        clock.pass_by(100)
    board.decide(second, status="accepted")
    for _ in range(3):
        read()
        run(HOLD)
        clock.pass_by(100)
    assert account.texts == ["Lamp 2."]


def test_what_is_held_is_told_once_with_the_time_at_which_it_leaves(
    clocked: SqliteStore, account: Account, clock: SetClock
) -> None:
    accept(clocked, "One lamp.")
    pace = replace(HOLD, hours=PostingHours.parse("0-24 UTC"))
    post_sender = sender(clocked, account, clock, PostSenderOptions(dry_run=False, pace=pace))
    notices = [one_pass(post_sender).notices for _ in range(2)]
    assert notices == [["the next accepted post: held until 12:02 UTC so that it can be taken back"], []]


def test_a_new_verdict_on_a_text_begins_the_hold_anew(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    (name,) = accept(clocked, "One lamp.")
    run(HOLD)
    clock.pass_by(100)
    clocked.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text="A lamp.")])
    clock.pass_by(100)
    assert run(HOLD).posts_sent == 0
    clock.pass_by(20)
    assert run(HOLD).posts_sent == 1
    assert account.texts == ["A lamp."]


@pytest.mark.slow
def test_posts_that_are_held_starve_none_behind_them(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    names = accept(clocked, *(f"Lamp {number}." for number in range(60)))
    run(HOLD)
    accept(clocked, "A late lamp.", first=100)
    clock.pass_by(120)
    # Those in front are accepted anew, and so are held again.
    clocked.decide(Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo") for name in names)
    assert run(HOLD).posts_sent == 1
    assert account.texts == ["A late lamp."]


@AHEAD
def test_a_verdict_of_a_clock_that_was_far_ahead_is_not_held_until_that_time(
    clocked: SqliteStore, clock: SetClock, run: Run, ahead: timedelta, sent: int
) -> None:
    clock.time += ahead
    accept(clocked, "One lamp.")
    clock.time -= ahead
    assert run(HOLD).posts_sent == sent


# --- Gap, hours, limit ------------------------------------------------------------------------------------------------


def test_posts_leave_a_gap_apart_whatever_the_passes_and_restarts(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    accept(clocked, "One lamp.", "Two lamps.", "Three lamps.")
    sent: list[datetime] = []
    for _ in range(80):
        sent += [clock.now()] * run(GAP).posts_sent
        clock.pass_by(60)
    assert [time - sent[0] for time in sent] == [timedelta(0), 30 * MINUTE, 60 * MINUTE]
    assert account.texts == ["One lamp.", "Two lamps.", "Three lamps."]


def test_a_post_in_doubt_counts_for_the_gap_from_its_attempt(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    account.faults = [(DoubtfulError("503"), True)]
    with pytest.raises(DoubtfulError):
        run(GAP)
    clock.pass_by(600)
    summary = run(GAP)
    assert (summary.posts_found, summary.posts_sent) == (1, 0)
    clock.pass_by(1200)
    assert run(GAP).posts_sent == 1
    assert account.texts == ["One lamp.", "Two lamps."]


def test_a_bot_that_was_killed_while_it_sent_keeps_the_gap(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    first, _ = accept(clocked, "One lamp.", "Two lamps.")
    clocked.enqueue_accepted(since=clock.now() - timedelta(days=1))
    post = clocked.claim(first, text="One lamp.", network="file", mode=PostMode.STANDALONE, in_reply_to=None)
    assert post is not None
    account.publish(post)
    clock.pass_by(61)
    assert (found := run(GAP)).posts_found == 1
    assert found.posts_sent == 0
    clock.pass_by(1800)
    assert run(GAP).posts_sent == 1
    assert account.texts == ["One lamp.", "Two lamps."]


def test_a_post_that_did_not_leave_makes_no_gap(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    accept(clocked, "An unsayable lamp.", "Two lamps.")
    account.faults = [(DoubtfulError("timed out"), False)]
    with pytest.raises(DoubtfulError):
        run(GAP)
    clock.pass_by(61)
    assert run(GAP).posts_sent == 1
    assert account.texts == ["Two lamps."]


@AHEAD
def test_the_gap_behind_a_post_of_a_clock_that_was_far_ahead_is_not_kept_and_this_is_noted(
    clocked: SqliteStore, clock: SetClock, run: Run, ahead: timedelta, sent: int
) -> None:
    clock.time += ahead
    accept(clocked, "One lamp.")
    assert run(GAP).posts_sent == 1
    clock.time -= ahead
    accept(clocked, "Two lamps.", first=2)
    summary = run(GAP)
    assert summary.posts_sent == sent
    assert any("clock was ahead" in notice for notice in summary.notices) == bool(sent)


def test_outside_of_the_posting_hours_nothing_leaves(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    pace = Pace(hours=PostingHours.parse("15:00-16:00 Europe/Berlin"))
    accept(clocked, "One lamp.")
    (notice,) = run(pace).notices
    assert notice == "the next accepted post: leaves at 15:00 CEST (posting hours 15:00–16:00 Europe/Berlin)"
    clock.pass_by(3600)
    assert run(pace).posts_sent == 1
    accept(clocked, "Two lamps.", first=2)
    clock.pass_by(3600)
    assert run(pace).posts_sent == 0
    assert account.texts == ["One lamp."]


def test_the_limit_of_a_day_is_told_when_it_is_reached(clocked: SqliteStore, run: Run) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    summary = run(Pace(per_day=1, hours=PostingHours.parse("0-24 UTC")))
    assert summary.posts_sent == 1
    assert summary.notices == ["the next accepted post: leaves on 2 May, 12:00 UTC (1 post in 24 hours reached)"]


def test_what_may_not_be_posted_is_refused_within_the_pace_and_uses_up_no_slot(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, "An unsayable lamp.", "Two lamps.", "Three lamps.")
    summary = run(GAP)
    assert (summary.posts_refused, summary.posts_sent, summary.posts_waiting) == (1, 1, 1)
    assert account.texts == ["Two lamps."]


class KilledError(BaseException):
    """Death of a bot, which no part of it handles."""


class MortalStore(SqliteStore):
    """Store of a bot that dies before or after its n-th transaction; never if n is 0."""

    def __init__(self, path: Path, clock: SetClock, step: int) -> None:
        super().__init__(path, now=clock.now)
        self.left = step

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        self.step()
        with super()._writing() as connection:
            yield connection
        self.step()


@pytest.mark.slow
@pytest.mark.parametrize("step", range(1, 24))
def test_a_bot_that_dies_at_any_moment_of_a_wait_loses_and_doubles_nothing_and_keeps_the_pace(
    database: Path, account: Account, clock: SetClock, step: int
) -> None:
    pace = Pace(hold=2 * MINUTE, min_gap=30 * MINUTE, same_song=timedelta(days=365), per_day=100)
    options = PostSenderOptions(dry_run=False, pace=pace, per_pass=100)
    left: list[datetime] = []
    with MortalStore(database, clock, 0) as store:
        accept(store, "One lamp.", "Two lamps.")
        accept(store, "A fern.", title="Fern", first=3)
        store.left = step
        for _ in range(20):
            before = len(account.texts)
            with contextlib.suppress(KilledError):
                # Each pass is that of a bot that was just started.
                one_pass(sender(store, account, clock, options))
            left += [clock.now()] * (len(account.texts) - before)
            clock.pass_by(180)
        assert posts(store) == {"sent": 2, "pending": 1}
    assert store.left <= 0
    assert account.texts == ["One lamp.", "A fern."]
    assert left[1] - left[0] >= pace.min_gap


# --- One post a song --------------------------------------------------------------------------------------------------


def test_a_second_post_about_a_song_waits_for_a_curator(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    _, second = accept(clocked, "One lamp.", "Two lamps.")
    accept(clocked, "A fern.", title="Fern", first=3)
    summary = run(ONE_A_SONG)
    assert account.texts == ["One lamp.", "A fern."]
    assert (summary.posts_waiting, summary.posts_sent) == (1, 2)
    assert summary.notices[0].startswith(
        "1 accepted post waits for a curator, because there is another post about its song"
    )
    clock.pass_by(24 * 3600)
    assert run(ONE_A_SONG).posts_sent == 0
    clocked.confirm([second], "bo")
    assert run(ONE_A_SONG).posts_sent == 1
    assert account.texts == ["One lamp.", "A fern.", "Two lamps."]


@pytest.mark.slow
def test_songs_that_wait_for_a_curator_starve_none_behind_them(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, *(f"Lamp {number}." for number in range(60)))
    accept(clocked, "A fern.", title="Fern", first=100)
    assert run(ONE_A_SONG).posts_sent == 2
    assert account.texts == ["Lamp 0.", "A fern."]


def test_the_next_candidate_of_a_song_follows_when_the_first_does_not_leave(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, "An unsayable lamp.", "Two lamps.")
    assert [run(ONE_A_SONG).posts_sent for _ in range(2)] == [0, 1]
    assert account.texts == ["Two lamps."]
    first, _ = accept(clocked, "A fern.", "Two ferns.", title="Fern", first=3)
    undo(clocked, first)
    run(ONE_A_SONG)
    assert account.texts == ["Two lamps.", "Two ferns."]


def test_after_the_period_a_song_may_be_posted_again(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    pace = replace(ONE_A_SONG, same_song=timedelta(days=30))
    accept(clocked, "One lamp.")
    run(pace)
    clock.pass_by(30 * 24 * 3600 - 60)
    accept(clocked, "Two lamps.", first=2)
    assert run(pace).posts_sent == 0
    clock.pass_by(120)
    assert run(pace).posts_sent == 1
    assert len(account.texts) == 2


def test_a_confirmation_holds_the_post_anew_and_ends_with_the_verdict(
    clocked: SqliteStore, account: Account, clock: SetClock, run: Run
) -> None:
    pace = replace(ONE_A_SONG, hold=2 * MINUTE)
    _, second = accept(clocked, "One lamp.", "Two lamps.")
    clock.pass_by(600)
    run(pace)
    clocked.confirm([second], "bo")
    assert run(pace).posts_sent == 0
    undo(clocked, second)
    clocked.decide([Verdict(candidate_id=second, decision=Decision.ACCEPT, who="bo")])
    clock.pass_by(600)
    assert run(pace).posts_sent == 0
    clocked.confirm([second], "bo")
    clock.pass_by(120)
    assert run(pace).posts_sent == 1
    assert account.texts == ["One lamp.", "Two lamps."]


def test_answers_to_different_mentions_of_a_song_are_no_second_posts(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, "One lamp.")
    for number in (7, 8):
        mention = SourcePost(id=f"file:{number}", text="@bot Moss by Ona?", kind=Kind.MENTION)
        accept(clocked, f"Lamp {number}.", source_post=mention)
    assert run(ONE_A_SONG).posts_sent == 1
    assert run(replace(ONE_A_SONG, answers_mentions=True)).posts_sent == 2
    assert account.texts == ["One lamp.", "Lamp 7.", "Lamp 8."]


def test_only_an_accepted_post_that_is_not_out_can_be_confirmed(clocked: SqliteStore, run: Run) -> None:
    first, second = accept(clocked, "One lamp.", "Two lamps.")
    run(ONE_A_SONG)
    undo(clocked, second)
    for names, error, message in (
        (["no.1.1"], UnknownCandidateError, r"no candidate has the id no\.1\.1"),
        ([first], StaleVerdictError, "is sent, so there is nothing to confirm"),
        ([second], StaleVerdictError, "is waiting, so there is no post to confirm: accept it first"),
    ):
        with pytest.raises(error, match=message):
            clocked.confirm(names, "bo")


# --- What waits, and why ----------------------------------------------------------------------------------------------


def test_what_was_accepted_since_the_last_pass_waits_behind_the_posts(
    clocked: SqliteStore, clock: SetClock, run: Run
) -> None:
    pace = replace(ONE_A_SONG, hold=MINUTE)
    (first,) = accept(clocked, "One lamp.")
    run(pace)
    second, third = accept(clocked, "Two lamps.", "A fern.", first=2)
    accept(clocked, "Old.", first=9)
    posts = clocked.accepted_posts(pace, since=clock.now() - timedelta(days=3), limit=3)
    assert [post.candidate_id for post in posts] == [first, second, third]
    assert [post.rival and (post.rival.candidate_id, post.rival.status) for post in posts] == [
        None,
        (first, OutgoingPostStatus.PENDING),
        (first, OutgoingPostStatus.PENDING),
    ]
    assert clocked.accepted_posts(pace, since=clock.now() + MINUTE, limit=9) == posts[:1]
    waits = pace.forecast(posts, [], clock.now())
    assert [wait.reason for wait in waits] == [WaitReason.HOLD, WaitReason.SONG, WaitReason.SONG]


def test_a_dry_run_keeps_the_hold_and_says_what_it_would_post(
    clocked: SqliteStore, account: Account, clock: SetClock
) -> None:
    accept(clocked, "One lamp.")
    post_sender = sender(clocked, account, clock, PostSenderOptions(pace=HOLD))
    assert one_pass(post_sender).posts_held_back == 0
    clock.pass_by(120)
    assert one_pass(post_sender).notices == ["dry run, not posted to file: One lamp."]
    assert account.texts == []


# --- Verdicts that grow too old ---------------------------------------------------------------------------------------


def test_a_post_whose_turn_comes_too_late_is_told_to_be_dropped_and_is_dropped_then(
    clocked: SqliteStore, clock: SetClock, run: Run
) -> None:
    pace = Pace(per_day=1)
    accept(clocked, *(f"Lamp {number}." for number in range(5)))
    assert run(pace).posts_sent == 1
    report = PostWaits(pace=pace, max_age=timedelta(days=3), clock=clock).read(clocked)
    reasons = [post.wait.reason for post in report.posts]
    assert reasons == [WaitReason.DAY, WaitReason.DAY, WaitReason.DAY, WaitReason.AGE]
    assert report.posts[-1].words == "is dropped on 4 May, 12:00 UTC (max_age_days), before its turn comes"
    for _ in range(3):
        clock.pass_by(86_400)
        assert run(pace).posts_sent == 1
    clock.pass_by(1)
    (notice,) = run(pace).notices
    assert notice.startswith("1 accepted post was dropped, because its verdict is older than max_age_days")
    assert posts(clocked) == {"sent": 4, "cancelled": 1}


def test_a_confirmation_counts_like_a_verdict_when_its_post_grows_old(
    clocked: SqliteStore, clock: SetClock, run: Run
) -> None:
    pace = replace(ONE_A_SONG, hold=2 * MINUTE)
    _, second = accept(clocked, "One lamp.", "Two lamps.")
    clock.pass_by(120)
    assert run(pace).posts_sent == 1
    clock.pass_by(3 * 86_400 - 180)
    clocked.confirm([second], "ana")
    clock.pass_by(120)
    assert run(pace).posts_sent == 1


def test_the_board_tells_that_a_post_was_dropped(clocked: SqliteStore, clock: SetClock, run: Run) -> None:
    board = TableBoard()
    (name,) = fill(clocked, 1)
    board_pass = passes(board, clocked, clock)
    board_pass()
    clocked.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="ana")])
    run(Pace(per_day=0))
    clock.pass_by(4 * 86_400)
    run(Pace(per_day=0))
    board_pass()
    assert board.notes[name] == "not posted: accepted too long ago"
