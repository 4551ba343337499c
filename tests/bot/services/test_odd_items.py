"""One odd item, or one fault of the bot's own, costs itself alone."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from bot.adapters.files.feed import FileFeed
from bot.adapters.gateway_client import GatewayClient
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.store import SqliteStore
from bot.bootstrap import build as bootstrap
from bot.domain.candidates import CandidateStatus, Decision, Verdict
from bot.domain.errors import BotError, OddAnswerError, StoreError, UnexpectedError
from bot.domain.odd_items import OddItem
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import ArtistEntry, FeedPage, GenreLookup, Source
from bot.sandbox.server import SandboxServer
from bot.services.genres import ChainResolver
from bot.services.service import Bot, Summary
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary
from tests.bot.helpers.loopback_gateway import LoopbackGateway
from tests.bot.helpers.networked import bot_settings, with_all_accounts


class FaultyLookup(GenreLookup):
    """A lookup that fails on one artist."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.asked: list[str] = []

    def find(self, artist: str) -> ArtistEntry | None:
        self.asked.append(artist)
        if artist == "Tor Brisk":
            raise self._error
        return ArtistEntry(name=artist, genres=("rye",), origin="site")


class FaultySource(Source):
    """A source with a fault of its own."""

    @property
    def name(self) -> str:
        return "x:timeline:1"

    def read(self, cursor: str | None, limit: int) -> FeedPage:  # noqa: ARG002 -- the port
        raise TypeError("what is this?")


class EndlessSource(FaultySource):
    """A source whose server shows the same page for ever."""

    def read(self, cursor: str | None, limit: int) -> FeedPage:  # noqa: ARG002 -- the port
        return FeedPage(source_posts=(), cursor="here", more=True)


@pytest.fixture
def commentary(gateway: LoopbackGateway) -> GatewayClient:
    return GatewayClient(gateway.target, model="lcgan", timeout_s=5)


def make_bot(
    store: SqliteStore, commentary: GatewayClient, catalog: Path, *sources: Source, lookup: GenreLookup | None = None
) -> Bot:
    lookups = [lookup] if lookup is not None else []
    resolver = ChainResolver(table=FileCatalog(catalog), lookups=lookups)
    return Bot(sources=sources, resolver=resolver, commentary=commentary, store=store)


def test_a_post_that_the_bot_cannot_handle_fails_alone_and_with_the_place_of_the_fault(
    store: SqliteStore, commentary: GatewayClient, catalog_path: Path, feed_path: Path
) -> None:
    lookup = FaultyLookup(KeyError("id"))
    summary = make_bot(store, commentary, catalog_path, FileFeed(feed_path), lookup=lookup).tick()
    assert (summary.source_posts_failed, summary.source_posts_done, summary.source_posts_pending) == (1, 2, 0)
    ((name, reason),) = store.state().failures
    assert name == "103"
    assert reason.startswith("unexpected KeyError at test_odd_items.py:")


def test_a_database_that_cannot_be_used_ends_the_pass_and_fails_no_post(
    store: SqliteStore, commentary: GatewayClient, catalog_path: Path, feed_path: Path
) -> None:
    lookup = FaultyLookup(StoreError("the database is full"))
    with pytest.raises(StoreError):
        make_bot(store, commentary, catalog_path, FileFeed(feed_path), lookup=lookup).tick()
    assert store.state().source_posts[SourcePostStatus.FAILED] == 0


def test_a_source_with_a_fault_does_not_stop_the_others(
    store: SqliteStore, commentary: GatewayClient, catalog_path: Path, feed_path: Path
) -> None:
    bot = make_bot(store, commentary, catalog_path, FaultySource(), EndlessSource(), FileFeed(feed_path))
    summary = bot.tick()
    assert summary.source_posts_done == 3
    (problem,) = summary.problems
    assert problem.startswith("x:timeline:1: unexpected TypeError at test_odd_items.py:")


def test_a_fault_of_a_pass_is_reported_and_the_next_pass_runs(
    store: SqliteStore, commentary: GatewayClient, catalog_path: Path
) -> None:
    bot = make_bot(store, commentary, catalog_path)
    stop, results = threading.Event(), list[Summary | BotError]()

    def report(result: Summary | BotError) -> None:
        results.append(result)
        if len(results) == 2:
            stop.set()

    store.close()  # from now on every call fails with an error of sqlite3's own
    bot.run(interval_s=0.01, stop=stop, report=report)
    assert all(isinstance(result, UnexpectedError | StoreError) for result in results)


