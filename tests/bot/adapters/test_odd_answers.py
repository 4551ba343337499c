"""Answers of an odd form: they never end the bot, and one odd item costs itself alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.bluesky.publisher import BlueskyPublisher
from bot.adapters.bluesky.source import BlueskyFeed, BlueskySource
from bot.adapters.lookups.lastfm import LastfmLookup
from bot.adapters.lookups.musicbrainz import MusicbrainzLookup
from bot.adapters.lookups.spotify import SpotifyLookup
from bot.adapters.mastodon.client import MastodonClient
from bot.adapters.mastodon.publisher import MastodonPublisher
from bot.adapters.mastodon.source import MastodonFeed, MastodonSource
from bot.adapters.x.publisher import XPublisher
from bot.adapters.x.source import XFeed, XSource
from bot.domain.errors import NetworkError, OddAnswerError
from bot.domain.songs.song import Song
from bot.ports import ArtistEntry, FeedPage, Source
from bot.sandbox.server import SandboxServer
from tests.bot.helpers.odd_json import HALF, changed, odd_documents
from tests.bot.helpers.sandbox_clients import x_keys
from tests.bot.helpers.sweeping import sweep
from tests.examples import examples

TEXTS = ["“Moss” by Ona @sandboxbot.test @sandboxbot", "“Tin Sea” by Tor @sandboxbot.test @sandboxbot", "c @sandboxbot"]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A source, the operation that its reads call, and where in the answer its items are."""

    source: Source
    operation: str
    items: tuple[str, ...]

    @property
    def network(self) -> str:
        """Name of the network."""
        return self.operation.partition(".")[0]

    def good(self, sandbox: SandboxServer) -> tuple[Any, FeedPage]:
        """The stand-in's own answer, and what the source makes of it."""
        pages: list[FeedPage] = []
        answer = good_answer(sandbox, self.operation, lambda: pages.append(self.source.read(None, 100)))
        return answer, pages[0]


@pytest.fixture(scope="module")
def odd_sandbox() -> Iterator[SandboxServer]:
    """Stand-ins with a few posts on each network, recording what they answer."""
    with SandboxServer(record=True, enforce_limits=False) as server:
        for network in ("x", "bluesky", "mastodon"):
            server.control.add_posts([{"text": text, "author": "radio"} for text in TEXTS], network)
            server.control.add_posts([{"text": "mine", "author": "sandboxbot"}], network)
        yield server


@pytest.fixture(scope="module")
def readers(odd_sandbox: SandboxServer) -> Mapping[str, Reader]:
    url, account = odd_sandbox.settings.url, odd_sandbox.settings
    bluesky, mastodon = bluesky_client(odd_sandbox), mastodon_client(odd_sandbox)
    found: dict[str, Reader] = {}
    for x_feed in XFeed:
        source: Source = XSource(x_feed, keys=x_keys(odd_sandbox), base_url=url)
        found[f"x {x_feed}"] = Reader(source=source, operation=f"x.{x_feed}", items=("data",))
    for feed in BlueskyFeed:
        items = "feed" if feed is BlueskyFeed.TIMELINE else "notifications"
        source = BlueskySource(feed, client=bluesky, account=account.bluesky_handle)
        found[f"bluesky {feed}"] = Reader(source=source, operation=f"bluesky.{feed}", items=(items,))
    for other in MastodonFeed:
        source = MastodonSource(other, client=mastodon, account=url)
        found[f"mastodon {other}"] = Reader(source=source, operation=f"mastodon.{other}", items=())
    return found


def bluesky_client(sandbox: SandboxServer) -> BlueskyClient:
    account = sandbox.settings
    return BlueskyClient(handle=account.bluesky_handle, app_password=account.bluesky_password, base_url=account.url)


def mastodon_client(sandbox: SandboxServer) -> MastodonClient:
    return MastodonClient(base_url=sandbox.settings.url, access_token=sandbox.settings.mastodon_access_token)


NAMES = [f"{network} {feed}" for network in ("x", "bluesky", "mastodon") for feed in ("timeline", "mentions")]


def good_answer(sandbox: SandboxServer, operation: str, call: Callable[[], object]) -> Any:
    """The stand-in's own answer to a call."""
    call()
    answers = [one for one in sandbox.control.exchanges() if one.operation == operation]
    return json.loads(answers[-1].response_body)


