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
from bot.domain.errors import BotError, OddAnswerError, StoreError, UnexpectedError
from bot.domain.odd_items import OddItem
from bot.domain.source_posts import SourcePostStatus
from bot.ports import ArtistEntry, FeedPage, GenreLookup, Source
from bot.services.genres import ChainResolver
from bot.services.service import Bot, Summary
from tests.bot.helpers.loopback_gateway import LoopbackGateway


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
