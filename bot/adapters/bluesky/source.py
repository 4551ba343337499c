"""A Bluesky account's timeline and mentions as sources, read in sweeps by time."""

from __future__ import annotations

import html
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from typing_extensions import override

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.http.sweep import Sweep
from bot.domain.networks import BLUESKY
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import FeedPage, Source

_PAGE = 100
"""Maximum size of a page."""


class BlueskyFeed(StrEnum):
    """List of posts that a source reads."""

    TIMELINE = "timeline"
    MENTIONS = "mentions"


class BlueskySource(Source):
    """New posts, without the account's own. A repost stands for the post that it repeats.

    Bluesky has no "since" parameter: pages are read until one ends before the last sweep began. The newest post of that
    sweep is read once more, because another post may have the same time; the store recognises it by its id.

    Args:
        feed: the list of posts.
        client: the account's session.
        account: the account's name, for the cursor's key.
    """

    def __init__(self, feed: BlueskyFeed, *, client: BlueskyClient, account: str) -> None:
        self._feed = feed
        self._client = client
        self._account = account

    @property
    @override
    def name(self) -> str:
        """Network, feed and account."""
        return f"{BLUESKY.name}:{self._feed}:{self._account}"

    @override
    def describe(self, cursor: str) -> str:
        return Sweep.load(cursor).describe()

    @override
    def check(self) -> str:
        return f"@{self._client.me().handle}"

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        sweep = Sweep.load(cursor)
        items, next_page = self._client.read(lambda: self._list(sweep, min(limit, _PAGE)))
        new = [item for item in items if sweep.since is None or _time(item) >= sweep.since]
        # Posts are ordered by their author's clock, so a page may end with an old post among new ones.
        more = next_page is not None and bool(items) and (sweep.since is None or _time(items[-1]) >= sweep.since)
        after = sweep.after(max(map(_time, new), default=None), next_page, more=more)
        me = self._client.me().did
        return FeedPage(
            # The oldest first.
            source_posts=tuple(self._source_post(item) for item in reversed(new) if _post(item).author.did != me),
            cursor=after.dump(),
            more=after.is_under_way,
        )

    def _list(self, sweep: Sweep, size: int) -> tuple[Sequence[Any], str | None]:
        """Items of a page, and the cursor of the next one."""
        if self._feed is BlueskyFeed.TIMELINE:
            page = self._client.api.get_timeline(limit=size, cursor=sweep.until)
            return [item for item in page.feed if isinstance(_text(item), str)], page.cursor
        options = {"limit": size, "cursor": sweep.until, "reasons": ["mention"]}
        mentions = self._client.api.app.bsky.notification.list_notifications(options)
        return [item for item in mentions.notifications if isinstance(_text(item), str)], mentions.cursor

    def _source_post(self, item: Any) -> SourcePost:
        post = _post(item)
        record = post.record
        named = {
            getattr(feature, "did", "") for facet in getattr(record, "facets", None) or () for feature in facet.features
        }
        is_mention = self._feed is BlueskyFeed.MENTIONS or self._client.me().did in named
        return SourcePost(
            id=f"{BLUESKY.id_prefix}{post.uri}",
            text=html.escape(record.text, quote=False),
            author=post.author.handle,
            created_at=str(record.created_at),
            kind=Kind.MENTION if is_mention else Kind.TIMELINE,
            lang=next(iter(getattr(record, "langs", None) or ()), ""),
            url=BLUESKY.url_of(post.uri, post.author.handle),
        )


def _post(item: Any) -> Any:
    """The post of an item: an item of the timeline wraps it, a notification is one."""
    return getattr(item, "post", item)


def _text(item: Any) -> Any:
    return getattr(_post(item).record, "text", None)


def _time(item: Any) -> str:
    """Time at which an item entered the list, for a repost its own. All times are in UTC, so they sort as text."""
    reason = getattr(item, "reason", None)
    return str(getattr(reason, "indexed_at", None) or _post(item).indexed_at)
