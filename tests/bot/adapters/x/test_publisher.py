from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.adapters.x.publisher import XPublisher
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    NetworkError,
    NetworkUnavailableError,
    PostRefusedError,
    RateLimitedError,
)
from bot.domain.outgoing_posts import OutgoingPost, PostMode
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.sandbox_clients import x_keys


def open_publisher(sandbox: SandboxServer, modes: Collection[PostMode] = (), **changes: Any) -> XPublisher:
    options: dict[str, Any] = {"keys": x_keys(sandbox), "base_url": sandbox.settings.url, "timeout_s": 1}
    return XPublisher(capabilities=modes, **options | changes)


@pytest.fixture
def publisher(sandbox: SandboxServer) -> XPublisher:
    return open_publisher(sandbox, [PostMode.REPLY, PostMode.QUOTE])


def make_post(text: str = "a slow & careful song", **fields: Any) -> OutgoingPost:
    return OutgoingPost(candidate_id="17.1.1", text=text, **fields)


def test_a_post_goes_out_and_is_found_again(sandbox: SandboxServer, publisher: XPublisher) -> None:
    text = "slow & careful: https://example.org/?a=1&b=2 <3"
    identifier = publisher.publish(make_post(text))
    assert [(one["id"], one["text"]) for one in sandbox.control.posted()] == [(identifier, text)]
    (own,) = publisher.recent(None)
    assert (own.id, own.text) == (identifier, text)


def test_a_reply_goes_to_who_asked_and_is_found_without_the_name_before_it(
    sandbox: SandboxServer, publisher: XPublisher
) -> None:
    (asked,) = sandbox.control.add_posts([{"text": "@sandboxbot “Moss”?", "author": "curious"}])
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=asked))
    assert sandbox.control.posted()[0]["reply_to"] == asked
    assert publisher.recent(None)[0].text == "a slow & careful song"


def test_own_posts_behind_an_id_are_read_over_pages(sandbox: SandboxServer, publisher: XPublisher) -> None:
    first, *rest = sandbox.control.add_posts([{"text": f"{n}", "author": "sandboxbot"} for n in range(150)])
    assert [own.id for own in publisher.recent(first)] == rest[::-1]
    assert len(publisher.recent(None)) == 100


def test_own_posts_are_read_back_to_an_id_and_a_time_whichever_is_earlier(
    sandbox: SandboxServer, publisher: XPublisher
) -> None:
    now = datetime.now(UTC)
    ids = sandbox.control.add_posts([{"text": f"{n}", "author": "sandboxbot"} for n in range(230)])
    later, earlier = now + timedelta(hours=1), now - timedelta(hours=1)
    assert [own.id for own in publisher.back_to(ids[10], later)] == ids[:10:-1]
    assert [own.id for own in publisher.back_to(ids[-1], earlier)] == ids[::-1]
    assert [own.id for own in publisher.back_to(None, earlier)] == ids[::-1]
    assert list(publisher.back_to(None, later)) == []


def test_an_own_reply_says_what_it_answers(sandbox: SandboxServer, publisher: XPublisher) -> None:
    (asked,) = sandbox.control.add_posts([{"text": "@sandboxbot “Moss”?", "author": "curious"}])
    publisher.publish(make_post("a slow song"))
    publisher.publish(make_post(mode=PostMode.REPLY, in_reply_to=asked))
    assert [own.in_reply_to for own in publisher.recent(None)] == [asked, ""]


def test_what_the_account_may_do_is_what_the_settings_say(sandbox: SandboxServer) -> None:
    assert open_publisher(sandbox).capabilities == {PostMode.STANDALONE}
    assert open_publisher(sandbox, [PostMode.REPLY]).capabilities == {PostMode.STANDALONE, PostMode.REPLY}


@pytest.mark.parametrize(
    ("post", "reason"),
    [
        (make_post("x" * 281), "too long"),
        (make_post(mode=PostMode.REPLY, in_reply_to="17"), "not been mentioned"),
        (make_post(" "), "needs text"),
    ],
)
def test_what_x_will_never_post_is_refused(
    sandbox: SandboxServer, publisher: XPublisher, post: OutgoingPost, reason: str
) -> None:
    sandbox.control.add_posts([{"text": "a stranger's", "id": "17"}])
    with pytest.raises(PostRefusedError, match=reason):
        publisher.publish(post)
    assert sandbox.control.posted() == []