def test_an_odd_answer_is_kept_and_its_lookup_goes_on(database: Path, catalog_path: Path) -> None:
    error = OddAnswerError("odd", service="Site", item=OddItem(key="Tor Brisk", reason="TypeError", excerpt="5"))
    lookup = FaultyLookup(error)
    with SqliteMemory(database) as memory:
        resolver = ChainResolver(table=FileCatalog(catalog_path), lookups=[lookup], cache=memory, odd=memory)
        assert resolver._find("Tor Brisk") == ArtistEntry(name="Tor Brisk", genres=("techno",))
        assert resolver._find("Nobody Known") == ArtistEntry(name="Nobody Known", genres=("rye",), origin="site")
    assert lookup.asked == ["Tor Brisk", "Nobody Known"]
    with SqliteStore(database) as store:
        assert store.state().odd_items == {"Site": 1}


def test_a_bot_on_every_network_survives_what_each_may_send(sandbox: SandboxServer, tmp_path: Path) -> None:
    half = "\ud83d"
    for network in ("x", "bluesky", "mastodon"):
        posts = [{"text": f"{half} “Moss {network}” by Ona Vell", "author": "radio"}]
        sandbox.control.add_posts(posts, network)
    sandbox.control.fail("lastfm.*", kind="json", status=200, document={"toptags": {"tag": [half, {"name": 5}]}})
    sandbox.control.fail("musicbrainz.search", kind="json", status=200, document={"artists": [None, {"name": half}]})
    odd_track = {"name": f"Moss {half}", "artists": [{"name": half}, None], "external_urls": 5}
    sandbox.control.fail("spotify.search", kind="json", status=200, document={"tracks": {"items": [odd_track, None]}})
    settings = with_all_accounts(bot_settings(tmp_path, sandbox.settings), sandbox.settings)
    for _ in range(2):
        with bootstrap.build(settings, commentary=CountedCommentary(Countdown(0))) as bot:
            summary = bot.tick()
        assert (summary.problems, summary.source_posts_failed, summary.source_posts_pending) == ([], 0, 0)
    with SqliteStore(settings.database) as store:
        titles = {row.candidate.report.song.title for row in store.rows()}
        assert titles == {"Moss x", "Moss bluesky", "Moss mastodon"}
        (first, *_) = store.rows()
        store.decide([Verdict(candidate_id=first.candidate.id, decision=Decision.ACCEPT, who=half, edited_text=half)])
        (accepted,) = store.rows(status=CandidateStatus.ACCEPTED)
    assert accepted.verdict == Verdict(
        candidate_id=first.candidate.id, decision=Decision.ACCEPT, who="?", edited_text="?"
    )


def test_an_edited_mention_gets_one_set_of_candidates(sandbox: SandboxServer, tmp_path: Path) -> None:
    settings = bot_settings(tmp_path, sandbox.settings)
    mention = {"start": 0, "end": 11, "username": "sandboxbot", "id": sandbox.settings.x.user_id}
    for identifier, title, history in (("21", "Slow Lmap", ["21"]), ("25", "Slow Lamp", ["21", "25"])):
        post = {
            "id": identifier,
            "text": f"@sandboxbot “{title}” by Ona Vell",
            "author_id": "7",
            "edit_history_tweet_ids": history,
            "entities": {"mentions": [mention]},
        }
        page = {"data": [post], "meta": {"newest_id": identifier, "oldest_id": identifier, "result_count": 1}}
        sandbox.control.fail("x.mentions", kind="json", status=200, document=page)
        with bootstrap.build(settings, commentary=CountedCommentary(Countdown(0))) as bot:
            bot.tick()
    with SqliteStore(settings.database) as store:
        assert {(row.source_post.id, row.candidate.report.song.title) for row in store.rows()} == {("21", "Slow Lmap")}


def test_an_edited_post_that_waits_is_answered_as_it_is_now(store: SqliteStore) -> None:
    for text in ("“Slow Lmap” by Ona Vell", "“Slow Lamp” by Ona Vell"):
        post = SourcePost(id="21", text=text, kind=Kind.MENTION)
        store.add_page("x:mentions:1", FeedPage(source_posts=(post,), cursor="c", more=False))
    (pending,) = store.pending(5)
    assert pending.source_post.text == "“Slow Lamp” by Ona Vell"
