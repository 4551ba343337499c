"""A template that is changed between two attempts changes posts that were not attempted, and no other; an edit does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError
from bot.domain.outgoing_posts import OutgoingPost
from bot.domain.post_text import Template, Templates
from bot.ports import BoardRow
from bot.services.post_sender import PostSender
from bot.services.schedule import SettleTimer
from bot.services.summary import Summary
from tests.bot.helpers.posting import FILE, LIVE, Account, accept, one_pass, rules
from tests.bot.helpers.set_clock import SetClock

Run = Callable[[str], Summary]


@pytest.fixture
def run(clocked: SqliteStore, account: Account, clock: SetClock) -> Run:
    """One pass of a sender that was started with a template."""

    def once(template: str) -> Summary:
        sender = PostSender(
            publisher=account,
            outbox=clocked,
            rules=rules(replace(FILE, templates=Templates(post=Template(template)))),
            settle_timer=SettleTimer(clock, 0),
            clock=clock,
            options=LIVE,
        )
        return one_pass(sender)

    return once


def test_a_post_that_waits_gets_the_template_of_the_moment(clocked: SqliteStore, account: Account, run: Run) -> None:
    accept(clocked, "A lamp.")
    run("{title}: {text}")
    accept(clocked, "A sea.", first=2)
    run("{text} ({artist})")
    assert account.texts == ["Moss: A lamp.", "A sea. (Ona)"]


@pytest.mark.parametrize("error", [NetworkUnavailableError("away"), DoubtfulError("timed out")], ids=str)
def test_a_post_that_was_attempted_keeps_its_text(
    clocked: SqliteStore, account: Account, run: Run, error: NetworkError
) -> None:
    accept(clocked, "A lamp.")
    account.faults = [(error, False)]
    with pytest.raises(type(error)):
        run("{title}: {text}")
    for _ in range(2):
        run("{text} ({artist})")
    assert account.texts == ["Moss: A lamp."]


def test_a_post_that_went_out_in_doubt_is_found_by_the_text_that_it_went_out_with(
    clocked: SqliteStore, account: Account, run: Run
) -> None:
    accept(clocked, "A lamp.")
    account.faults = [(DoubtfulError("timed out"), True)]
    with pytest.raises(DoubtfulError):
        run("{title}: {text}")
    assert run("{text} ({artist})").posts_found == 1
    assert run("{text} ({artist})").posts_sent == 0
    assert account.texts == ["Moss: A lamp."]


def test_a_new_verdict_makes_the_text_again(clocked: SqliteStore, account: Account, run: Run) -> None:
    (name,) = accept(clocked, "A lamp.")
    account.faults = [(NetworkUnavailableError("away"), False)]
    with pytest.raises(NetworkUnavailableError):
        run("{title}: {text}")
    clocked.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text="A slow lamp.")])
    run("{text} ({artist})")
    assert account.texts == ["A slow lamp. (Ona)"]


@pytest.mark.parametrize("applied", [False, True], ids=["lost", "out"])
@pytest.mark.parametrize("place", ["terminal", "board"])
def test_a_text_that_was_edited_while_the_post_was_in_doubt_leaves_unless_the_earlier_one_is_out(
    clocked: SqliteStore, account: Account, run: Run, place: str, applied: bool
) -> None:
    (name,) = accept(clocked, "A lamp.")
    account.faults = [(DoubtfulError("timed out"), applied)]
    with pytest.raises(DoubtfulError):
        run("{text}")
    if place == "terminal":
        clocked.decide(
            Verdict(candidate_id=name, decision=decision, who="bo", edited_text=text)
            for decision, text in ((Decision.UNDO, None), (Decision.ACCEPT, "A slow lamp."))
        )
    else:
        row = BoardRow(candidate_id=name, status="accepted", text="A slow lamp.", who="bo")
        clocked.apply_board([row], objection_to=lambda _row, _text: "")
    for _ in range(2):
        run("{text} ({artist})")
    assert account.texts == ["A lamp." if applied else "A slow lamp. (Ona)"]


def test_a_text_that_is_edited_while_another_post_is_sent_leaves_with_the_edit(
    clocked: SqliteStore, database: Path, account: Account, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = accept(clocked, "A lamp.", "A sea.")
    publish = account.publish

    def edit_meanwhile(post: OutgoingPost) -> str:
        if post.candidate_id == first:
            verdict = Verdict(candidate_id=second, decision=Decision.ACCEPT, who="bo", edited_text="A tin sea.")
            with SqliteStore(database, now=clocked._clock) as studio:
                studio.decide([verdict])
        return publish(post)

    monkeypatch.setattr(account, "publish", edit_meanwhile)
    for _ in range(2):
        run("{text}")
    assert account.texts == ["A lamp.", "A tin sea."]


@pytest.mark.parametrize("text", [None, "A slow lamp."])
def test_a_candidate_that_was_taken_back_in_doubt_and_is_out_does_not_wait_for_a_verdict(
    clocked: SqliteStore, account: Account, run: Run, text: str | None
) -> None:
    (name,) = accept(clocked, "A lamp.")
    clocked.decide([Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text=text)])
    account.faults = [(DoubtfulError("timed out"), True)]
    with pytest.raises(DoubtfulError):
        run("{text}")
    clocked.decide([Verdict(candidate_id=name, decision=Decision.UNDO, who="ana")])
    assert run("{text}").posts_found == 1
    (row,) = clocked.find([name])
    assert row.verdict == Verdict(candidate_id=name, decision=Decision.ACCEPT, who="bo", edited_text=text)
    assert list(clocked.rows(status=CandidateStatus.WAITING)) == []