def answer_with(sandbox: SandboxServer, operation: str, document: Any) -> None:
    sandbox.control.fail(operation, kind="json", status=200, document=document)


def texts(page: FeedPage) -> set[str]:
    return {post.text for post in page.source_posts}


@settings(examples(40), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_one_odd_post_costs_itself_alone(
    odd_sandbox: SandboxServer, readers: Mapping[str, Reader], data: st.DataObject
) -> None:
    reader = readers[data.draw(st.sampled_from(NAMES))]
    good, first = reader.good(odd_sandbox)
    listed = good[reader.items[0]] if reader.items else good
    place = data.draw(st.integers(0, len(listed) - 1))
    answer_with(odd_sandbox, reader.operation, data.draw(odd_documents(good, below=(*reader.items, place))))
    page = reader.source.read(None, 100)
    assert len(texts(first) - texts(page)) <= 1
    assert reader.source.describe(page.cursor)
    assert all(post.text.encode() and post.id.encode() for post in page.source_posts)


@settings(examples(40), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_page_of_an_odd_form_is_an_error_of_the_network_at_most(
    odd_sandbox: SandboxServer, readers: Mapping[str, Reader], data: st.DataObject
) -> None:
    reader = readers[data.draw(st.sampled_from(NAMES))]
    answer_with(odd_sandbox, reader.operation, data.draw(odd_documents(reader.good(odd_sandbox)[0])))
    try:
        page = reader.source.read(None, 100)
    except NetworkError:
        return
    assert reader.source.describe(page.cursor)


ODD_ITEMS: list[Any] = [None, 5, "x", [], {}, {"id": HALF, "text": HALF, "content": HALF}, {"id": {"a": 1}, "post": []}]


@pytest.mark.parametrize("name", NAMES)
def test_an_odd_item_is_set_aside_with_a_reason_and_the_cursor_goes_on(
    odd_sandbox: SandboxServer, readers: Mapping[str, Reader], name: str
) -> None:
    reader = readers[name]
    good, first = reader.good(odd_sandbox)
    cursor = first.cursor
    for item in ODD_ITEMS:
        answer_with(odd_sandbox, reader.operation, changed(good, (*reader.items, 0), item))
        page = reader.source.read(cursor, 100)
        (odd,) = page.odd_items
        assert odd.reason
        assert odd.key
        cursor = page.cursor
    odd_sandbox.control.add_posts([{"text": f"{name} @sandboxbot.test @sandboxbot", "author": "radio"}], reader.network)
    # The sweep that is under way ends first; the next one reads what came meanwhile.
    found, cursor = sweep(reader.source, cursor)
    found += sweep(reader.source, cursor)[0]
    assert any(post.text.startswith(name) for post in found)


def test_half_a_surrogate_pair_in_a_post_becomes_a_question_mark(
    odd_sandbox: SandboxServer, readers: Mapping[str, Reader]
) -> None:
    for network in ("x", "bluesky", "mastodon"):
        odd_sandbox.control.add_posts([{"text": f"{HALF} “Moss” by Ona", "author": "odd"}], network)
        assert "? lamp “Moss” by Ona" in texts(readers[f"{network} timeline"].source.read(None, 100))


def test_an_own_post_of_an_odd_form_keeps_its_place(odd_sandbox: SandboxServer) -> None:
    publishers = {
        "x.own_tweets": XPublisher(keys=x_keys(odd_sandbox), base_url=odd_sandbox.settings.url),
        "bluesky.own": BlueskyPublisher(client=bluesky_client(odd_sandbox)),
        "mastodon.own": MastodonPublisher(client=mastodon_client(odd_sandbox)),
    }
    for operation, publisher in publishers.items():
        good = good_answer(odd_sandbox, operation, lambda publisher=publisher: publisher.recent(None))  # type: ignore[misc]
        items = {"x.own_tweets": ("data",), "bluesky.own": ("feed",), "mastodon.own": ()}[operation]
        answer_with(odd_sandbox, operation, changed(good, (*items, 0), {"id": "7", "text": 5, "content": None}))
        own = publisher.recent(None)
        assert own[0].is_unread
        assert [post.is_unread for post in publisher.recent(None)] == [False] * len(own)


LOOKUPS: dict[str, Callable[[SandboxServer], Callable[[], object]]] = {
    "lastfm.top_tags": lambda sandbox: _find(
        LastfmLookup(api_key=sandbox.settings.lookups["lastfm"]["api_key"], base_url=sandbox.settings.url)
    ),
    "musicbrainz.search": lambda sandbox: _find(_musicbrainz(sandbox)),
    "musicbrainz.artist": lambda sandbox: _find(_musicbrainz(sandbox)),
    "spotify.search": lambda sandbox: _find_song(_spotify(sandbox)),
    "spotify.artist": lambda sandbox: _find_song(_spotify(sandbox)),
}


def _musicbrainz(sandbox: SandboxServer) -> MusicbrainzLookup:
    return MusicbrainzLookup(contact="bot@example.org", base_url=sandbox.settings.url, interval_s=0)


def _spotify(sandbox: SandboxServer) -> SpotifyLookup:
    section = sandbox.settings.lookups["spotify"]
    return SpotifyLookup(
        client_id=section["client_id"],
        client_secret=section["client_secret"],
        base_url=section["base_url"],
        token_url=section["token_url"],
    )


def _find(lookup: LastfmLookup | MusicbrainzLookup) -> Callable[[], object]:
    return lambda: lookup.find("Pell")


def _find_song(lookup: SpotifyLookup) -> Callable[[], object]:
    return lambda: lookup.find_song(Song(artists=("Ona Vell",), title="Slow Lamp", confidence=1.0))


@pytest.fixture(scope="module")
def lookup_answers(odd_sandbox: SandboxServer) -> Mapping[str, tuple[str, Any, Callable[[], object]]]:
    """For each answer of a lookup: the operation, the good answer, and the call."""
    found: dict[str, tuple[str, Any, Callable[[], object]]] = {}
    for operation, make in LOOKUPS.items():
        call = make(odd_sandbox)
        found[operation] = (operation, good_answer(odd_sandbox, operation, call), call)
    return found


@settings(examples(30), suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_odd_answer_of_a_lookup_is_an_error_of_the_network_at_most(
    odd_sandbox: SandboxServer,
    lookup_answers: Mapping[str, tuple[str, Any, Callable[[], object]]],
    data: st.DataObject,
) -> None:
    operation, good, call = lookup_answers[data.draw(st.sampled_from(sorted(LOOKUPS)))]
    answer_with(odd_sandbox, operation, data.draw(odd_documents(good)))
    try:
        found = call()
    except NetworkError:
        return
    finally:
        while odd_sandbox.control.faults_waiting():  # the first of two calls ended it
            call()
    assert repr(found).encode()


def test_tags_and_hits_of_an_odd_form_are_left_out(
    odd_sandbox: SandboxServer, lookup_answers: Mapping[str, tuple[str, Any, Callable[[], object]]]
) -> None:
    _, good, call = lookup_answers["lastfm.top_tags"]
    tags = [None, "x", {"name": "rye", "count": "many"}, {"name": HALF, "count": "66.5"}, {"name": 5, "count": 90}]
    answer_with(odd_sandbox, "lastfm.top_tags", changed(good, ("toptags",), {"tag": tags, "@attr": ["x"]}))
    entry = call()
    assert isinstance(entry, ArtistEntry)
    assert (entry.name, entry.genres) == ("Pell", ("? lamp",))
    _, good, call = lookup_answers["musicbrainz.search"]
    hit = good["artists"][0]
    odd_hits = [None, {"name": "Pell"}, {"name": "Pell", "id": None}, hit]
    answer_with(odd_sandbox, "musicbrainz.search", changed(good, ("artists",), odd_hits))
    assert isinstance(call(), ArtistEntry)


def test_an_answer_that_cannot_be_read_at_all_is_an_odd_one_of_a_service_that_works(
    odd_sandbox: SandboxServer, lookup_answers: Mapping[str, tuple[str, Any, Callable[[], object]]]
) -> None:
    _, good, call = lookup_answers["lastfm.top_tags"]
    answer_with(odd_sandbox, "lastfm.top_tags", changed(good, ("toptags", "tag"), 5))
    with pytest.raises(OddAnswerError, match="Pell") as caught:
        call()
    assert (caught.value.service, caught.value.item.key) == ("Last.fm", "Pell")
