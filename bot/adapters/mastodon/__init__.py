"""Mastodon: client, source of statuses, publisher."""
# ruff: noqa: PLC0415 -- Mastodon.py is imported only where Mastodon is on

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.networks import MASTODON as NETWORK
from bot.domain.outgoing_posts import PostMode
from bot.ports import Publisher, Source
from bot.sections import MastodonSettings

if TYPE_CHECKING:
    from bot.adapters.mastodon.client import MastodonClient

__all__ = ["NETWORK", "capabilities", "open_publisher", "open_sources"]


def capabilities(_section: MastodonSettings) -> frozenset[PostMode]:
    """Modes in which an account may post."""
    return frozenset({PostMode.STANDALONE, PostMode.REPLY})


def open_sources(section: MastodonSettings) -> list[Source]:
    """Open the sources that the settings ask for, mentions first."""
    from bot.adapters.mastodon.source import MastodonFeed, MastodonSource

    wanted = {MastodonFeed.MENTIONS: section.mentions, MastodonFeed.TIMELINE: section.timeline}
    client, server = _client(section), section.given("base_url")
    return [MastodonSource(feed, client=client, account=server) for feed, is_wanted in wanted.items() if is_wanted]


def open_publisher(section: MastodonSettings) -> Publisher:
    """Open the user's access for posting.

    Raises:
        SettingsError: a credential is missing.
    """
    from bot.adapters.mastodon.publisher import MastodonPublisher

    return MastodonPublisher(client=_client(section))


def _client(section: MastodonSettings) -> MastodonClient:
    from bot.adapters.mastodon.client import MastodonClient

    return MastodonClient(base_url=section.given("base_url"), access_token=section.given("access_token"))
