from __future__ import annotations

import time
from typing import Any

import pytest
import requests
import tweepy

from bot.sandbox.server import SandboxServer
from bot.sandbox.x_posts import weight
from tests.bot.helpers.sandbox_clients import SwappedSession, open_x


@pytest.fixture
def client(sandbox: SandboxServer) -> tweepy.Client:
    return open_x(sandbox)


def test_tweepy_learns_who_it_is(client: tweepy.Client) -> None:
    assert client.get_me(user_auth=True).data.username == "sandboxbot"


@pytest.mark.parametrize("wrong", ["consumer_secret", "access_token_secret"])
def test_a_signature_made_with_a_wrong_secret_is_refused(sandbox: SandboxServer, wrong: str) -> None:
    with pytest.raises(tweepy.Unauthorized):
        open_x(sandbox, **{wrong: "0" * 48}).get_me(user_auth=True)


def test_a_request_that_is_sent_a_second_time_is_refused(sandbox: SandboxServer, client: tweepy.Client) -> None:
    class Twice(SwappedSession):
        def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
            super().send(request, **kwargs)
            return super().send(request, **kwargs)

    client.session = Twice(sandbox.settings.url)
    with pytest.raises(tweepy.Unauthorized):
        client.get_me(user_auth=True)


def test_pages_of_the_timeline_hold_every_post_once_the_newest_first(
    sandbox: SandboxServer, client: tweepy.Client
) -> None:
    ids = sandbox.control.add_posts([{"text": f"post {number}"} for number in range(25)])
    pages = tweepy.Paginator(client.get_home_timeline, max_results=10)
    assert [str(tweet.id) for page in pages for tweet in page.data] == ids[::-1]
    later = client.get_home_timeline(since_id=ids[20], max_results=100)
    assert [str(tweet.id) for tweet in later.data] == ids[:20:-1]
    assert client.get_home_timeline(since_id=ids[-1]).data is None


def test_a_post_shows_only_the_fields_that_were_asked_for(sandbox: SandboxServer, client: tweepy.Client) -> None:
    long = "“Tin Sea” & more " * 30 + "https://example.org/a?b=1&c=2"
    (_, original) = sandbox.control.add_posts([{"text": "other"}, {"text": long, "author": "radio"}])
    sandbox.control.add_posts([{"author": "fan", "repost_of": original}])
    (bare, *_) = client.get_home_timeline().data
    assert set(bare.data) == {"id", "text", "edit_history_tweet_ids"}
    page = client.get_home_timeline(
        tweet_fields=["created_at", "entities", "note_tweet", "referenced_tweets", "author_id", "lang"],
        expansions=["author_id", "referenced_tweets.id"],
        user_fields=["username"],
    )
    repost, tweet, _ = page.data
    assert "&amp;" in tweet.text
    assert len(tweet.data["note_tweet"]["text"]) > 280
    assert tweet.data["note_tweet"]["entities"]["urls"][0]["expanded_url"] == "https://example.org/a?b=1&c=2"
    assert repost.referenced_tweets[0].type == "retweeted"
    assert [str(included.id) for included in page.includes["tweets"]] == [original]
    assert {user.username for user in page.includes["users"]} == {"fan", "radio", "somebody"}


def test_mentions_are_the_posts_of_others_that_name_the_account(sandbox: SandboxServer, client: tweepy.Client) -> None:
    _, asked = sandbox.control.add_posts([{"text": "@sandboxbots no"}, {"text": "hey @SandboxBot what of “Moss”?"}])
    client.create_tweet(text="I am @sandboxbot")
    mentions = client.get_users_mentions(sandbox.settings.x.user_id, user_auth=True).data
    assert [str(tweet.id) for tweet in mentions] == [asked]


def test_a_post_appears_in_the_own_timeline(sandbox: SandboxServer, client: tweepy.Client) -> None:
    sandbox.control.add_posts([{"text": "somebody else's"}])
    created = client.create_tweet(text="mine & mine alone").data
    own = client.get_users_tweets(sandbox.settings.x.user_id, user_auth=True).data
    assert [(str(tweet.id), tweet.text) for tweet in own] == [(created["id"], "mine &amp; mine alone")]
    assert sandbox.control.posted()[0]["text"] == "mine & mine alone"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"text": "said before"}, "duplicate content"),
        ({"text": "x" * 281}, "too long"),
        ({"text": "音" * 141}, "too long"),
        ({"text": "see", "quote_tweet_id": "1"}, "Quoting"),
        ({"text": "unasked", "in_reply_to_tweet_id": "17"}, "not been mentioned"),
        ({"text": "to nobody", "in_reply_to_tweet_id": "18"}, "deleted"),
    ],
)
def test_what_x_refuses_is_refused(
    sandbox: SandboxServer, client: tweepy.Client, fields: dict[str, str], reason: str
) -> None:
    sandbox.control.add_posts([{"text": "a stranger's post", "id": "17"}])
    client.create_tweet(text="said before")
    with pytest.raises(tweepy.Forbidden, match=reason):
        client.create_tweet(**fields)
    assert len(sandbox.control.posted()) == 1


def test_one_who_mentioned_the_account_may_be_replied_to(sandbox: SandboxServer, client: tweepy.Client) -> None:
    (asked,) = sandbox.control.add_posts([{"text": "@sandboxbot well?"}])
    client.create_tweet(text="well.", in_reply_to_tweet_id=asked)
    assert sandbox.control.posted()[0]["reply_to"] == asked


def test_a_length_beyond_what_is_described_is_refused(client: tweepy.Client) -> None:
    with pytest.raises(tweepy.BadRequest, match="max_results"):
        client.get_home_timeline(max_results=101)


@pytest.mark.slow
def test_calls_beyond_the_limit_are_refused_and_say_when_there_will_be_more() -> None:
    with SandboxServer() as sandbox:
        client = open_x(sandbox)
        for _ in range(75):
            client.get_me(user_auth=True)
        with pytest.raises(tweepy.TooManyRequests) as caught:
            client.get_me(user_auth=True)
        assert 800 < caught.value.reset_time - time.time() < 902


def test_weights_are_those_of_x() -> None:
    assert weight("a" * 280) == 280
    assert weight("音" * 140) == 280
    assert weight("https://example.org/" + "a" * 200) == 23
