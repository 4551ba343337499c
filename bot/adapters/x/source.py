"""X's home timeline and mentions as sources, read in sweeps by id."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S
from bot.adapters.http.sweep import Sweep
from bot.adapters.x.client import (
    POST_FIELDS,
    URL,
    Document,
    XKeys,
    listed,
    next_token,
    open_client,
    read,
    who_am_i,
)
from bot.adapters.x.text import first_id, full_text, names_of_account, original_id
from bot.domain.networks import X
from bot.domain.odd_items import sift
from bot.domain.source_posts import Kind, SourcePost
from bot.ports import FeedPage, Source

_PAGE = 100
_MAX_EMPTY_PAGES = 5
_ID_DIGITS = 19


class XFeed(StrEnum):
    """List of posts that a source reads."""

    TIMELINE = "timeline"
    """Posts of the users whom the account follows."""
    MENTIONS = "mentions"
    """Posts that mention the account."""


_MIN_PAGE = {XFeed.TIMELINE: 1, XFeed.MENTIONS: 5}
"""Minimum size of a page."""
_EXPANSIONS = ["author_id", "referenced_tweets.id", "referenced_tweets.id.author_id"]


class XSource(Source):
    """New posts, without the account's own. A repost stands for the post that it repeats.

    The first read takes only the newest page: older posts cost money and nobody waits for an answer to them.

    Args:
        feed: the list of posts.
        keys: keys of the account.
        base_url: address of X's API.
        timeout_s: seconds without a byte after which a call fails.

    Raises:
        SettingsError: the keys are not valid.
    """

    def __init__(
        self, feed: XFeed, *, keys: XKeys, handle: str = "", base_url: str = URL, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._feed = feed
        self._handles = frozenset({handle} if handle else ())
        self._keys = keys
        self._client = open_client(keys, base_url=base_url, timeout_s=timeout_s)

    @property
    @override
    def name(self) -> str:
        """Network, feed and the account's id."""
        return f"{X.name}:{self._feed}:{self._keys.user_id}"

    @property
    @override
    def handles(self) -> frozenset[str]:
        return self._handles

    @override
    def describe(self, cursor: str) -> str:
        return Sweep.load(cursor).describe()

    @override
    def check(self) -> str:
        return who_am_i(self._client, self._keys)

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        sweep = Sweep.load(cursor)
        answer, withheld = self._fetch(sweep, limit)
        found = listed(answer)
        posts = found[:limit]
        ids = [identifier for post in posts if (identifier := _id(post))]
        more = len(found) > len(posts) or next_token(answer) is not None
        after = sweep.after(ids[0] if ids else None, ids[-1] if ids else None, more=more)
        reader = _PageReader(answer, user_id=self._keys.user_id, is_mention=self._feed is XFeed.MENTIONS)
        source_posts, odd_items = sift([*withheld, *posts], reader.source_post, key=lambda post: post["id"])
        self._handles |= reader.handles
        return FeedPage(
            # The oldest first.
            source_posts=tuple(reversed(source_posts)),
            odd_items=tuple(odd_items),
            cursor=after.dump(),
            more=after.is_under_way,
            billed=len(withheld) + len(found) + len(reader.others),
        )

    def _fetch(self, sweep: Sweep, limit: int) -> tuple[Document, list[Any]]:
        """A page of posts, and the items of the pages before it that had no usable id, because X withholds posts."""
        answer: Document = {}
        withheld: list[Any] = []
        token: str | None = None
        for _ in range(_MAX_EMPTY_PAGES):
            answer = self._ask(sweep, limit, token)
            token = next_token(answer)
            if any(map(_id, listed(answer))) or token is None:
                break
            withheld += listed(answer)
        return answer, withheld

    def _ask(self, sweep: Sweep, limit: int, token: str | None) -> Document:
        options: dict[str, Any] = {
            "max_results": max(_MIN_PAGE[self._feed], min(limit, _PAGE)),
            "since_id": sweep.since,
            "until_id": sweep.until,
            "pagination_token": token,
            "tweet_fields": POST_FIELDS,
            "expansions": _EXPANSIONS,
            "user_fields": ["username"],
        }
        if self._feed is XFeed.TIMELINE:
            return read(self._client.get_home_timeline, **options)
        return read(self._client.get_users_mentions, self._keys.user_id, **options)


class _PageReader:
    """Reader of the posts of a page, each on its own: one odd post does not spoil the others.

    Args:
        answer: the page.
        user_id: the bot's own account.
        is_mention: whether every post of the page is a mention.
    """

    def __init__(self, answer: Document, *, user_id: str, is_mention: bool) -> None:
        includes = answer.get("includes")
        includes = includes if isinstance(includes, dict) else {}
        self._user_id = user_id
        self._is_mention = is_mention
        self._names = {_id(user): str(user.get("username") or "") for user in _documents(includes.get("users"))}
        self.handles: set[str] = set()
        """Names by which the posts that were read mention the account."""
        self.others = {_id(post): post for post in _documents(includes.get("tweets"))}

    def source_post(self, shown: Any) -> SourcePost | None:
        """The post; None for the account's own.

        Raises:
            ValueError, or another error of `bot.domain.odd_items.ODD`: it is odd.
        """
        # A repost's own text is cut, and ten reposts of a song are one post of one author.
        post = self.others.get(original_id(shown) or "", shown)
        if not _id(post) or not isinstance(post.get("text"), str):
            raise ValueError("a post without id or text")
        author_id = str(post.get("author_id") or "")
        if author_id == self._user_id:
            return None
        author = self._names.get(author_id, "")
        names = names_of_account(post, self._user_id)
        self.handles.update(filter(None, names))
        is_mention = self._is_mention or bool(names)
        return SourcePost(
            id=first_id(post),
            text=full_text(post),
            author=author,
            created_at=str(post.get("created_at") or ""),
            kind=Kind.MENTION if is_mention else Kind.TIMELINE,
            lang=str(post.get("lang") or ""),
            url=X.url_of(_id(post), author),
        )


def _id(post: Any) -> str:
    """The id of a post, which cursors are made of; empty if it is not one of X's."""
    identifier = str(post.get("id") or "") if isinstance(post, dict) else ""
    return identifier if identifier.isascii() and identifier.isdigit() and len(identifier) <= _ID_DIGITS else ""


def _documents(items: Any) -> Iterator[Document]:
    return (item for item in (items if isinstance(items, list) else ()) if isinstance(item, dict))
