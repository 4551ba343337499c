from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.bluesky.publisher import BlueskyPublisher
from bot.adapters.bluesky.source import BlueskyFeed, BlueskySource
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    NetworkError,
    NetworkUnavailableError,
    PostRefusedError,
    RateLimitedError,
)
from bot.domain.outgoing_posts import OutgoingPost, PostMode
from bot.domain.source_posts import Kind, SourcePost
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sweeping import sweep


def open_client(sandbox: SandboxServer, **changes: Any) -> BlueskyClient:
    options: dict[str, Any] = {
        "base_url": sandbox.settings.url,
        "handle": sandbox.settings.bluesky_handle,
        "app_password": sandbox.settings.bluesky_password,
        "timeout_s": 1,
    }
    return BlueskyClient(**options | changes)


def open_source(sandbox: SandboxServer, feed: BlueskyFeed = BlueskyFeed.TIMELINE, **changes: Any) -> BlueskySource:
    return BlueskySource(feed, client=open_client(sandbox, **changes), account="sandboxbot.test")


@pytest.fixture
def source(sandbox: SandboxServer) -> BlueskySource:
    return open_source(sandbox)


@pytest.fixture
def publisher(sandbox: SandboxServer) -> BlueskyPublisher:
    return BlueskyPublisher(client=open_client(sandbox))


def post(sandbox: SandboxServer, *texts: str, **fields: str) -> list[str]:
    return sandbox.control.add_posts([{"text": text, **fields} for text in texts], "bluesky")


def make_post(text: str = "a slow & careful song", **fields: Any) -> OutgoingPost:
    return OutgoingPost(candidate_id="17.1.1", text=text, **fields)


def test_a_post_comes_with_all_that_the_bot_needs_of_it(sandbox: SandboxServer, source: BlueskySource) -> None:
    (uri,) = post(sandbox, "“Moss” & <more>", author="radio")
    (source_post,) = source.read(None, 100).source_posts
    assert source_post == SourcePost(
        id=f"bsky:{uri}",
        text="“Moss” &amp; &lt;more&gt;",
        author="radio.test",
        created_at=source_post.created_at,
        kind=Kind.TIMELINE,
        lang="en",
        url=f"https://bsky.app/profile/radio.test/post/{uri.rpartition('/')[2]}",
    )
    assert source_post.network == "bluesky"


@pytest.mark.slow
def test_every_post_since_the_cursor_is_read_over_pages(sandbox: SandboxServer, source: BlueskySource) -> None:
    (old,) = post(sandbox, "an old one")
    _, cursor = sweep(source, None)
    uris = post(sandbox, *(f"post {number}" for number in range(25)))
    source_posts, cursor = sweep(source, cursor, limit=10)
    # The newest post of the last sweep is read again, because another may have the same time.
    assert [source_post.id for source_post in source_posts] == [f"bsky:{uri}" for uri in (*uris[::-1], old)]
    assert [source_post.id for source_post in sweep(source, cursor)[0]] == [f"bsky:{uris[-1]}"]


def test_a_repost_stands_for_the_post_and_own_posts_are_left_out(sandbox: SandboxServer, source: BlueskySource) -> None:
    (original, _) = post(sandbox, "“Tin Sea” by Tor Brisk", "another", author="radio")
    _, cursor = sweep(source, None)
    sandbox.control.add_posts([{"author": "fan", "repost_of": original}], "bluesky")
    post(sandbox, "mine", author="sandboxbot")
    source_posts, _ = sweep(source, cursor)
    assert (source_posts[0].id, source_posts[0].author) == (f"bsky:{original}", "radio.test")
    assert len(source_posts) == 2


def test_who_names_the_account_asks(sandbox: SandboxServer) -> None:
    (asked,) = post(sandbox, "héy @sandboxbot.test “Moss”?")
    post(sandbox, "nobody is asked")
    mentions, _ = sweep(open_source(sandbox, BlueskyFeed.MENTIONS), None)
    assert [(source_post.id, source_post.kind) for source_post in mentions] == [(f"bsky:{asked}", Kind.MENTION)]
    timeline, _ = sweep(open_source(sandbox), None)
    assert {source_post.id: source_post.kind for source_post in timeline}[f"bsky:{asked}"] is Kind.MENTION


def test_a_source_says_what_it_is(source: BlueskySource) -> None:
    assert source.name == "bluesky:timeline:sandboxbot.test"
    assert source.check() == "@sandboxbot.test"
    assert source.describe(source.read(None, 5).cursor) == "at the beginning"


def test_one_session_serves_many_calls_and_is_begun_again_when_it_is_forgotten(
    sandbox: SandboxServer, source: BlueskySource
) -> None:
    source.read(None, 100)
    source.read(None, 100)
    assert len(sandbox.control.calls("bluesky.login")) == 1
    sandbox.control.fail("bluesky.timeline", kind="expired")
    assert source.read(None, 100).source_posts == ()
    assert len(sandbox.control.calls("bluesky.login")) == 2