def test_a_quote_that_the_account_may_not_make_waits_for_a_person(
    sandbox: SandboxServer, publisher: XPublisher
) -> None:
    sandbox.control.add_posts([{"text": "a stranger's", "id": "17"}])
    with pytest.raises(CredentialsError, match="Quoting"):
        publisher.publish(make_post(mode=PostMode.QUOTE, in_reply_to="17"))


def test_a_text_of_long_ago_is_refused_as_a_duplicate(sandbox: SandboxServer, publisher: XPublisher) -> None:
    publisher.publish(make_post())
    later = publisher.publish(make_post("another"))
    with pytest.raises(PostRefusedError, match="duplicate"):
        publisher.publish(make_post(after_id=later))
    assert len(sandbox.control.posted()) == 2


def test_a_duplicate_of_the_attempt_before_is_that_post(sandbox: SandboxServer, publisher: XPublisher) -> None:
    before = publisher.publish(make_post("the one before"))
    sandbox.control.fail("x.create_tweet", status=503, applied=True)
    with pytest.raises(DoubtfulError):
        publisher.publish(make_post(after_id=before))
    assert publisher.publish(make_post(after_id=before)) == sandbox.control.posted()[1]["id"]


@pytest.mark.slow
@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 503},
        {"kind": "html", "status": 502},
        {"kind": "html", "status": 201},
        {"kind": "json", "status": 201, "document": ["what", None]},
        {"kind": "truncated"},
        {"kind": "hang", "delay_s": 2},
    ],
)
def test_whatever_ends_without_a_clear_answer_is_in_doubt_and_sent_once(
    sandbox: SandboxServer, publisher: XPublisher, fault: dict[str, Any], *, applied: bool
) -> None:
    sandbox.control.fail("x.create_tweet", applied=applied, **fault)
    with pytest.raises(DoubtfulError):
        publisher.publish(make_post())
    assert len(sandbox.control.calls("x.create_tweet")) == 1
    assert len(publisher.recent(None)) == applied


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"x-rate-limit-reset": "2000000000"}}, RateLimitedError),
        ({"status": 401}, CredentialsError),
        ({"kind": "html", "status": 403}, NetworkUnavailableError),
        ({"kind": "html", "status": 400}, NetworkUnavailableError),
    ],
)
def test_what_was_not_applied_may_be_sent_again(
    sandbox: SandboxServer, publisher: XPublisher, fault: dict[str, Any], error: type[NetworkError]
) -> None:
    sandbox.control.fail("x.create_tweet", **fault)
    with pytest.raises(NetworkError) as caught:
        publisher.publish(make_post())
    assert type(caught.value) is error
    assert publisher.publish(make_post())


def test_the_limit_of_the_day_outlasts_that_of_the_window(sandbox: SandboxServer, publisher: XPublisher) -> None:
    day = {"x-user-limit-24hour-remaining": "0", "x-user-limit-24hour-reset": "2000050000"}
    sandbox.control.fail("x.create_tweet", status=429, headers={"x-rate-limit-reset": "2000000000", **day})
    with pytest.raises(RateLimitedError) as caught:
        publisher.publish(make_post())
    assert caught.value.retry_at == datetime.fromtimestamp(2_000_050_000, UTC)


def test_a_network_that_is_away_has_taken_nothing(sandbox: SandboxServer) -> None:
    with pytest.raises(NetworkUnavailableError, match="could not be reached"):
        open_publisher(sandbox, base_url="http://127.0.0.1:9").publish(make_post())


def test_an_app_that_may_not_write_asks_for_a_person(sandbox: SandboxServer, publisher: XPublisher) -> None:
    problem = {
        "title": "Forbidden",
        "type": "https://api.twitter.com/2/problems/oauth1-permissions",
        "status": 403,
        "detail": "Your client app is not configured with the appropriate oauth1 app permissions for this endpoint.",
    }
    sandbox.control.fail("x.create_tweet", kind="json", status=403, document=problem)
    with pytest.raises(CredentialsError, match="may write"):
        publisher.publish(make_post())
