"""Proxy variables of the environment never apply to addresses of this machine."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.http.session import NetworkSession
from bot.adapters.lookups.lastfm import LastfmLookup
from bot.adapters.lookups.spotify import open_lookup
from bot.adapters.mastodon.client import MastodonClient
from bot.adapters.x.publisher import XPublisher
from bot.sandbox.server import SandboxServer
from bot.sections import SpotifySettings
from tests.bot.helpers.sandbox_clients import x_keys
from tests.bot.helpers.sheets_board import open_board

CLIENTS: dict[str, Callable[[SandboxServer], object]] = {
    "x": lambda one: XPublisher(keys=x_keys(one), base_url=one.settings.url).check(),
    "bluesky": lambda one: BlueskyClient(
        handle=one.settings.bluesky_handle, app_password=one.settings.bluesky_password, base_url=one.settings.url
    ).me(),
    "mastodon": lambda one: MastodonClient(
        base_url=one.settings.url, access_token=one.settings.mastodon_access_token
    ).account(),
    "sheet": lambda one: open_board(one, timeout_s=5).check(),
    "spotify": lambda one: open_lookup(SpotifySettings.model_validate(one.settings.lookups["spotify"])).check(),
    "lastfm": lambda one: LastfmLookup(
        api_key=one.settings.lookups["lastfm"]["api_key"], base_url=one.settings.url
    ).check(),
    "control": lambda one: one.control.calls(),
}


@pytest.fixture
def dead_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_reaches_this_machine_without_the_proxy(sandbox: SandboxServer, client: str) -> None:
    CLIENTS[client](sandbox)


@pytest.mark.usefixtures("dead_proxy")
def test_other_machines_are_reached_through_the_proxy() -> None:
    settings = NetworkSession().merge_environment_settings("https://example.org", {}, None, None, None)
    assert settings["proxies"]["https"] == "http://127.0.0.1:9"
