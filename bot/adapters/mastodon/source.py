"""A Mastodon user's home timeline and mentions as sources, read in sweeps by id."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Any

from mastodon.return_types import Notification, Status
from typing_extensions import override

from bot.adapters.http.sweep import Sweep
from bot.adapters.mastodon.client import MastodonClient
from bot.adapters.mastodon.text import escaped_text
from bot.domain.errors import NetworkUnavailableError
from bot.domain.networks import MASTODON
from bot.domain.odd_items import sift
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import FeedPage, Source

_PAGE = 40
"""Maximum size of a page."""
_MAX_ID = 64


class MastodonFeed(StrEnum):
    """List of posts that a source reads."""

    TIMELINE = "timeline"
    MENTIONS = "mentions"


class MastodonSource(Source):
    """New posts, without the user's own. A boost stands for the post that it repeats.

    Args:
        feed: the list of posts.
        client: the user's access.
        account: a name for the access in the cursor's key, such as the server's address.
    """

    def __init__(self, feed: MastodonFeed, *, client: MastodonClient, account: str) -> None:
        self._feed = feed
        self._client = client
        self._account = account

    @property
    @override
    def name(self) -> str:
        """Network, feed and access."""
        return f"{MASTODON.name}:{self._feed}:{self._account}"

    @property
    @override
    def handles(self) -> frozenset[str]:
        name = self._client.known_name
        return frozenset({name} if name else ())

    @override
    def describe(self, cursor: str) -> str:
        return Sweep.load(cursor).describe()

    @override
    def check(self) -> str:
        return f"@{self._client.account()[1]}"

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        sweep = Sweep.load(cursor)
        me, _ = self._client.account()
        size = min(limit, _PAGE)
        items = self._client.read(lambda: self._list(sweep, size))
        ids = [identifier for item in items if (identifier := _id(item))]
        if items and not ids:
            raise _unexpected_answer()
        # Servers leave out filtered posts, so a page that is not full need not be the last.
        after = sweep.after(ids[0] if ids else None, ids[-1] if ids else None, more=bool(items))
        source_posts, odd_items = sift(items, partial(self._source_post, me=me), key=lambda item: item["id"])
        return FeedPage(
            # The oldest first.
            source_posts=tuple(reversed(source_posts)),
            odd_items=tuple(odd_items),
            cursor=after.dump(),
            more=after.is_under_way,
        )

    def _list(self, sweep: Sweep, size: int) -> Sequence[Any]:
        place: dict[str, Any] = {"since_id": sweep.since, "max_id": sweep.until, "limit": size}
        if self._feed is MastodonFeed.TIMELINE:
            items: Sequence[Any] = self._client.api.timeline_home(**place)
        else:
            items = self._client.api.notifications(types=["mention"], **place)
        if not isinstance(items, list):
            raise _unexpected_answer()
        return items[:size]

    def _source_post(self, item: Status | Notification, *, me: str) -> SourcePost | None:
        """The post; None for the user's own, and for a notification of another kind.

        Raises:
            ValueError, or another error of `bot.domain.odd_items.ODD`: it is odd.
        """
        if self._feed is MastodonFeed.MENTIONS:
            kind = item["type"]
            if kind and kind != "mention":
                return None
            status = item["status"]
        else:
            status = item.get("reblog") or item
        if str(status.account.id) == me:
            return None
        identifier, content = _id(status), status.content
        if not identifier or not isinstance(content, str):
            raise ValueError("a post without id or text")
        named = {str(mention.get("id")) for mention in status.get("mentions") or () if isinstance(mention, dict)}
        return SourcePost(
            id=f"{MASTODON.id_prefix}{identifier}",
            text=escaped_text(content),
            author=str(status.account.acct),
            created_at=status.created_at.isoformat() if status.get("created_at") else "",
            kind=Kind.MENTION if self._feed is MastodonFeed.MENTIONS or me in named else Kind.TIMELINE,
            lang=str(status.get("language") or ""),
            url=str(status.get("url") or ""),
        )


def _id(item: Any) -> str:
    """The id of an item, which cursors are made of; empty if it is not one. Some servers use letters."""
    identifier = item.get("id") if isinstance(item, dict) else None
    text = str(identifier) if isinstance(identifier, str | int) and not isinstance(identifier, bool) else ""
    return text if text.isascii() and text.isalnum() and len(text) <= _MAX_ID else ""


def _unexpected_answer() -> NetworkUnavailableError:
    return NetworkUnavailableError(f"the answer of {MASTODON.label} is not a list of posts; the bot will ask again")
