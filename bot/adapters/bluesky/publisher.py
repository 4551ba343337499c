"""Posting on Bluesky, which has no idempotency key: a post without a clear answer has to be looked up."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from atproto_client import exceptions, models
from atproto_client.utils.facet_detection import detect_facets
from pydantic import ValidationError
from typing_extensions import override

from bot.adapters.bluesky.client import (
    LIBRARY_ERRORS,
    SERVICE,
    BlueskyClient,
    error_text,
    has_expired,
    is_about_the_account,
    is_doubtful,
    message_of,
    refusal,
)
from bot.adapters.http.own_posts import posts_back_to
from bot.adapters.http.session import brief
from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError, PostRefusedError
from bot.domain.networks import BLUESKY
from bot.domain.odd_items import ODD
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.ports import Publisher

_PAGE = 100
_MAX_PAGES = 8
_RECORD = re.compile(r"\brecord\b|\btext\b|graphemes|too long|longer than|facet", re.IGNORECASE)
"""Words of an error about the record that is to be created."""


class BlueskyPublisher(Publisher):
    """Publisher of an account.

    Args:
        client: the account's session.
        replies: whether the account may reply.
    """

    def __init__(self, *, client: BlueskyClient, replies: bool = True) -> None:
        self._client = client
        self._capabilities = frozenset({PostMode.STANDALONE, *([PostMode.REPLY] if replies else [])})

    @property
    @override
    def name(self) -> str:
        return BLUESKY.name

    @property
    @override
    def capabilities(self) -> frozenset[PostMode]:
        return self._capabilities

    @override
    def check(self) -> str:
        return f"@{self._client.me().handle}"

    @override
    def publish(self, post: OutgoingPost) -> str:
        """Publish a post. The post that it replies to is read first, so the session is fresh."""
        me = self._client.me().did
        reply = self._reply_to(post) if post.mode is PostMode.REPLY else None
        try:
            # Links and tags have to be marked: Bluesky does not look for them in the text.
            created = self._client.api.send_post(
                post.text, profile_identify=me, reply_to=reply, facets=detect_facets(post.text) or None
            )
        except LIBRARY_ERRORS as error:
            if has_expired(error):
                self._client.reset_session()
                raise NetworkUnavailableError(
                    f"{SERVICE}'s session has expired; the post will be sent with a new one"
                ) from error
            raise _posting_error(error) from error
        return str(created.uri)

    @override
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        """List the account's own posts. The last part of an address grows with time."""
        found: list[OwnPost] = []
        for own in islice(self._pages(), _MAX_PAGES if after is not None else 1):
            new = [post for post in own if after is None or post.is_unread or _key(post.id) > _key(after)]
            found += new
            if len(new) < len(own):
                break
        return found

    @override
    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        is_known = partial(_is_known, after=after)
        yield from posts_back_to(self._pages(), is_known=is_known, since=since, service=SERVICE)

    def _pages(self) -> Iterator[list[OwnPost]]:
        """The account's own posts, a page at a time, the newest first."""
        me = self._client.me().did
        cursor: str | None = None
        while True:
            page = self._client.ask(
                "app.bsky.feed.getAuthorFeed",
                models.AppBskyFeedGetAuthorFeed.Params(actor=me, cursor=cursor, limit=_PAGE),
            )
            items = page.get("feed")
            if not isinstance(items, list):
                raise NetworkUnavailableError(f"the answer is not one of {SERVICE}'s; the bot will ask again")
            yield [post for item in items if (post := _own_post(item, me)) is not None]
            cursor = page.get("cursor") or None
            if cursor is None:
                return

    def _reply_to(self, post: OutgoingPost) -> models.AppBskyFeedPost.ReplyRef:
        uri = (post.in_reply_to or "").removeprefix(BLUESKY.id_prefix)
        found = self._client.ask("app.bsky.feed.getPosts", models.AppBskyFeedGetPosts.Params(uris=[uri])).get("posts")
        if not found:
            raise PostRefusedError(f"the post {uri}, to which this is a reply, no longer exists")
        try:
            parent = _reference(found[0])
            thread = found[0]["record"].get("reply")
            root = _reference(thread["root"]) if thread else parent
        except (*ODD, ValidationError) as error:
            raise PostRefusedError(f"the post {uri}, to which this is a reply, cannot be read: {error}") from error
        return models.AppBskyFeedPost.ReplyRef(parent=parent, root=root)


def _is_known(post: OwnPost, after: str | None) -> bool:
    """Whether a post is not behind an id; without an id, its time alone counts."""
    return not post.is_unread and (after is None or _key(post.id) <= _key(after))


def _reference(post: Any) -> models.ComAtprotoRepoStrongRef.Main:
    return models.ComAtprotoRepoStrongRef.Main(uri=post["uri"], cid=post["cid"])


def _own_post(item: Any, me: str) -> OwnPost | None:
    """A post of the account; None for a repost. One that cannot be read keeps its place."""
    try:
        if item.get("reason") is not None or item["post"]["author"]["did"] != me:
            return None
        uri, text = item["post"]["uri"], item["post"]["record"]["text"]
        if not isinstance(uri, str) or not isinstance(text, str):
            return OwnPost(id=str(uri), text="", is_unread=True)
        record = item["post"]["record"]
        created_at = str(record.get("createdAt") or "")
        return OwnPost(id=uri, text=text, created_at=created_at, in_reply_to=_replied_to(record))
    except ODD:
        return OwnPost(id="", text="", is_unread=True)


def _replied_to(record: Any) -> str:
    try:
        reply = record.get("reply")
        return f"{BLUESKY.id_prefix}{reply['parent']['uri']}" if reply else ""
    except ODD:
        return ""


def _posting_error(error: Exception) -> NetworkError:
    """The bot's error for one that a post caused."""
    if is_doubtful(error):
        return DoubtfulError(f"{SERVICE} did not confirm the post: {brief(error)}")
    if isinstance(error, exceptions.BadRequestError) and _names_the_post(error):
        return PostRefusedError(f"{SERVICE} rejects the post: {error_text(error)}")
    return refusal(error)


def _names_the_post(error: Exception) -> bool:
    """Whether the server refuses the record itself; any other refusal is taken as one of the account or the server."""
    return bool(_RECORD.search(message_of(error))) and not is_about_the_account(error)


def _key(uri: str) -> str:
    return uri.rpartition("/")[2]
