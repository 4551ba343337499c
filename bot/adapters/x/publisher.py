"""Posting on X, which has no idempotency key: a post without a clear answer is in doubt and has to be looked up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import requests
import tweepy
from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S, brief, was_sent
from bot.adapters.x.client import POST_FIELDS, URL, XKeys, as_document, listed, next_token, open_client, read, who_am_i
from bot.adapters.x.refusals import is_duplicate, posting_error
from bot.adapters.x.text import written_text
from bot.domain.errors import DoubtfulError, NetworkError, NetworkUnavailableError
from bot.domain.keys import text_key
from bot.domain.networks import X
from bot.domain.odd_items import ODD
from bot.domain.outgoing_posts import OutgoingPost, OwnPost, PostMode
from bot.ports import Publisher

_PAGE = 100
_MAX_PAGES = 8
_ALL_PAGES = 40
"""More pages than X has: it lists the latest 3,200 posts of an account."""
_EPOCH_MS = 1288834974657
"""Time of the id 0; the bits of an id above the lowest 22 are milliseconds since then."""
_REFERENCE = {PostMode.REPLY: "in_reply_to_tweet_id", PostMode.QUOTE: "quote_tweet_id"}


class XPublisher(Publisher):
    """Publisher of an account.

    Args:
        keys: keys of the account.
        capabilities: modes that X allows the account besides posting. Since 2026 it allows replies only to users who
            mentioned the account, and quotes only on an enterprise plan.
        base_url: address of X's API.
        timeout_s: seconds without a byte after which a call fails.

    Raises:
        SettingsError: the keys are not valid.
    """

    def __init__(
        self,
        *,
        keys: XKeys,
        capabilities: Collection[PostMode] = (),
        base_url: str = URL,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._keys = keys
        self._capabilities = frozenset({PostMode.STANDALONE, *capabilities})
        self._client = open_client(keys, base_url=base_url, timeout_s=timeout_s)

    @property
    @override
    def name(self) -> str:
        return X.name

    @property
    @override
    def capabilities(self) -> frozenset[PostMode]:
        return self._capabilities

    @override
    def check(self) -> str:
        return who_am_i(self._client, self._keys)

    @override
    def publish(self, post: OutgoingPost) -> str:
        reference = {} if post.mode is PostMode.STANDALONE else {_REFERENCE[post.mode]: post.in_reply_to}
        try:
            answer = as_document(self._client.create_tweet(text=post.text, user_auth=True, **reference))
            return str(answer["data"]["id"])
        except tweepy.HTTPException as error:
            if is_duplicate(error) and (found := self._find(post)) is not None:
                return found
            raise posting_error(error) from error
        except requests.RequestException as error:
            if was_sent(error):
                raise DoubtfulError(f"X did not confirm the post: {brief(error)}") from error
            raise NetworkUnavailableError(f"X could not be reached: {brief(error)}") from error
        except (AttributeError, TypeError, KeyError, ValueError) as error:
            raise DoubtfulError("the answer to a post is not one of X's") from error

    @override
    def recent(self, after: str | None) -> Sequence[OwnPost]:
        return [_own_post(post) for post in self._own_posts(after, _MAX_PAGES if after is not None else 1)]

    @override
    def back_to(self, after: str | None, since: datetime) -> Iterator[OwnPost]:
        """List own posts. An id holds its time, so one limit stands for both, and no older post is billed."""
        oldest = max(0, int(since.timestamp() * 1000) - _EPOCH_MS) << 22
        if after is not None and after.isdigit():
            oldest = min(oldest, int(after))
        yield from map(_own_post, self._own_posts(str(oldest), _ALL_PAGES))

    def _own_posts(self, after: str | None, max_pages: int) -> Iterator[Any]:
        token: str | None = None
        for _ in range(max_pages):
            page = read(
                self._client.get_users_tweets,
                self._keys.user_id,
                since_id=after,
                max_results=_PAGE,
                pagination_token=token,
                tweet_fields=POST_FIELDS,
            )
            yield from listed(page)
            token = next_token(page)
            if token is None:
                return

    def _find(self, post: OutgoingPost) -> str | None:
        """Id of the post if an earlier attempt did publish it."""
        try:
            own = self.recent(post.after_id)
        except NetworkError:
            return None  # X has refused the post in any case
        key = text_key(post.text)
        return next((one.id for one in own if text_key(one.text) == key), None)


def _replied_to(post: Any) -> str:
    try:
        references = post.get("referenced_tweets") or []
        return next((str(one["id"]) for one in references if one.get("type") == "replied_to"), "")
    except ODD:
        return ""


def _own_post(post: Any) -> OwnPost:
    """A post of the account; one that cannot be read keeps its place."""
    try:
        if not isinstance(post["text"], str):
            raise TypeError(type(post["text"]).__name__)
        return OwnPost(
            id=str(post["id"]),
            text=written_text(post),
            created_at=str(post.get("created_at") or ""),
            in_reply_to=_replied_to(post),
        )
    except ODD:
        return OwnPost(id=str(post.get("id")) if isinstance(post, dict) else "", text="", is_unread=True)