FAULTS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 503},
    {"kind": "html", "status": 502},
    {"kind": "html", "status": 200},
    {"kind": "json", "status": 200, "document": ["what"]},
    {"kind": "truncated"},
    {"kind": "hang", "delay_s": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_network_is_no_end(
    sandbox: SandboxServer, source: BlueskySource, fault: Mapping[str, Any]
) -> None:
    post(sandbox, "one")
    source.check()
    sandbox.control.fail("bluesky.timeline", **fault)
    with pytest.raises(NetworkUnavailableError):
        source.read(None, 100)
    assert len(source.read(None, 100).source_posts) == 1


def test_a_rate_limit_says_when_to_come_back(sandbox: SandboxServer, source: BlueskySource) -> None:
    sandbox.control.fail("bluesky.timeline", status=429, headers={"ratelimit-reset": "2000000000"})
    with pytest.raises(RateLimitedError) as caught:
        source.read(None, 100)
    assert caught.value.retry_at == datetime.fromtimestamp(2_000_000_000, UTC)


def test_a_wrong_password_asks_for_a_person_and_does_not_show(sandbox: SandboxServer) -> None:
    wrong = "0" * 48
    with pytest.raises(CredentialsError, match="app password") as caught:
        open_source(sandbox, app_password=wrong).check()
    assert wrong not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_post_goes_out_with_its_links_marked_and_is_found_again(
    sandbox: SandboxServer, publisher: BlueskyPublisher
) -> None:
    text = "slöw & careful: https://example.org/?a=1&b=2"
    uri = publisher.publish(make_post(text))
    (posted,) = sandbox.control.posted("bluesky")
    assert (posted["id"], posted["text"]) == (uri, text)
    assert posted["facets"][0]["features"][0]["uri"] == "https://example.org/?a=1&b=2"
    (own,) = publisher.recent(None)
    assert (own.id, own.text) == (uri, text)


def test_a_reply_goes_to_who_asked(sandbox: SandboxServer, publisher: BlueskyPublisher) -> None:
    (asked,) = post(sandbox, "@sandboxbot.test “Moss”?")
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=f"bsky:{asked}"))
    assert sandbox.control.posted("bluesky")[0]["reply_to"] == asked


def test_own_posts_behind_an_address_are_read_over_pages(sandbox: SandboxServer, publisher: BlueskyPublisher) -> None:
    first, *rest = post(sandbox, *map(str, range(150)), author="sandboxbot")
    assert [own.id for own in publisher.recent(first)] == rest[::-1]
    assert publisher.recent(rest[-1]) == []


def test_own_posts_are_read_back_to_an_address_and_a_time_whichever_is_earlier(
    sandbox: SandboxServer, publisher: BlueskyPublisher
) -> None:
    now = datetime.now(UTC)
    ids = post(sandbox, *map(str, range(230)), author="sandboxbot")
    later, earlier = now + timedelta(hours=1), now - timedelta(hours=1)
    assert [own.id for own in publisher.back_to(ids[10], later)] == ids[:10:-1]
    assert [own.id for own in publisher.back_to(ids[-1], earlier)] == ids[::-1]
    assert [own.id for own in publisher.back_to(None, earlier)] == ids[::-1]
    assert list(publisher.back_to(None, later)) == []


def test_an_own_reply_says_what_it_answers(sandbox: SandboxServer, publisher: BlueskyPublisher) -> None:
    (asked,) = post(sandbox, "@sandboxbot.test “Moss”?")
    publisher.publish(make_post("a slow song"))
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=f"bsky:{asked}"))
    assert [own.in_reply_to for own in publisher.recent(None)] == [f"bsky:{asked}", ""]


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_ends_without_a_clear_answer_is_in_doubt_and_sent_once(
    sandbox: SandboxServer, publisher: BlueskyPublisher, fault: Mapping[str, Any], *, applied: bool
) -> None:
    publisher.check()
    sandbox.control.fail("bluesky.post", applied=applied, **fault)
    with pytest.raises(DoubtfulError):
        publisher.publish(make_post())
    assert len(sandbox.control.calls("bluesky.post")) == 1
    assert len(publisher.recent(None)) == applied


@pytest.mark.parametrize(
    "refused",
    [make_post("x" * 301), make_post(mode=PostMode.REPLY, in_reply_to="bsky:at://did:plc:x/app.bsky.feed.post/2")],
)
def test_what_will_never_be_posted_is_refused(
    sandbox: SandboxServer, publisher: BlueskyPublisher, refused: OutgoingPost
) -> None:
    with pytest.raises(PostRefusedError):
        publisher.publish(refused)
    assert sandbox.control.posted("bluesky") == []


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429}, RateLimitedError),
        ({"status": 403}, CredentialsError),
        ({"kind": "expired"}, NetworkUnavailableError),
    ],
)
def test_what_was_not_applied_may_be_sent_again(
    sandbox: SandboxServer, publisher: BlueskyPublisher, fault: Mapping[str, Any], error: type[NetworkError]
) -> None:
    publisher.check()
    sandbox.control.fail("bluesky.post", **fault)
    with pytest.raises(NetworkError) as caught:
        publisher.publish(make_post())
    assert type(caught.value) is error
    assert publisher.publish(make_post())


def test_a_network_that_is_away_has_taken_nothing(sandbox: SandboxServer) -> None:
    away = BlueskyPublisher(client=open_client(sandbox, base_url="http://127.0.0.1:9"))
    with pytest.raises(NetworkUnavailableError):
        away.publish(make_post())
