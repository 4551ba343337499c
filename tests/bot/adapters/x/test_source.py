from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.adapters.x.source import XFeed, XSource
from bot.domain.errors import CredentialsError, NetworkUnavailableError, RateLimitedError, SettingsError
from bot.domain.source_posts import Kind, SourcePost
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import x_keys
from tests.bot.helpers.sweeping import sweep


def open_source(sandbox: SandboxServer, feed: XFeed = XFeed.TIMELINE, **changes: Any) -> XSource:
    options: dict[str, Any] = {"keys": x_keys(sandbox), "base_url": sandbox.settings.url, "timeout_s": 1}
    return XSource(feed, **options | changes)


@pytest.fixture
def source(sandbox: SandboxServer) -> XSource:
    return open_source(sandbox)


def post(sandbox: SandboxServer, *texts: str, **fields: str) -> list[str]:
    return sandbox.control.add_posts([{"text": text, **fields} for text in texts])


def test_a_source_post_comes_with_all_that_the_bot_needs_of_it(sandbox: SandboxServer, source: XSource) -> None:
    (identifier,) = post(sandbox, "“Moss” & more https://example.org/?a=1&copy=2", author="radio")
    (source_post,) = source.read(None, 100).source_posts
    assert source_post == SourcePost(
        id=identifier,
        text="“Moss” &amp; more https://example.org/?a=1&amp;copy=2",
        author="radio",
        created_at=source_post.created_at,
        kind=Kind.TIMELINE,
        lang="en",
        url=f"https://x.com/radio/status/{identifier}",
    )
    assert abs(datetime.fromisoformat(source_post.created_at).timestamp() - time.time()) < 60


def test_a_long_post_comes_whole(sandbox: SandboxServer, source: XSource) -> None:
    text = "a long story of “Tin Sea” by Tor Brisk " * 20 + "https://example.org/end"
    post(sandbox, text)
    assert source.read(None, 100).source_posts[0].text == text


def test_every_post_since_the_cursor_is_read_once_over_pages(sandbox: SandboxServer, source: XSource) -> None:
    post(sandbox, "an old one")
    _, cursor = sweep(source, None)
    ids = post(sandbox, *(f"post {number}" for number in range(25)))
    source_posts, cursor = sweep(source, cursor, limit=10)
    assert [source_post.id for source_post in source_posts] == ids[::-1]
    assert sweep(source, cursor) == ([], cursor)


def test_a_sweep_that_is_broken_off_goes_on_while_new_posts_arrive(sandbox: SandboxServer, source: XSource) -> None:
    post(sandbox, "an old one")
    _, cursor = sweep(source, None)
    before = post(sandbox, *(f"post {number}" for number in range(25)))
    page = source.read(cursor, 10)
    later = post(sandbox, "one more", "and another")
    # Another source represents the bot after a restart.
    rest, cursor = sweep(open_source(sandbox), page.cursor, limit=10)
    assert [source_post.id for source_post in (*page.source_posts[::-1], *rest)] == before[::-1]
    assert [source_post.id for source_post in sweep(source, cursor)[0]] == later[::-1]


def test_the_first_read_takes_the_newest_page_alone(sandbox: SandboxServer, source: XSource) -> None:
    ids = post(sandbox, *(f"post {number}" for number in range(9)))
    page = source.read(None, 3)
    assert ([source_post.id for source_post in page.source_posts], page.more) == (ids[-3:], False)
    assert source.read(page.cursor, 3).source_posts == ()


def test_an_empty_timeline_is_read_from_the_beginning_until_there_is_something(
    sandbox: SandboxServer, source: XSource
) -> None:
    page = source.read(None, 100)
    assert (page.source_posts, page.more) == ((), False)
    (identifier,) = post(sandbox, "the first")
    assert [source_post.id for source_post in source.read(page.cursor, 100).source_posts] == [identifier]


def test_own_posts_are_left_out_and_paid_for(sandbox: SandboxServer, source: XSource) -> None:
    mine = post(sandbox, "mine", author="sandboxbot")
    post(sandbox, "not mine")
    sandbox.control.add_posts([{"author": "fan", "repost_of": mine[0]}])
    page = source.read(None, 100)
    assert [source_post.text for source_post in page.source_posts] == ["not mine"]
    assert page.billed == 4  # the repost stands for the post that it repeats


def test_a_repost_stands_for_the_whole_post_that_it_repeats(sandbox: SandboxServer, source: XSource) -> None:
    (original,) = post(sandbox, "“Tin Sea” by Tor Brisk, at length: " + "la " * 120, author="radio")
    cursor = source.read(None, 100).cursor
    sandbox.control.add_posts([{"author": "fan", "repost_of": original}])
    (source_post,) = source.read(cursor, 100).source_posts
    assert (source_post.id, source_post.author) == (original, "radio")
    assert source_post.text.endswith("la la ")


