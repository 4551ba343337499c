"""The page of posts: what is to be sent and why not yet, what can be taken back or confirmed, and its pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from bot.adapters.sqlite.desk import SqliteDesk
from bot.adapters.sqlite.restored import begin_restored
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.candidates import CandidateStatus
from bot.domain.outgoing_posts import OutgoingPostStatus
from tests.bot.helpers.studio_world import Answer, Client, accept, post

POSTING = {"to": "file", "dry_run": False, "hours": "0-24 UTC"}


@pytest.fixture
def posting(filled: SqliteStore, open_studio: Callable[..., Client]) -> Client:  # noqa: ARG001 -- made first
    """The studio of a bot that posts to a file."""
    return open_studio(post=POSTING)


def words(answer: Answer) -> str:
    """The words of a page, without markup."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2])).split())


def texts(answer: Answer) -> list[str]:
    return [unescape(text) for text in re.findall(r'<p class="text"[^>]*>([^<]*)</p>', answer.text)]


def send(studio: Client, path: str, *fields: tuple[str, str]) -> Answer:
    body = urlencode([("token", studio.token()), *fields])
    return studio.ask("POST", path, body=body, Content_Type="application/x-www-form-urlencoded")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "posting is off; choose a network with [post] to in the bot's settings"),
        ({"post": {"to": "file"}}, "posts are only printed; set [post] dry_run = false in the bot's settings"),
    ],
)
def test_what_is_accepted_is_listed_although_nothing_is_posted(
    filled: SqliteStore, open_studio: Callable[..., Client], options: dict[str, Any], reason: str
) -> None:
    studio = open_studio(**options)
    assert "No posts" in words(studio.get("/posted"))
    assert reason not in words(studio.get("/posted"))
    accept(filled, "101.1.1", "102.1.1")
    for path in ("/posted", "/posted?status=pending"):
        answer = studio.get(path)
        assert reason in words(answer)
        assert texts(answer) == ["Ona Vell – Slow Lamp: Slow Lamp, take 1.", "Ona Vell – Tin Sea: Tin Sea, take 1."]
    # Those that left before are no reason to be silent.
    post(filled, "102.1.1", OutgoingPostStatus.SENT, external_id="9")
    assert reason in words(studio.get("/posted"))


def test_each_post_to_send_says_what_it_waits_for_the_next_one_first(filled: SqliteStore, posting: Client) -> None:
    accept(filled, "101.1.1", "101.1.2", "102.1.1")
    answer = posting.get("/posted?status=pending")
    assert texts(answer) == [
        "Ona Vell – Slow Lamp: Slow Lamp, take 1.",
        "Ona Vell – Tin Sea: Tin Sea, take 1.",
        "Ona Vell – Slow Lamp: Slow Lamp, take 2.",
    ]
    shown = words(answer)
    assert re.search(r"held until (\d+ \w+, )?\d+:\d\d UTC so that it can be taken back", shown)
    assert re.search(r"leaves (at|on) [^(]*UTC \(gap of 30 minutes\)", shown)
    assert "another post about this song is before it (101.1.1)" in shown
    assert "To send 3" in shown
    post(filled, "101.1.1", OutgoingPostStatus.SENT, external_id="9")
    assert re.search(r"a post about this song left (at|on) [^(]*UTC \(101\.1\.1\)", words(posting.get("/posted")))


def test_after_a_restore_the_page_says_that_nothing_leaves_until_a_person_or_the_bot_has_looked(
    filled: SqliteStore, posting: Client
) -> None:
    accept(filled, "101.1.1")
    with filled._writing() as connection:
        begin_restored(connection, datetime.now(UTC))
    assert words(posting.get("/posted")).count("nothing is sent yet, because the database was restored") == 2
    filled.trust()
    assert "restored" not in words(posting.get("/posted"))


def test_the_limit_of_a_day_is_told(filled: SqliteStore, open_studio: Callable[..., Client]) -> None:
    accept(filled, "101.1.1", "102.1.1")
    post(filled, "101.1.1", OutgoingPostStatus.SENT, external_id="9")
    studio = open_studio(post={**POSTING, "per_day": 1, "min_gap": 0, "hold": 0})
    assert "(1 post in 24 hours reached)" in words(studio.get("/posted"))


