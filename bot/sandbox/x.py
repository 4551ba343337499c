"""Stand-in for X v2: who am I, home timeline, mentions, own posts, posting. OAuth 1.0a is checked.

Like X, it refuses a text over 280, a repeated text, a reply to a user who did not mention the account, and a quote.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from oauthlib.oauth1 import RequestValidator, ResourceEndpoint
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.account import XAccount
from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, StandIn
from bot.sandbox.limits import RateWindow
from bot.sandbox.x_posts import MAX_WEIGHT, XPost, XPosts, weight

_PROBLEM = "application/problem+json"
_TITLES = {400: "Invalid Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 429: "Too Many Requests"}
_CLOCK_S = 600
"""Maximum difference between the clocks of a signature and the server."""
_PAGING = {"since_id", "until_id", "max_results", "pagination_token", "start_time", "end_time"}
_FIELDS = {"tweet.fields", "expansions", "user.fields", "media.fields", "poll.fields", "place.fields"}
_WINDOW_S = 900.0
_LIMITS = {"me": 75, "timeline": 180, "mentions": 300, "own_tweets": 900, "create_tweet": 100}


class XStandIn(StandIn):
    """Stand-in for X, with one app and one account."""

    name = "x"

    def __init__(self, account: XAccount, *, enforce_limits: bool = True) -> None:
        self.posts = XPosts()
        self._tokens_valid = True
        self._endpoint = ResourceEndpoint(_Accounts(account))
        self._windows = {name: RateWindow(limit, _WINDOW_S, enforce_limits) for name, limit in _LIMITS.items()}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        user = "/2/users/{id}"
        return {
            "me": ("GET", "/2/users/me", self._guarded("me", self._me)),
            "timeline": (
                "GET",
                f"{user}/timelines/reverse_chronological",
                self._guarded("timeline", self._timeline),
            ),
            "mentions": ("GET", f"{user}/mentions", self._guarded("mentions", self._mentions)),
            "own_tweets": ("GET", f"{user}/tweets", self._guarded("own_tweets", self._own)),
            "create_tweet": ("POST", "/2/tweets", self._guarded("create_tweet", self._create)),
        }

    def error(self, status: int, headers: Mapping[str, str] | None = None, detail: str = "") -> Response:
        """Return a problem document."""
        title = _TITLES.get(status, "Service Unavailable")
        kind = "https://api.twitter.com/2/problems/invalid-request" if status == 400 else "about:blank"
        document = {"title": title, "type": kind, "status": status, "detail": detail or title}
        return JSONResponse(document, status, headers=dict(headers or {}), media_type=_PROBLEM)

    def forget_tokens(self) -> None:
        """Revoke the app's access."""
        self._tokens_valid = False

    def add(self, text: str, author: str, *, reply_to: str | None, repost_of: str | None, post_id: str | None) -> str:
        """Add a post of a user; return its id."""
        posts = self.posts
        return posts.add(text, posts.user(author), reply_to=reply_to, reposted=repost_of, post_id=post_id).id

    def posted(self) -> list[dict[str, Any]]:
        """Return the bot's own posts."""
        mine = [post for post in self.posts.posts.values() if post.author == self.posts.me]
        return [{"id": p.id, "text": p.text, "reply_to": p.reply_to, "at": p.created_at} for p in mine]

    def renew_tokens(self) -> None:
        """Restore the app's access."""
        self._tokens_valid = True

    def _guarded(self, name: str, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            valid, _ = self._endpoint.validate_protected_resource_request(
                str(request.url), request.method, "", dict(request.headers)
            )
            if not (valid and self._tokens_valid):
                return self.error(401)
            window = self._windows[name]
            if not window.take():
                return self.error(429, window.headers())
            if request.path_params.get("id", self.posts.me.id) != self.posts.me.id:
                return self.error(403, window.headers(), "only the account's own timelines are open")
            response = await handler(request)
            response.headers.update(window.headers())
            return response

        return guarded

    async def _me(self, request: Request) -> Response:
        if unknown := set(request.query_params) - {"user.fields", "tweet.fields", "expansions"}:
            return self._invalid(unknown)
        return JSONResponse({"data": self.posts.me.document()})

    async def _timeline(self, request: Request) -> Response:
        # A home timeline shows the account's own posts as well.
        return self._page(request, lambda _: True, smallest=1, filters=True)

    async def _mentions(self, request: Request) -> Response:
        me = self.posts.me
        return self._page(request, lambda post: post.author != me and post.mentions(me.username), smallest=5)

    async def _own(self, request: Request) -> Response:
        return self._page(request, lambda post: post.author == self.posts.me, smallest=5, filters=True)

    def _page(
        self, request: Request, keep: Callable[[XPost], bool], *, smallest: int, filters: bool = False
    ) -> Response:
        query = request.query_params
        allowed = _PAGING | _FIELDS | ({"exclude"} if filters else set())
        size = query.get("max_results", "100" if filters and smallest == 1 else "10")
        if unknown := set(query) - allowed:
            return self._invalid(unknown)
        if not size.isdigit() or not smallest <= int(size) <= 100:
            return self._invalid({"max_results"})
        if bad := {name for name in ("since_id", "until_id") if not query.get(name, "1").isdigit()}:
            return self._invalid(bad)
        until = query.get("pagination_token", query.get("until_id", "")).removeprefix("before")
        found = self._matching(query.get("since_id"), until, set(query.get("exclude", "").split(",")), keep, query)
        posts = list(islice(found, int(size)))
        more = next(found, None) is not None
        return JSONResponse(self._listing(posts, query, more=more))

    def _matching(
        self,
        since_id: str | None,
        until_id: str,
        excluded: set[str],
        keep: Callable[[XPost], bool],
        query: Mapping[str, str],
    ) -> Iterator[XPost]:
        for post in self.posts.between(since_id, until_id or None):
            if ("retweets" in excluded and post.reposted) or ("replies" in excluded and post.reply_to):
                continue
            # ISO times in UTC sort as text; the query's have no milliseconds.
            after, before = query.get("start_time", "")[:19], query.get("end_time", "~")[:19]
            if keep(post) and after <= post.created_at[:19] < before:
                yield post

    def _listing(self, posts: list[XPost], query: Mapping[str, str], *, more: bool) -> dict[str, Any]:
        if not posts:
            return {"meta": {"result_count": 0}}
        fields = set(query.get("tweet.fields", "").split(","))
        meta: dict[str, Any] = {
            "newest_id": posts[0].id,
            "oldest_id": posts[-1].id,
            "result_count": len(posts),
        }
        if more:
            meta["next_token"] = f"before{posts[-1].id}"
        document = {"data": [self.posts.document(post, fields) for post in posts], "meta": meta}
        includes = self._includes(posts, set(query.get("expansions", "").split(",")), fields)
        return document | ({"includes": includes} if includes else {})

    def _includes(self, posts: Iterable[XPost], expansions: set[str], fields: set[str]) -> dict[str, Any]:
        ids = {i: None for post in posts for i in (post.reply_to, post.quoted, post.reposted) if i}
        others = [self.posts.posts[i] for i in ids if i in self.posts.posts]
        includes: dict[str, Any] = {}
        if "referenced_tweets.id" in expansions and others:
            includes["tweets"] = [self.posts.document(post, fields) for post in others]
        shown = [*posts, *(others if "referenced_tweets.id.author_id" in expansions else [])]
        users = {post.author.id: post.author for post in shown}
        if expansions & {"author_id", "referenced_tweets.id.author_id"}:
            includes["users"] = [user.document() for user in users.values()]
        return includes

    async def _create(self, request: Request) -> Response:
        try:
            document = json.loads(await request.body())
            text = document.get("text", "")
        except (ValueError, AttributeError):
            return self.error(400, detail="the body must be a JSON object")
        if not isinstance(text, str) or not text.strip():
            return self.error(400, detail="a post needs text")
        reply_to = (document.get("reply") or {}).get("in_reply_to_tweet_id")
        if refusal := self._refusal(text, reply_to, document.get("quote_tweet_id")):
            return self.error(403, detail=refusal)
        post = self.posts.add(text, self.posts.me, reply_to=reply_to)
        return JSONResponse({"data": {"id": post.id, "text": text, "edit_history_tweet_ids": [post.id]}}, 201)

    def _refusal(self, text: str, reply_to: str | None, quoted: str | None) -> str:
        if quoted is not None:
            return "Quoting posts is not permitted for this access level."
        if weight(text) > MAX_WEIGHT:
            return "Your Tweet text is too long."
        mine = [post for post in self.posts.posts.values() if post.author == self.posts.me]
        if any(post.text == text and post.reply_to == reply_to for post in mine):
            return "You are not allowed to create a Tweet with duplicate content."
        return "" if reply_to is None else self._reply_refusal(reply_to)

    def _reply_refusal(self, reply_to: str) -> str:
        target = self.posts.posts.get(reply_to)
        if target is None:
            return "You attempted to reply to a Tweet that is deleted or not visible to you."
        if target.author == self.posts.me or target.mentions(self.posts.me.username):
            return ""
        return (
            "Reply to this conversation is not allowed because you have not been mentioned or otherwise engaged by the "
            "author of the post you are replying to."
        )

    def _invalid(self, names: Iterable[str]) -> Response:
        errors = [{"parameters": {name: []}, "message": f"The `{name}` query parameter is not valid"} for name in names]
        document = {
            "errors": errors,
            "title": "Invalid Request",
            "detail": "One or more parameters to your request was invalid.",
            "type": "https://api.twitter.com/2/problems/invalid-request",
            "status": 400,
        }
        return JSONResponse(document, 400, media_type=_PROBLEM)


class _Accounts(RequestValidator):
    """Validator of signatures for oauthlib."""

    enforce_ssl = False
    nonce_length = (8, 64)
    dummy_client = "none"
    dummy_access_token = dummy_client

    def __init__(self, account: XAccount) -> None:
        super().__init__()
        self._account = account
        self._seen: dict[str, float] = {}

    def check_client_key(self, client_key: str) -> bool:
        return client_key.isalnum()

    def check_access_token(self, request_token: str) -> bool:
        return request_token.isprintable()

    def validate_client_key(self, client_key: str, request: Any) -> bool:  # noqa: ARG002 -- oauthlib's signature
        return client_key == self._account.consumer_key

    def validate_access_token(self, client_key: str, token: str, request: Any) -> bool:  # noqa: ARG002
        return token == self._account.access_token

    def get_client_secret(self, client_key: str, request: Any) -> str:  # noqa: ARG002
        return self._account.consumer_secret

    def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:  # noqa: ARG002
        return self._account.access_token_secret

    def validate_realms(self, *_: Any, **__: Any) -> bool:
        return True

    def validate_timestamp_and_nonce(self, client_key: str, timestamp: str, nonce: str, *_: Any, **__: Any) -> bool:  # noqa: ARG002
        """Accept each request once, and only with a recent timestamp."""
        now = time.time()
        self._seen = {seen: at for seen, at in self._seen.items() if now - at < _CLOCK_S}
        if nonce in self._seen or abs(now - float(timestamp)) > _CLOCK_S:
            return False
        self._seen[nonce] = now
        return True
