"""Bluesky: client, source of posts, publisher."""
# ruff: noqa: PLC0415 -- atproto, the heaviest of the libraries, is imported only where Bluesky is on

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from bot.domain.networks import BLUESKY as NETWORK
from bot.domain.outgoing_posts import PostMode
from bot.ports import Publisher, Source
from bot.sections import BlueskySettings

if TYPE_CHECKING:
    from bot.adapters.bluesky.client import BlueskyClient

__all__ = ["NETWORK", "capabilities", "open_publisher", "open_sources"]


def capabilities(_section: BlueskySettings) -> frozenset[PostMode]:
    """Modes in which an account may post."""
    return frozenset({PostMode.STANDALONE, PostMode.REPLY})


def open_sources(section: BlueskySettings) -> list[Source]:
    """Open the sources that the settings ask for, mentions first."""
    from bot.adapters.bluesky.source import BlueskyFeed, BlueskySource

    wanted = {BlueskyFeed.MENTIONS: section.mentions, BlueskyFeed.TIMELINE: section.timeline}
    client, account = _client(section), section.given("handle")
    return [BlueskySource(feed, client=client, account=account) for feed, is_wanted in wanted.items() if is_wanted]


def open_publisher(section: BlueskySettings) -> Publisher:
    """Open the account for posting.

    Raises:
        SettingsError: a credential is missing.
    """
    from bot.adapters.bluesky.publisher import BlueskyPublisher

    return BlueskyPublisher(client=_client(section))


def _client(section: BlueskySettings) -> BlueskyClient:
    return _session(section.given("handle"), section.given("app_password"), section.base_url)


@cache
def _session(handle: str, app_password: str, base_url: str) -> BlueskyClient:
    """One client for the sources and the publisher: Bluesky lets an account sign in 300 times a day."""
    from bot.adapters.bluesky.client import BlueskyClient

    return BlueskyClient(handle=handle, app_password=app_password, base_url=base_url)
