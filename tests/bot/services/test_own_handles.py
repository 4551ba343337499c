"""The bot's own handle on each network is no part of a song."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.adapters import bluesky, mastodon, x
from bot.adapters.files.feed import FileFeed
from bot.adapters.lookups.catalog import EmptyCatalog
from bot.adapters.sqlite.store import SqliteStore
from bot.ports import Source
from bot.sandbox.server import SandboxServer
from bot.sections import BlueskySettings, MastodonSettings, XSettings
from bot.services.genres import ChainResolver
from bot.services.service import Bot
from tests.bot.conftest import write_jsonl
from tests.bot.helpers.killed_bot import Countdown, CountedCommentary

NETWORKS = ("x", "bluesky", "mastodon")
TEXTS = (
    'Now playing "Tin Sea" by @{handle}, asks @radio',
    "@radio what about Tin Sea by @{handle}?",
    "@{handle} @radio “Slow Lamp” by Ona Vell",
)


def open_sources(sandbox: SandboxServer, network: str, *, x_handle: str | None = None) -> list[Source]:
    settings = sandbox.settings
    if network == "x":
        keys = settings.x
        return x.open_sources(
            XSettings(
                consumer_key=SecretStr(keys.consumer_key),
                consumer_secret=SecretStr(keys.consumer_secret),
                access_token=SecretStr(keys.access_token),
                access_token_secret=SecretStr(keys.access_token_secret),
                base_url=settings.url,
                handle=x_handle,
            )
        )
    if network == "bluesky":
        password = SecretStr(settings.bluesky_password)
        account = BlueskySettings(handle=settings.bluesky_handle, app_password=password, base_url=settings.url)
        return bluesky.open_sources(account)
    return mastodon.open_sources(
        MastodonSettings(base_url=settings.url, access_token=SecretStr(settings.mastodon_access_token))
    )


def names_found(store: SqliteStore, sources: list[Source]) -> set[str]:
    """Artists and titles that a bot finds in the posts of its sources."""
    Bot(
        sources=sources,
        resolver=ChainResolver(table=EmptyCatalog()),
        commentary=CountedCommentary(Countdown(0)),
        store=store,
    ).tick()
    songs = [row.candidate.report.song for row in store.rows()]
    return {name for song in songs for name in (*song.artists, song.title)}


@pytest.mark.parametrize("network", NETWORKS)
def test_no_name_holds_the_handle_by_which_a_network_knows_the_bot(
    sandbox: SandboxServer, store: SqliteStore, network: str
) -> None:
    handle = sandbox.settings.bluesky_handle if network == "bluesky" else "sandboxbot"
    sandbox.control.add_posts([{"text": text.format(handle=handle), "author": "radio"} for text in TEXTS], network)
    names = names_found(store, open_sources(sandbox, network))
    assert {"Slow Lamp", "Ona Vell"} <= names
    assert [name for name in names if "sandboxbot" in name.casefold()] == []


def test_on_x_the_handle_is_set_or_learned_from_posts_that_name_the_account(sandbox: SandboxServer) -> None:
    (mentions, timeline) = open_sources(sandbox, "x")
    assert (set(mentions.handles), set(timeline.handles)) == (set(), set())
    sandbox.control.add_posts([{"text": "@sandboxbot “Moss” by Ona Vell", "author": "radio"}])
    mentions.read(None, 10)
    assert set(mentions.handles) == {"sandboxbot"}
    assert {handle for source in open_sources(sandbox, "x", x_handle="@Bot") for handle in source.handles} == {"@Bot"}


def test_the_handle_of_one_network_is_a_name_like_any_other_on_another(
    sandbox: SandboxServer, store: SqliteStore
) -> None:
    sandbox.control.add_posts([{"text": "“Tin Sea” by @sandboxbot.test", "author": "radio"}], "mastodon")
    sources = [*open_sources(sandbox, "bluesky"), *open_sources(sandbox, "mastodon")]
    assert "Tin Sea" in names_found(store, sources)


def test_in_a_file_the_handles_of_all_networks_are_the_bots(
    sandbox: SandboxServer, store: SqliteStore, tmp_path: Path
) -> None:
    rows: list[dict[str, object]] = [
        {"id": "1", "text": "“Slow Lamp” by Ona Vell, @sandboxbot.test"},
        {"id": "2", "text": "Tin Sea by @sandboxbot.test"},
    ]
    feed = FileFeed(write_jsonl(tmp_path / "feed.jsonl", rows))
    names = names_found(store, [feed, *open_sources(sandbox, "bluesky")])
    assert names == {"Slow Lamp", "Ona Vell"}
