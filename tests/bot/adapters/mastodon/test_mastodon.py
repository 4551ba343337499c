from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.adapters.mastodon.client import MastodonClient
from bot.adapters.mastodon.publisher import MastodonPublisher
from bot.adapters.mastodon.source import MastodonFeed, MastodonSource
from bot.adapters.mastodon.text import plain_text
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


def open_client(sandbox: SandboxServer, **changes: Any) -> MastodonClient:
    options: dict[str, Any] = {
        "base_url": sandbox.settings.url,
        "access_token": sandbox.settings.mastodon_access_token,
        "timeout_s": 1,
    }
    return MastodonClient(**options | changes)


def open_source(sandbox: SandboxServer, feed: MastodonFeed = MastodonFeed.TIMELINE, **changes: Any) -> MastodonSource:
    return MastodonSource(feed, client=open_client(sandbox, **changes), account="example.org")


@pytest.fixture
def source(sandbox: SandboxServer) -> MastodonSource:
    return open_source(sandbox)


@pytest.fixture
def publisher(sandbox: SandboxServer) -> MastodonPublisher:
    return MastodonPublisher(client=open_client(sandbox))


def post(sandbox: SandboxServer, *texts: str, **fields: str) -> list[str]:
    return sandbox.control.add_posts([{"text": text, **fields} for text in texts], "mastodon")


def make_post(text: str = "a slow & careful song", **fields: Any) -> OutgoingPost:
    return OutgoingPost(candidate_id="masto:17.1.1", text=text, **fields)


def test_a_post_comes_as_text(sandbox: SandboxServer, source: MastodonSource) -> None:
    text = "“Moss” & <more>\nby @onavell: https://example.org/a/rather/long/address?a=1&b=2\n\nthe end"
    (identifier,) = post(sandbox, text, author="radio")
    (source_post,) = source.read(None, 40).source_posts
    assert source_post == SourcePost(
        id=f"masto:{identifier}",
        text=text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        author="radio",
        created_at=source_post.created_at,
        kind=Kind.TIMELINE,
        lang="en",
        url=f"{sandbox.settings.url}/@radio/{identifier}",
    )
    assert source_post.network == "mastodon"


def test_every_post_since_the_cursor_is_read_once_over_pages(sandbox: SandboxServer, source: MastodonSource) -> None:
    post(sandbox, "an old one")
    _, cursor = sweep(source, None, 40)
    ids = post(sandbox, *(f"post {number}" for number in range(25)))
    source_posts, cursor = sweep(source, cursor, limit=10)
    assert [source_post.id for source_post in source_posts] == [f"masto:{identifier}" for identifier in ids[::-1]]
    assert sweep(source, cursor, 40) == ([], cursor)


def test_a_boost_stands_for_the_post_and_own_posts_are_left_out(sandbox: SandboxServer, source: MastodonSource) -> None:
    (original,) = post(sandbox, "“Tin Sea” by Tor Brisk", author="radio")
    _, cursor = sweep(source, None, 40)
    sandbox.control.add_posts([{"author": "fan", "repost_of": original}], "mastodon")
    post(sandbox, "mine", author="sandboxbot")
    (source_post,), _ = sweep(source, cursor, 40)
    assert (source_post.id, source_post.author, source_post.text) == (
        f"masto:{original}",
        "radio",
        "“Tin Sea” by Tor Brisk",
    )


def test_who_names_the_user_asks(sandbox: SandboxServer) -> None:
    (asked,) = post(sandbox, "@sandboxbot “Moss”?")
    post(sandbox, "nobody is asked")
    mentions, _ = sweep(open_source(sandbox, MastodonFeed.MENTIONS), None, 40)
    assert [(source_post.id, source_post.kind, source_post.text) for source_post in mentions] == [
        (f"masto:{asked}", Kind.MENTION, "@sandboxbot “Moss”?")
    ]
    timeline, _ = sweep(open_source(sandbox), None, 40)
    assert {source_post.id: source_post.kind for source_post in timeline}[f"masto:{asked}"] is Kind.MENTION


def test_a_source_says_what_it_is(source: MastodonSource) -> None:
    assert source.name == "mastodon:timeline:example.org"
    assert source.check() == "@sandboxbot"
    assert source.describe(source.read(None, 5).cursor) == "at the beginning"


FAULTS: list[dict[str, Any]] = [
    {"status": 500},
    {"status": 503},
    {"kind": "html", "status": 502},
    {"kind": "html", "status": 200},
    {"kind": "json", "status": 200, "document": {"what": None}},
    {"kind": "truncated"},
    {"kind": "hang", "delay_s": 2},
]


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_network_is_no_end(
    sandbox: SandboxServer, source: MastodonSource, fault: Mapping[str, Any]
) -> None:
    post(sandbox, "one")
    sandbox.control.fail("mastodon.timeline", **fault)
    with pytest.raises(NetworkUnavailableError):
        source.read(None, 40)
    assert len(source.read(None, 40).source_posts) == 1
    assert len(sandbox.control.calls("mastodon.timeline")) == 2


def test_a_rate_limit_says_when_to_come_back(sandbox: SandboxServer, source: MastodonSource) -> None:
    headers = {"X-RateLimit-Reset": "2033-05-18T03:33:20.000Z", "X-RateLimit-Remaining": "0"}
    sandbox.control.fail("mastodon.timeline", status=429, headers=headers)
    with pytest.raises(RateLimitedError) as caught:
        source.read(None, 40)
    assert caught.value.retry_at == datetime.fromtimestamp(2_000_000_000, UTC)


