"""The poster: what was accepted goes out once, whatever the network does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.adapters.files.publisher import FilePublisher
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import Decision, Verdict
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    NetworkError,
    NetworkUnavailableError,
    PostRefusedError,
    RateLimitedError,
)
from bot.domain.outgoing_posts import OutgoingPost, OutgoingPostStatus, PostMode
from bot.domain.pace import Pace
from bot.domain.post_form import PostForm
from bot.domain.source_posts import Kind, SourcePost
from bot.services.post_sender import PostSender, PostSenderOptions
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.posting import FILE, LIVE, Account, accept, one_pass, posts, rules
from tests.bot.helpers.set_clock import SetClock

Run = Callable[..., Summary]


@pytest.fixture
def run(clocked: SqliteStore, account: Account, clock: SetClock) -> Run:
    """One pass of a poster, by a bot that was just started."""

    def once(
        options: PostSenderOptions = LIVE, settle_timer: SettleTimer | None = None, form: PostForm = FILE
    ) -> Summary:
        post_sender = PostSender(
            publisher=account,
            outbox=clocked,
            rules=rules(form),
            settle_timer=settle_timer or SettleTimer(clock, 60),
            clock=clock,
            options=options,
        )
        return one_pass(post_sender)

    return once


def test_what_was_accepted_is_posted_once_in_the_order_of_the_verdicts(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    assert run().posts_sent == 2
    assert run().posts_sent == 0
    assert account.texts == ["One lamp.", "Two lamps."]
    assert posts(clocked) == {"sent": 2}
    assert clocked.state().usage == {"file post": 2}


def test_the_curators_text_is_posted_and_rejected_candidates_are_not(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    first, second, _ = accept(clocked, "One lamp.", "Two lamps.", "Three lamps.")
    clocked.decide([Verdict(candidate_id=first, decision=Decision.ACCEPT, who="bo", edited_text="A lamp.")])
    clocked.decide([Verdict(candidate_id=second, decision=Decision.REJECT, who="bo")])
    run()
    assert account.texts == ["Three lamps.", "A lamp."]


def test_a_dry_run_says_what_it_would_post_and_posts_nothing(clocked: SqliteStore, account: Account, run: Run) -> None:
    accept(clocked, "One lamp.")
    summary = run(PostSenderOptions())
    assert (summary.posts_held_back, summary.posts_sent) == (1, 0)
    assert summary.notices == ["dry run, not posted to file: One lamp."]
    assert account.texts == []
    assert run().posts_sent == 1


def test_a_dry_run_that_goes_on_says_each_post_once(clocked: SqliteStore, account: Account, clock: SetClock) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    post_sender = PostSender(
        publisher=account,
        outbox=clocked,
        rules=rules(),
        settle_timer=SettleTimer(clock, 60),
        clock=clock,
        options=PostSenderOptions(),
    )
    said: list[str] = []
    for _ in range(4):
        summary = Summary()
        post_sender.run(summary, threading.Event())
        said += summary.notices
    assert said == [f"dry run, not posted to file: {text}" for text in ("One lamp.", "Two lamps.")]
    assert account.texts == []


def test_a_post_without_an_answer_is_looked_up_and_found(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    account.faults = [(DoubtfulError("503 after the write"), True)]
    with pytest.raises(DoubtfulError):
        run()
    assert posts(clocked) == {"unknown": 1, "pending": 1}
    clock.pass_by(61)
    summary = run()
    assert (summary.posts_found, summary.posts_sent) == (1, 1)
    assert account.texts == ["One lamp.", "Two lamps."]
    # The look at the own timeline is billed as well.
    assert clocked.state().usage == {"file post": 2, "file read": 1}


def test_a_post_without_an_answer_that_is_not_out_is_sent_again(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    accept(clocked, "One lamp.")
    account.faults = [(DoubtfulError("timed out"), False)]
    with pytest.raises(DoubtfulError):
        run()
    clock.pass_by(61)
    assert run().posts_sent == 1
    assert account.texts == ["One lamp."]


def test_a_post_in_doubt_is_left_alone_until_a_slow_server_is_done_with_it(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    accept(clocked, "One lamp.")
    account.faults = [(DoubtfulError("timed out"), False)]
    with pytest.raises(DoubtfulError):
        run()
    clock.pass_by(10)
    assert run().posts_doubtful == 1
    assert account.looks == 0
    # Applied late, after the bot gave the call up.
    FilePublisher.publish(account, OutgoingPost(candidate_id="t1.1.1", text="One lamp."))
    clock.pass_by(51)
    assert run().posts_found == 1
    assert account.texts == ["One lamp."]


@pytest.mark.parametrize("jump", [timedelta(days=-400), timedelta(days=400), timedelta(hours=-1)])
def test_a_clock_that_jumps_while_a_post_is_in_doubt_doubles_nothing(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock, jump: timedelta
) -> None:
    accept(clocked, "Before.", "One lamp.", "Two lamps.")
    account.faults = [(DoubtfulError("503"), True)]
    with pytest.raises(DoubtfulError):
        run()
    clock.time += jump
    settle_timer = SettleTimer(clock, 60)  # the bot was started again
    options = replace(LIVE, max_age=timedelta(days=1000))
    for _ in range(3):
        run(options, settle_timer)
        clock.pass_by(61)
    assert sorted(account.texts) == ["Before.", "One lamp.", "Two lamps."]
    assert posts(clocked) == {"sent": 3}


def test_a_bot_that_died_while_sending_looks_before_it_sends(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    (name,) = accept(clocked, "One lamp.")
    clocked.enqueue_accepted(since=clock.now() - timedelta(days=1))
    post = clocked.claim(name, text="One lamp.", network="file", mode=PostMode.STANDALONE, in_reply_to=None)
    assert post is not None
    FilePublisher.publish(account, post)
    clock.pass_by(61)
    assert run().posts_found == 1
    assert account.texts == ["One lamp."]


def test_a_post_in_doubt_on_a_former_network_is_told_with_the_way_out_and_not_sent(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    (name,) = accept(clocked, "One lamp.")
    clocked.enqueue_accepted(since=clock.now() - timedelta(days=1))
    assert clocked.claim(name, text="One lamp.", network="x", mode=PostMode.STANDALONE, in_reply_to=None)
    clock.pass_by(61)
    (notice,) = run().notices
    assert "is not sent again; [post] to = 'x' for one pass lets the bot look it up" in notice
    assert account.texts == []


def test_only_posts_behind_the_newest_known_one_are_read(clocked: SqliteStore, account: Account, run: Run) -> None:
    accept(clocked, "One lamp.")
    run()
    (name,) = accept(clocked, "Two lamps.", first=2)
    account.faults = [(DoubtfulError("503"), True)]
    with pytest.raises(DoubtfulError):
        run()
    (doubtful,) = clocked.doubtful_posts()
    assert doubtful.candidate_id == name
    assert [own.text for own in account.recent(doubtful.after_id)] == ["Two lamps."]


@pytest.mark.parametrize(
    "error", [NetworkUnavailableError("502"), RateLimitedError("429"), CredentialsError("401")], ids=str
)
def test_a_post_that_was_not_applied_is_sent_by_a_later_pass(
    clocked: SqliteStore, account: Account, run: Run, error: NetworkError
) -> None:
    accept(clocked, "One lamp.")
    account.faults = [(error, False)]
    with pytest.raises(type(error)):
        run()
    assert posts(clocked) == {"pending": 1}
    assert run().posts_sent == 1
    assert account.looks == 0


def test_a_refused_post_is_not_sent_again_until_it_is_accepted_anew(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    (name,) = accept(clocked, "One lamp.")
    account.faults = [(PostRefusedError("403: too long"), False)]
    assert run().posts_refused == 1
    assert run().posts_refused == 0
    assert posts(clocked) == {"refused": 1}
    clocked.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text="A lamp.")])
    assert run().posts_sent == 1
    assert account.texts == ["A lamp."]


@pytest.fixture
def sender(clocked: SqliteStore, account: Account, clock: SetClock) -> PostSender:
    """A poster that stays for several passes."""
    return PostSender(
        publisher=account,
        outbox=clocked,
        rules=rules(),
        settle_timer=SettleTimer(clock, 60),
        clock=clock,
        options=LIVE,
    )


def test_the_same_refusal_of_two_posts_in_a_row_uses_up_neither(
    clocked: SqliteStore, account: Account, sender: PostSender
) -> None:
    accept(clocked, "One lamp.", "Two lamps.", "Three lamps.")
    words = PostRefusedError("403: the record 17 is not wanted"), PostRefusedError("403: the record 18 is not wanted")
    account.faults = [(error, False) for error in words]
    with pytest.raises(CredentialsError, match="two posts in a row"):
        one_pass(sender)
    assert posts(clocked) == {"pending": 3}
    assert one_pass(sender).posts_sent == 3
    assert account.texts == ["Three lamps.", "One lamp.", "Two lamps."]


def test_posts_that_are_refused_while_others_go_out_are_refused_for_good(
    clocked: SqliteStore, account: Account, sender: PostSender
) -> None:
    accept(clocked, "One lamp.", "Two lamps.", "Three lamps.")
    refusal = (PostRefusedError("403: duplicate"), False)
    account.faults = [refusal, refusal]
    with pytest.raises(CredentialsError):
        one_pass(sender)
    account.faults = [refusal, refusal, refusal]
    account.faults[0] = (None, True)  # the third post goes out
    summary = one_pass(sender)
    assert (summary.posts_sent, summary.posts_refused) == (1, 2)
    assert posts(clocked) == {"sent": 1, "refused": 2}


def test_two_refusals_with_different_words_are_about_the_posts(
    clocked: SqliteStore, account: Account, sender: PostSender
) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    account.faults = [(PostRefusedError("too long"), False), (PostRefusedError("duplicate"), False)]
    assert one_pass(sender).posts_refused == 2


def test_a_post_that_fails_again_and_again_does_not_hold_up_the_others(
    clocked: SqliteStore, account: Account, sender: PostSender
) -> None:
    accept(clocked, "One lamp.", "Two lamps.")
    account.faults = [(NetworkUnavailableError("404"), False)] * 2
    for _ in range(2):
        with pytest.raises(NetworkUnavailableError):
            one_pass(sender)
    account.faults = [(None, True), (NetworkUnavailableError("404"), False)]
    with pytest.raises(NetworkUnavailableError):
        one_pass(sender)
    assert account.texts == ["Two lamps."]
    assert posts(clocked) == {"sent": 1, "pending": 1}


@pytest.mark.parametrize("ahead", [timedelta(days=400), timedelta(days=2)])
def test_posts_of_a_clock_that_was_ahead_do_not_count_against_the_days_limit(
    clocked: SqliteStore, run: Run, clock: SetClock, ahead: timedelta
) -> None:
    options = replace(LIVE, pace=Pace(per_day=1))
    clock.time += ahead
    accept(clocked, "One lamp.")
    assert run(options).posts_sent == 1
    clock.time -= ahead
    accept(clocked, "Two lamps.", "Three lamps.", first=2)
    assert [run(options).posts_sent for _ in range(2)] == [1, 0]


def test_a_verdict_that_is_taken_back_in_time_stops_the_post(clocked: SqliteStore, account: Account, run: Run) -> None:
    first, second = accept(clocked, "One lamp.", "Two lamps.")
    run(PostSenderOptions())
    clocked.decide([Verdict(candidate_id=first, decision=Decision.UNDO, who="bo")])
    account.faults = [(DoubtfulError("503"), False)]
    with pytest.raises(DoubtfulError):
        run()
    clocked.decide([Verdict(candidate_id=second, decision=Decision.REJECT, who="bo")])
    assert posts(clocked) == {"cancelled": 1, "unknown": 1}
    clocked.set_post(second, OutgoingPostStatus.PENDING, reason="was not out")
    run()
    assert account.texts == []
    assert posts(clocked) == {"cancelled": 2}
    clocked.decide([Verdict(candidate_id=first, decision=Decision.ACCEPT, who="bo")])
    run()
    assert account.texts == ["One lamp."]


def test_no_more_than_the_days_cap_is_posted_and_doubtful_ones_count(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    accept(clocked, *(f"Lamp {number}." for number in range(5)))
    options = replace(LIVE, pace=Pace(per_day=3), per_pass=2)
    account.faults = [(DoubtfulError("503"), True)]
    with pytest.raises(DoubtfulError):
        run(options)
    assert [run(options).posts_sent for _ in range(3)] == [2, 0, 0]
    clock.pass_by(24 * 3600 + 1)
    assert [run(options).posts_sent for _ in range(2)] == [2, 0]
    assert len(account.texts) == 5


def test_verdicts_that_are_too_old_are_not_acted_on(
    clocked: SqliteStore, account: Account, run: Run, clock: SetClock
) -> None:
    accept(clocked, "One lamp.")
    run(PostSenderOptions())
    accept(clocked, "Two lamps.", first=2)
    clock.pass_by(4 * 24 * 3600)
    accept(clocked, "Three lamps.", first=3)
    assert run().posts_sent == 1
    assert account.texts == ["Three lamps."]
    assert posts(clocked) == {"cancelled": 1, "sent": 1}


def test_a_slur_is_never_posted_though_it_was_accepted(clocked: SqliteStore, account: Account, run: Run) -> None:
    accept(clocked, "An unsayable lamp.")
    (notice,) = run().notices
    assert notice.startswith("t1.1.1 was not posted: the text contains 'unsayable', which is never posted")
    assert account.texts == []


def test_the_same_text_is_not_posted_twice(clocked: SqliteStore, account: Account, run: Run) -> None:
    accept(clocked, "One lamp.", "One  LAMP!")
    summary = run()
    assert (summary.posts_sent, summary.posts_refused) == (1, 1)
    assert account.texts == ["One lamp."]


def test_only_where_it_is_allowed_and_asked_for_a_post_is_a_reply(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    mention = SourcePost(id="file:9", text="@bot Moss by Ona", kind=Kind.MENTION)
    accept(clocked, "One lamp.", source_post=mention)
    accept(clocked, "Two lamps.", source_post=SourcePost(id="bsky:8", text="@bot", kind=Kind.MENTION), first=2)
    accept(clocked, "Three lamps.", source_post=SourcePost(id="7", text="Moss"), first=3)
    run(form=replace(FILE, reply_to_mentions=True))
    rows = [json.loads(line) for line in account.path.read_text().splitlines()]
    assert {row["text"]: row["in_reply_to"] for row in rows} == {
        "One lamp.": "file:9",
        "Two lamps.": None,
        "Three lamps.": None,
    }


def test_a_torn_line_in_the_file_spoils_no_other(account: Account) -> None:
    account.publish(OutgoingPost(candidate_id="1", text="One."))
    with account.path.open("a") as file:
        file.write('{"id": "x", "te')
    account.publish(OutgoingPost(candidate_id="2", text="Two."))
    assert account.texts == ["One.", "Two."]


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(NetworkUnavailableError, match="cannot be written: Is a directory"):
        FilePublisher(tmp_path).publish(OutgoingPost(candidate_id="1", text="One."))
    with pytest.raises(NetworkUnavailableError, match="cannot be written; choose another file"):
        FilePublisher(tmp_path).check()
