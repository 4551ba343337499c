"""A song that was named recently is skipped, unless a mention asks for it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.adapters.gateway_client import GatewayClient
from bot.adapters.lookups.catalog import FileCatalog
from bot.adapters.sqlite.memory import SqliteMemory
from bot.adapters.sqlite.store import SqliteStore
from bot.domain.songs.song import Song
from bot.domain.source_posts import Kind, SourcePost, SourcePostStatus
from bot.ports import FeedPage, Source
from bot.services.genres import ChainResolver
from bot.services.schedule import Clock
from bot.services.service import Bot, ServiceOptions
from bot.services.summary import Summary


class Listed(Source):
    """Source of the posts that a test lists."""

    def __init__(self, *source_posts: SourcePost) -> None:
        self.source_posts = source_posts

    @property
    def name(self) -> str:
        return "listed"

    def read(self, cursor: str | None, limit: int) -> FeedPage:
        begin = int(cursor or 0)
        page = self.source_posts[begin : begin + limit]
        return FeedPage(source_posts=page, cursor=str(begin + len(page)), more=False)


class LaterClock(Clock):
    """The time of day, so many days ahead."""

    def __init__(self, days: float) -> None:
        self.ahead = timedelta(days=days)

    def now(self) -> Any:
        return super().now() + self.ahead


def source_post(number: int, text: str = "“Slow Lamp” by Ona Vell", kind: Kind = Kind.TIMELINE) -> SourcePost:
    return SourcePost(id=str(number), text=text, kind=kind)


@pytest.fixture
def run(gateway: Any, store: SqliteStore, database: Path, catalog_path: Path) -> Any:
    def once(*source_posts: SourcePost, days_later: float = 0, concurrency: int = 1) -> Summary:
        source = Listed(*source_posts)
        store.add_page(source.name, FeedPage(source_posts=(), cursor="0", more=False))
        commentary = GatewayClient(gateway.target, model="lcgan", timeout_s=5)
        with SqliteMemory(database) as memory:
            summary = Bot(
                sources=(source,),
                resolver=ChainResolver(table=FileCatalog(catalog_path)),
                commentary=commentary,
                store=store,
                history=memory,
                options=ServiceOptions(num_samples=2, song_age=timedelta(days=7), concurrency=concurrency),
                clock=LaterClock(days_later),
            ).tick()
        commentary.close()
        return summary

    return once


def test_a_song_that_came_lately_costs_no_request(run: Any, gateway: Any, store: SqliteStore) -> None:
    run(source_post(1))
    summary = run(source_post(2, "Now playing: ONA VELL - Slow Lamp"))
    assert (summary.songs_repeated, summary.candidates, summary.source_posts_done) == (1, 0, 1)
    assert len(gateway.requests) == 1
    assert [row.source_post.id for row in store.rows()] == ["1", "1"]


def test_after_a_while_it_is_written_about_again(run: Any, gateway: Any) -> None:
    run(source_post(1))
    assert run(source_post(2), days_later=8).candidates == 2
    assert len(gateway.requests) == 2


def test_who_mentions_the_bot_gets_an_answer(run: Any) -> None:
    run(source_post(1))
    assert run(source_post(2, kind=Kind.MENTION)).candidates == 2


def test_another_recording_of_a_song_is_another_song(run: Any) -> None:
    run(source_post(1))
    assert run(source_post(2, "Now playing: Ona Vell - Slow Lamp (Tor Brisk Remix)")).candidates == 2


def test_of_two_source_posts_at_the_same_moment_one_brings_the_song(run: Any, gateway: Any, store: SqliteStore) -> None:
    gateway.fault = lambda _request, _context: gateway.released.wait(0.3)
    run(source_post(1), source_post(2), source_post(3), concurrency=3)
    assert len({row.source_post.id for row in store.rows()}) == 1
    assert store.state().source_posts[SourcePostStatus.DONE] == 3


def test_songs_are_told_apart_by_artists_title_and_version() -> None:
    def key(*artists: str, title: str = "Moss", version: str | None = None) -> str:
        return Song(artists=artists, title=title, version=version, confidence=1.0).key

    assert key("Ona Vell", "Tor") == key("Tor", "ONA-VELL")
    assert len({key("Ona"), key("Ona", "Tor"), key("Ona", title="Moss II"), key("Ona", version="live")}) == 4