def test_a_wrong_token_asks_for_a_person_and_does_not_show(sandbox: SandboxServer) -> None:
    wrong = "0" * 48
    with pytest.raises(CredentialsError, match="access token") as caught:
        open_source(sandbox, access_token=wrong).check()
    assert wrong not in str(caught.value)


def test_a_post_goes_out_and_is_found_again(sandbox: SandboxServer, publisher: MastodonPublisher) -> None:
    text = "slow & <careful>\n\nhttps://example.org/?a=1&b=2"
    identifier = publisher.publish(make_post(text))
    assert [(one["id"], one["text"]) for one in sandbox.control.posted("mastodon")] == [(identifier, text)]
    (own,) = publisher.recent(None)
    assert (own.id, own.text) == (identifier, text)


def test_a_reply_goes_to_who_asked(sandbox: SandboxServer, publisher: MastodonPublisher) -> None:
    (asked,) = post(sandbox, "@sandboxbot “Moss”?")
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=f"masto:{asked}"))
    assert sandbox.control.posted("mastodon")[0]["reply_to"] == asked


def test_own_posts_behind_an_id_are_read_over_pages(sandbox: SandboxServer, publisher: MastodonPublisher) -> None:
    first, *rest = post(sandbox, *map(str, range(90)), author="sandboxbot")
    assert [own.id for own in publisher.recent(first)] == rest[::-1]


def test_own_posts_are_read_back_to_an_id_and_a_time_whichever_is_earlier(
    sandbox: SandboxServer, publisher: MastodonPublisher
) -> None:
    now = datetime.now(UTC)
    ids = post(sandbox, *map(str, range(90)), author="sandboxbot")
    later, earlier = now + timedelta(hours=1), now - timedelta(hours=1)
    assert [own.id for own in publisher.back_to(ids[10], later)] == ids[:10:-1]
    assert [own.id for own in publisher.back_to(ids[-1], earlier)] == ids[::-1]
    assert [own.id for own in publisher.back_to(None, earlier)] == ids[::-1]
    assert list(publisher.back_to(None, later)) == []


def test_an_own_reply_says_what_it_answers(sandbox: SandboxServer, publisher: MastodonPublisher) -> None:
    (asked,) = post(sandbox, "@sandboxbot “Moss”?")
    publisher.publish(make_post("a slow song"))
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=f"masto:{asked}"))
    assert [own.in_reply_to for own in publisher.recent(None)] == [f"masto:{asked}", ""]


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_what_ends_without_a_clear_answer_is_in_doubt_and_out_once_when_it_is_sent_again(
    sandbox: SandboxServer, publisher: MastodonPublisher, fault: Mapping[str, Any], *, applied: bool
) -> None:
    sandbox.control.fail("mastodon.post", applied=applied, **fault)
    with pytest.raises(DoubtfulError):
        publisher.publish(make_post())
    assert len(sandbox.control.posted("mastodon")) == applied
    publisher.publish(make_post())
    assert len(sandbox.control.posted("mastodon")) == 1


@pytest.mark.parametrize(
    "refused",
    [make_post("x" * 501), make_post(" "), make_post(mode=PostMode.REPLY, in_reply_to="masto:17")],
)
def test_what_will_never_be_posted_is_refused(
    sandbox: SandboxServer, publisher: MastodonPublisher, refused: OutgoingPost
) -> None:
    with pytest.raises(PostRefusedError):
        publisher.publish(refused)
    assert sandbox.control.posted("mastodon") == []


@pytest.mark.parametrize(("fault", "error"), [({"status": 429}, RateLimitedError), ({"status": 401}, CredentialsError)])
def test_what_was_not_applied_may_be_sent_again(
    sandbox: SandboxServer, publisher: MastodonPublisher, fault: Mapping[str, Any], error: type[NetworkError]
) -> None:
    sandbox.control.fail("mastodon.post", **fault)
    with pytest.raises(NetworkError) as caught:
        publisher.publish(make_post())
    assert type(caught.value) is error


def test_a_network_that_is_away_has_taken_nothing(sandbox: SandboxServer) -> None:
    away = MastodonPublisher(client=open_client(sandbox, base_url="http://127.0.0.1:9"))
    with pytest.raises(NetworkUnavailableError):
        away.publish(make_post())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (
            '<p>Hear <a href="https://e.x/1">e.x</p><p>“Moss” by Ona Vell</p>',
            "Hear https://e.x/1\n\n“Moss” by Ona Vell",
        ),
        ('<a href="https://e.x/1">one<a href="https://e.x/2">two</a> Moss', "https://e.x/1https://e.x/2 Moss"),
        ('“Moss” <a href="https://e.x/1">e.x', "“Moss” https://e.x/1"),
        ('<p><a href="https://e.x/1" class="mention">@ona <p>“Moss”', "@ona \n\n“Moss”"),
        ("“Moss” </a> by Ona", "“Moss”  by Ona"),
    ],
)
def test_a_link_that_is_never_closed_swallows_no_more_than_its_paragraph(content: str, text: str) -> None:
    assert plain_text(content) == text


@pytest.mark.parametrize("content", ["", "<p>", "a < b", "<script>x</script>", "&amp;lt;", "<p>" * 2000, "<a>b</a>"])
def test_no_html_breaks_the_text(content: str) -> None:
    assert "<p" not in plain_text(content)