def test_a_post_is_taken_back_before_any_pass_of_the_bot(filled: SqliteStore, posting: Client) -> None:
    accept(filled, "101.1.1")
    page = posting.get("/posted").text
    (seen,) = re.findall(r'name="seen" value="(\d+)"', page)
    answer = send(
        posting, "/verdicts", ("decision", "undo"), ("candidate", "101.1.1"), ("seen", seen), ("back", "/posted")
    )
    assert answer.headers["location"].startswith("/posted")
    assert texts(posting.get("/posted")) == []
    assert filled.state().candidates[CandidateStatus.ACCEPTED] == 0


@pytest.mark.parametrize("path", ["/posted", "/?status=accepted"])
def test_a_second_post_about_a_song_is_confirmed_on_the_page_and_on_the_card(
    filled: SqliteStore, posting: Client, path: str
) -> None:
    accept(filled, "101.1.1", "101.1.2")
    page = posting.get(path).text
    assert re.findall(r'name="candidate" value="([^"]+)"[^>]*>Send all the same', page) == ["101.1.2"]
    answer = send(posting, "/confirm", ("candidate", "101.1.2"), ("back", path))
    assert (answer.status, answer.headers["location"]) == (303, f"{path}#c-101.1.2")
    assert "Send all the same" not in posting.get(path).text
    assert "another post about this song" not in words(posting.get(path))


def test_only_the_studios_own_pages_confirm_and_only_what_waits(filled: SqliteStore, posting: Client) -> None:
    accept(filled, "101.1.1")
    assert send(posting, "/confirm", ("candidate", "102.1.1")).status == 409
    assert send(posting, "/confirm", ("candidate", "nobody")).status == 404
    assert send(posting, "/confirm").status == 400
    kind = {"Content_Type": "application/x-www-form-urlencoded"}
    assert posting.ask("POST", "/confirm", body="token=x&candidate=101.1.1", **kind).status == 403
    away = send(posting, "/confirm", ("candidate", "101.1.1"), ("back", "https://example.org/"))
    assert away.headers["location"] == "/#c-101.1.1"


def test_a_card_says_how_long_its_post_can_be_taken_back(filled: SqliteStore, posting: Client) -> None:
    accept(filled, "101.1.1")
    assert "so that it can be taken back" in words(posting.get("/?status=accepted"))
    post(filled, "101.1.1", OutgoingPostStatus.SENT, external_id="9")
    assert "so that it can be taken back" not in words(posting.get("/?status=accepted"))


def test_pages_lead_to_older_posts_and_back(filled: SqliteStore, database: Path, posting: Client) -> None:
    names = [row.candidate.id for row in filled.rows() if row.candidate.id.startswith("more-")]
    accept(filled, *names)
    for name in names:
        post(filled, name, OutgoingPostStatus.REFUSED, reason="a duplicate")
    with SqliteDesk(database) as desk:
        first = desk.posts(limit=6)
        second = desk.posts(limit=6, before=first.rows[-1].place)
        back = desk.posts(limit=6, after=second.rows[0].place)
        last = desk.posts(limit=6, before=second.rows[-1].place)
    assert [row.post.candidate_id for page in (first, second, last) for row in page.rows] == names[::-1]
    assert back.rows == first.rows
    assert [(page.newer, page.more) for page in (first, second, last, back)] == [
        (False, True),
        (True, True),
        (True, False),
        (False, True),
    ]
    shown = posting.get(f"/posted?before={second.rows[0].place}").text
    (previous,) = re.findall(r'<a href="([^"]+)" rel="prev"', shown)
    assert texts(posting.get(unescape(previous)))[-1] == texts(posting.get("/posted"))[6]
    assert posting.get("/posted?before=3&after=1").status == 400


def test_many_posts_to_send_leave_room_for_the_others(filled: SqliteStore, posting: Client) -> None:
    names = [row.candidate.id for row in filled.rows() if row.candidate.id.startswith("more-")]
    accept(filled, *names)
    post(filled, names[0], OutgoingPostStatus.SENT, external_id="9")
    answer = posting.get("/posted")
    assert len(texts(answer)) == 10 + 1
    assert "5 more posts are to be sent than those listed here" in words(answer)
    assert len(texts(posting.get("/posted?status=pending"))) == len(names) - 1
