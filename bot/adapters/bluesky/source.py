"""A Bluesky account's timeline and mentions as sources, read in sweeps by time."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from atproto_client import models
from typing_extensions import override

from bot.adapters.bluesky.client import BlueskyClient
from bot.adapters.http.sweep import Sweep
from bot.domain.errors import NetworkUnavailableError
from bot.domain.networks import BLUESKY
from bot.domain.odd_items import ODD, sift
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import FeedPage, Source

_PAGE = 100
"""Maximum size of a page."""
_POST = "app.bsky.feed.post"
_MOST_AHEAD = timedelta(days=1)
"""Maximum by which the network's clock may be ahead of the bot's."""


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

    @property
    @override
    def handles(self) -> frozenset[str]:
        return frozenset({self._account})

    @override
    def describe(self, cursor: str) -> str:
        return Sweep.load(cursor).describe()

    @override
    def check(self) -> str:
        return f"@{self._client.me().handle}"

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        sweep = Sweep.load(cursor)
        items, next_page = self._list(sweep, min(limit, _PAGE))
        # An item whose time cannot be read counts as new: it is set aside, and the store knows it the next time.
        new = [item for item in items if sweep.since is None or (_time(item) or sweep.since) >= sweep.since]
        times = [time for item in items if (time := _time(item))]
        # Posts are ordered by their author's clock, so a page may end with an old post among new ones.
        more = next_page is not None and bool(items) and (sweep.since is None or not times or times[-1] >= sweep.since)
        after = sweep.after(max(filter(None, map(_time, new)), default=None), next_page, more=more)
        source_posts, odd_items = sift(new, self._source_post, key=lambda item: _post(item)["uri"])
        return FeedPage(
            # The oldest first.
            source_posts=tuple(reversed(source_posts)),
            odd_items=tuple(odd_items),
            cursor=after.dump(),
            more=after.is_under_way,
        )

    def _list(self, sweep: Sweep, size: int) -> tuple[Sequence[Any], str | None]:
        """Items of a page, and the cursor of the next one."""
        if self._feed is BlueskyFeed.TIMELINE:
            timeline = models.AppBskyFeedGetTimeline.Params(limit=size, cursor=sweep.until)
            page, name = self._client.ask("app.bsky.feed.getTimeline", timeline), "feed"
        else:
            method = "app.bsky.notification.listNotifications"
            mentions = models.AppBskyNotificationListNotifications.Params(
                limit=size, cursor=sweep.until, reasons=["mention"]
            )
            page, name = self._client.ask(method, mentions), "notifications"
        items, cursor = page.get(name), page.get("cursor")
        if not isinstance(items, list):
            raise NetworkUnavailableError(f"the answer is not one of {BLUESKY.label}'s; the bot will ask again")
        return items, cursor if isinstance(cursor, str) and cursor else None

    def _source_post(self, item: Any) -> SourcePost | None:
        """The post; None for the account's own, and for a record that is not a post.

        Raises:
            ValueError, or another error of `bot.domain.odd_items.ODD`: it is odd.
        """
        post = _post(item)
        record, author = post["record"], post["author"]
        if record.get("$type", _POST) != _POST:
            return None
        me = self._client.me().did
        if author["did"] == me:
            return None
        uri, text, handle = post["uri"], record["text"], author.get("handle")
        if not (isinstance(uri, str) and uri.startswith("at://") and isinstance(text, str)):
            raise ValueError("a post without address or text")
        name = handle if isinstance(handle, str) else ""
        is_mention = self._feed is BlueskyFeed.MENTIONS or me in _named(record)
        return SourcePost(
            id=f"{BLUESKY.id_prefix}{uri}",
            text=html.escape(text, quote=False),
            author=name,
            created_at=str(record.get("createdAt") or ""),
            kind=Kind.MENTION if is_mention else Kind.TIMELINE,
            lang=_lang(record),
            url=BLUESKY.url_of(uri, name),
        )


def _post(item: Any) -> Any:
    """The post of an item: an item of the timeline wraps it, a notification is one."""
    return item["post"] if isinstance(item, dict) and "post" in item else item


def _named(record: Any) -> set[str]:
    """Accounts that a post names; facets of an odd form name nobody."""
    facets = record.get("facets")
    features = [
        feature
        for facet in (facets if isinstance(facets, list) else ())
        if isinstance(facet, dict) and isinstance(facet.get("features"), list)
        for feature in facet["features"]
    ]
    return {str(feature.get("did") or "") for feature in features if isinstance(feature, dict)}


def _lang(record: Any) -> str:
    langs = record.get("langs")
    return str(langs[0]) if isinstance(langs, list) and langs else ""


def _time(item: Any) -> str:
    """Time at which an item entered the list, for a repost its own; empty if there is no usable one.

    All times are in UTC, so they sort as text.
    """
    try:
        reason = item.get("reason")
        time = reason.get("indexedAt") if isinstance(reason, dict) else None
        time = time or _post(item)["indexedAt"]
        # A time that cannot be, such as one of next year, would be the place after which nothing is new.
        ahead = datetime.fromisoformat(time) - datetime.now(UTC)
    except ODD:
        return ""
    return str(time) if ahead < _MOST_AHEAD else ""
