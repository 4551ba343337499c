"""X's home timeline and mentions as sources, read in sweeps by id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S
from bot.adapters.http.sweep import Sweep
from bot.adapters.x.client import POST_FIELDS, URL, Document, XKeys, open_client, read, who_am_i
from bot.adapters.x.text import full_text, names_account, original_id
from bot.domain.networks import X
from bot.domain.source_posts import BadRow, Kind, SourcePost
from bot.ports import FeedPage, Source

_PAGE = 100
_EXCERPT = 120
_MAX_EMPTY_PAGES = 5


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

    def __init__(self, feed: XFeed, *, keys: XKeys, base_url: str = URL, timeout_s: float = TIMEOUT_S) -> None:
        self._feed = feed
        self._keys = keys
        self._client = open_client(keys, base_url=base_url, timeout_s=timeout_s)

    @property
    @override
    def name(self) -> str:
        """Network, feed and the account's id."""
        return f"{X.name}:{self._feed}:{self._keys.user_id}"

    @override
    def describe(self, cursor: str) -> str:
        return Sweep.load(cursor).describe()

    @override
    def check(self) -> str:
        return who_am_i(self._client, self._keys)

    @override
    def read(self, cursor: str | None, limit: int) -> FeedPage:
        sweep = Sweep.load(cursor)
        answer = self._fetch(sweep, limit)
        listed = list(_documents(answer.get("data")))
        posts = listed[:limit]
        ids = [str(post["id"]) for post in posts if post.get("id")]
        more = len(listed) > len(posts) or "next_token" in (answer.get("meta") or {})
        after = sweep.after(ids[0] if ids else None, ids[-1] if ids else None, more=more)
        source_posts, bad_rows = self._source_posts(posts, answer)
        included = (answer.get("includes") or {}).get("tweets") or ()
        return FeedPage(
            source_posts=source_posts,
            bad_rows=bad_rows,
            cursor=after.dump(),
            more=after.is_under_way,
            billed=len(listed) + len(included),
        )

    def _fetch(self, sweep: Sweep, limit: int) -> Document:
        """A page of posts. Pages whose posts X withholds are skipped while there are more."""
        answer: Document = {}
        token: str | None = None
        for _ in range(_MAX_EMPTY_PAGES):
            answer = self._ask(sweep, limit, token)
            token = (answer.get("meta") or {}).get("next_token")
            if answer.get("data") or token is None:
                break
        return answer

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

    def _source_posts(
        self, posts: Iterable[Document], answer: Document
    ) -> tuple[tuple[SourcePost, ...], tuple[BadRow, ...]]:
        includes = answer.get("includes") or {}
        names = {user.get("id"): str(user.get("username", "")) for user in _documents(includes.get("users"))}
        others = {post.get("id"): post for post in _documents(includes.get("tweets"))}
        source_posts, bad_rows = [], []
        for number, listed in enumerate(posts, start=1):
            # A repost's own text is cut, and ten reposts of a song are one post of one author.
            post = others.get(original_id(listed), listed)
            if not post.get("id") or not isinstance(post.get("text"), str):
                bad_rows.append(BadRow(line=number, reason="a post without id or text", excerpt=str(post)[:_EXCERPT]))
            elif post.get("author_id") != self._keys.user_id:
                source_posts.append(self._source_post(post, names))
        # The oldest first.
        return tuple(source_posts[::-1]), tuple(bad_rows)

    def _source_post(self, post: Document, names: Mapping[Any, str]) -> SourcePost:
        author = names.get(post.get("author_id"), "")
        is_mention = self._feed is XFeed.MENTIONS or names_account(post, self._keys.user_id)
        return SourcePost(
            id=str(post["id"]),
            text=full_text(post),
            author=author,
            created_at=str(post.get("created_at") or ""),
            kind=Kind.MENTION if is_mention else Kind.TIMELINE,
            lang=str(post.get("lang") or ""),
            url=X.url_of(str(post["id"]), author),
        )


def _documents(items: Any) -> Iterator[Document]:
    return (item for item in items or () if isinstance(item, dict))
