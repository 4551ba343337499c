"""Posting on Mastodon. The server keeps a post's idempotency key for an hour, within which a repeat has no effect."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from mastodon.errors import MastodonError
from typing_extensions import override

from bot.adapters.http.own_posts import posts_back_to
from bot.adapters.http.session import brief
from bot.adapters.mastodon.client import SERVICE, MastodonClient, error_text, is_doubtful, status_of
from bot.adapters.mastodon.text import plain_text
from bot.domain.errors import DoubtfulError, NetworkError, PostRefusedError
from bot.domain.networks import MASTODON
from bot.domain.odd_items import ODD
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.domain.storable import storable
from bot.ports import Publisher

_PAGE = 40
_MAX_PAGES = 10
_INVALID, _GONE = 422, 404
_TEXT = re.compile(r"\btext\b|character|blank|too long|duplicate", re.IGNORECASE)
"""Words of a 422 about the text; others, such as "Your account is not confirmed", are about the user."""
_USER = re.compile(r"account|e-?mail|confirm|login|suspend|disabled|moderat", re.IGNORECASE)


class MastodonPublisher(Publisher):
    """Publisher of a user.

    Args:
        client: the user's access.
        replies: whether the user may reply.
    """

    def __init__(self, *, client: MastodonClient, replies: bool = True) -> None:
        self._client = client
        self._capabilities = frozenset({PostMode.STANDALONE, *([PostMode.REPLY] if replies else [])})

    @property
    @override
    def name(self) -> str:
        return MASTODON.name

    @property
    @override
    def capabilities(self) -> frozenset[PostMode]:
        return self._capabilities

    @override
    def check(self) -> str:
        return f"@{self._client.account()[1]}"

    @override
    def publish(self, post: OutgoingPost) -> str:
        parent = (post.in_reply_to or "").removeprefix(MASTODON.id_prefix) if post.mode is PostMode.REPLY else None
        # The text is part of the key: a candidate that was edited since is another post.
        digest = hashlib.sha256(storable(post.text).encode()).hexdigest()[:16]
        key = f"{post.candidate_id}-{digest}"
        try:
            status = self._client.api.status_post(post.text, in_reply_to_id=parent, idempotency_key=key)
            identifier = status.get("id")
        except MastodonError as error:
            raise self._posting_error(error, post) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _unexpected_answer() from error
        if not identifier:
            raise _unexpected_answer()
        return str(identifier)

    @override
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        pages = islice(self._pages(after), _MAX_PAGES if after is not None else 1)
        return [own for page in pages for own in page]

    @override
    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        is_known = partial(_is_known, after=after)
        yield from posts_back_to(self._pages(None), is_known=is_known, since=since, service=SERVICE)

    def _pages(self, after: str | None) -> Iterator[list[OwnPost]]:
        """The user's own posts, a page at a time, the newest first."""
        me, _ = self._client.account()
        until: str | None = None
        while True:
            list_own = partial(self._client.api.account_statuses, me, exclude_reblogs=True, limit=_PAGE)
            page: Sequence[Any] = self._client.read(partial(list_own, since_id=after, max_id=until))
            if not page:
                return
            own = list(map(_own_post, page))
            yield own
            until = own[-1].id or None
            if until is None:
                return  # the last post of the page has no id to go on from

    def _posting_error(self, error: MastodonError, post: OutgoingPost) -> NetworkError:
        if is_doubtful(error):
            return DoubtfulError(f"{SERVICE} did not confirm the post: {brief(error)}")
        if _names_the_post(error, post):
            return PostRefusedError(f"{SERVICE} rejects the post: {error_text(error)}")
        return self._client.refusal(error)


def _is_known(post: OwnPost, after: str | None) -> bool:
    """Whether a post is not behind an id, of which the longer one is the later; without one, its time alone counts."""
    return not post.is_unread and (after is None or (len(post.id), post.id) <= (len(after), after))


def _own_post(status: Any) -> OwnPost:
    """A post of the user; one that cannot be read keeps its place."""
    try:
        created_at = status.get("created_at")
        parent = status.get("in_reply_to_id")
        return OwnPost(
            id=str(status["id"]),
            text=plain_text(status["content"]),
            created_at=str(created_at or "").replace(" ", "T"),
            in_reply_to=f"{MASTODON.id_prefix}{parent}" if parent else "",
        )
    except ODD:
        return OwnPost(id=str(status.get("id") or "") if isinstance(status, dict) else "", text="", is_unread=True)


def _names_the_post(error: MastodonError, post: OutgoingPost) -> bool:
    """Whether the server refuses the post itself: its text, or the post that it replies to, which is gone."""
    status, said = status_of(error), error_text(error)
    if status == _GONE:
        return post.mode is PostMode.REPLY
    return status == _INVALID and bool(_TEXT.search(said)) and not _USER.search(said)


def _unexpected_answer() -> DoubtfulError:
    return DoubtfulError(f"the answer to a post is not one of {SERVICE}'s")