def test_a_post_that_names_the_account_is_a_mention_wherever_it_is_read(sandbox: SandboxServer) -> None:
    (asked,) = post(sandbox, "hey @SandboxBot, “Moss” by Ona Vell?")
    post(sandbox, "nobody is asked")
    by_mentions = open_source(sandbox, XFeed.MENTIONS).read(None, 2).source_posts
    assert [(source_post.id, source_post.kind) for source_post in by_mentions] == [(asked, Kind.MENTION)]
    by_timeline = open_source(sandbox).read(None, 100).source_posts
    assert {source_post.id: source_post.kind for source_post in by_timeline}[asked] is Kind.MENTION


def test_a_source_is_named_by_feed_and_account_and_tells_its_place(sandbox: SandboxServer, source: XSource) -> None:
    assert source.name == "x:timeline:1700000000000000001"
    assert open_source(sandbox, XFeed.MENTIONS).name == "x:mentions:1700000000000000001"
    assert source.describe(source.read(None, 5).cursor) == "at the beginning"
    first, *_ = post(sandbox, "a", "b", "c", "d")
    _, cursor = sweep(source, None)
    assert source.describe(cursor).startswith("after ")
    post(sandbox, "e", "f", "g")
    assert "between " in source.describe(source.read(cursor, 2).cursor)
    assert first


def test_who_the_account_is_can_be_asked(source: XSource) -> None:
    assert source.check() == "@sandboxbot"


def test_a_rate_limit_says_when_to_come_back(sandbox: SandboxServer, source: XSource) -> None:
    sandbox.control.fail("x.timeline", status=429, headers={"x-rate-limit-reset": "2000000000"})
    with pytest.raises(RateLimitedError) as caught:
        source.read(None, 100)
    assert caught.value.retry_at == datetime.fromtimestamp(2_000_000_000, UTC)


@pytest.mark.parametrize("headers", [{}, {"x-rate-limit-reset": "soon"}])
def test_a_rate_limit_without_a_time_is_one_all_the_same(
    sandbox: SandboxServer, source: XSource, headers: dict[str, str]
) -> None:
    sandbox.control.fail("x.timeline", status=429, headers=headers)
    with pytest.raises((RateLimitedError, NetworkUnavailableError)) as caught:
        source.read(None, 100)
    assert caught.value.retry_at is None
    assert len(sandbox.control.calls("x.timeline")) == 1, "no call is repeated behind the bot's back"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503, "headers": {"retry-after": "30"}},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 200},
        {"kind": "json", "status": 200, "document": ["what", None]},
        {"kind": "json", "status": 503, "document": ["what", None]},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_a_fault_of_the_network_is_no_end(sandbox: SandboxServer, source: XSource, fault: dict[str, Any]) -> None:
    post(sandbox, "one")
    sandbox.control.fail("x.timeline", **fault)
    with pytest.raises(NetworkUnavailableError, match="X"):
        source.read(None, 100)
    assert len(source.read(None, 100).source_posts) == 1


def test_a_network_that_is_away_is_unavailable(sandbox: SandboxServer) -> None:
    away = open_source(sandbox, base_url="http://127.0.0.1:9")
    with pytest.raises(NetworkUnavailableError, match="did not answer"):
        away.read(None, 100)


def test_a_token_that_was_taken_back_asks_for_a_person(sandbox: SandboxServer, source: XSource) -> None:
    sandbox.control.fail("x.timeline", kind="expired")
    with pytest.raises(CredentialsError, match="check the keys"):
        source.read(None, 100)
    with pytest.raises(CredentialsError):
        source.check()


def test_an_access_token_without_an_id_is_refused_at_once(sandbox: SandboxServer) -> None:
    half_a_token = x_keys(sandbox).access_token.partition("-")[2]
    with pytest.raises(SettingsError, match="begins with the account's id"):
        x_keys(sandbox, access_token=half_a_token)


def test_no_secret_shows(sandbox: SandboxServer) -> None:
    keys = x_keys(sandbox)
    wrong = open_source(sandbox, keys=x_keys(sandbox, consumer_secret="0" * 48))
    with pytest.raises(CredentialsError) as caught:
        wrong.read(None, 100)
    for secret in (keys.consumer_secret, keys.access_token_secret, keys.access_token.partition("-")[2]):
        assert secret not in repr(keys) + str(caught.value)
