"""X: client, source of posts, publisher."""
# ruff: noqa: PLC0415 -- tweepy is imported only where X is on

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.domain.networks import X as NETWORK
from bot.domain.outgoing_posts import PostMode
from bot.ports import Publisher, Source
from bot.sections import XSettings

if TYPE_CHECKING:
    from bot.adapters.x.client import XKeys

__all__ = ["NETWORK", "capabilities", "open_publisher", "open_sources"]


def capabilities(section: XSettings) -> frozenset[PostMode]:
    """Modes in which the account may post, by the settings."""
    able = {PostMode.STANDALONE: True, PostMode.REPLY: section.replies, PostMode.QUOTE: section.quotes}
    return frozenset(mode for mode, is_able in able.items() if is_able)


def open_sources(section: XSettings) -> list[Source]:
    """Open the sources that the settings ask for, mentions first."""
    from bot.adapters.x.source import XFeed, XSource

    wanted = {XFeed.MENTIONS: section.mentions, XFeed.TIMELINE: section.timeline}
    return [
        XSource(
            feed,
            keys=_keys(section),
            handle=section.handle or "",
            base_url=section.base_url,
            timeout_s=section.timeout_s,
        )
        for feed, is_wanted in wanted.items()
        if is_wanted
    ]


def open_publisher(section: XSettings) -> Publisher:
    """Open the account for posting.

    Raises:
        SettingsError: a credential is missing.
    """
    from bot.adapters.x.publisher import XPublisher

    return XPublisher(
        keys=_keys(section),
        capabilities=capabilities(section),
        base_url=section.base_url,
        timeout_s=section.timeout_s,
    )


def _keys(section: XSettings) -> XKeys:
    from bot.adapters.x.client import XKeys

    return XKeys(
        consumer_key=section.given("consumer_key"),
        consumer_secret=section.given("consumer_secret"),
        access_token=section.given("access_token"),
        access_token_secret=section.given("access_token_secret"),
    )
