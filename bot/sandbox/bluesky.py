"""Stand-in for a Bluesky server with the bot's account: expiring sessions, timeline, mentions, own posts, posting."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, StandIn

MAX_LENGTH = 300
_SESSION_S = 7200
_ALPHABET = "234567abcdefghijklmnopqrstuvwxyz"
_MENTION = re.compile(r"@([\w.-]+)")
_NAMES = {400: "InvalidRequest", 401: "AuthenticationRequired", 429: "RateLimitExceeded"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """A post, or a repost of one."""

    at: str
    handle: str
    uri: str
    record: dict[str, Any]
    reposted_by: str | None = None

    @property
    def cid(self) -> str:
        return "bafyrei" + hashlib.sha256(self.uri.encode()).hexdigest()[:52]


class BlueskyStandIn(StandIn):
    """Stand-in for a Bluesky server and its network."""

    name = "bluesky"

    def __init__(self, handle: str, password: str) -> None:
        self._handle = handle
        self._password = password
        self._tokens: dict[str, float] = {}
        self._last_micros = 0
        self.items: list[_Item] = []

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        feed = "/xrpc/app.bsky.feed"
        return {
            "login": ("POST", "/xrpc/com.atproto.server.createSession", self._login),
            "refresh": ("POST", "/xrpc/com.atproto.server.refreshSession", self._guarded(self._refresh)),
            "profile": ("GET", "/xrpc/app.bsky.actor.getProfile", self._guarded(self._profile)),
            "timeline": ("GET", f"{feed}.getTimeline", self._guarded(self._timeline)),
            "mentions": ("GET", "/xrpc/app.bsky.notification.listNotifications", self._guarded(self._mentions)),
            "own": ("GET", f"{feed}.getAuthorFeed", self._guarded(self._own)),
            "posts": ("GET", f"{feed}.getPosts", self._guarded(self._posts)),
            "post": ("POST", "/xrpc/com.atproto.repo.createRecord", self._guarded(self._create)),
        }

    def error(
        self, status: int, headers: Mapping[str, str] | None = None, error: str = "", message: str = ""
    ) -> Response:
        """Return an error with a name and a message."""
        name = error or _NAMES.get(status, "InternalServerError")
        return JSONResponse({"error": name, "message": message or name}, status, headers=dict(headers or {}))

    @override
    def forget_tokens(self) -> None:
        self._tokens.clear()

    def add(self, text: str, handle: str, *, reply: Any = None, reposted: str | None = None) -> str:
        """Add a post or repost of a user; return its address."""
        micros = self._last_micros = max(int(time.time() * 1e6), self._last_micros + 1000)
        at = datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if reposted is not None:
            original = next(item for item in self.items if item.uri == reposted and item.reposted_by is None)
            self.items.append(
                _Item(at=at, handle=original.handle, uri=reposted, record=original.record, reposted_by=handle)
            )
            return reposted
        record: dict[str, Any] = {"$type": "app.bsky.feed.post", "text": text, "createdAt": at, "langs": ["en"]}
        mentions = [found for found in _MENTION.finditer(text) if found[1] == self._handle]
        if mentions:
            record["facets"] = [_mention(text, found, _did(found[1])) for found in mentions]
        if reply is not None:
            record["reply"] = reply
        uri = f"at://{_did(handle)}/app.bsky.feed.post/{_tid(micros)}"
        self.items.append(_Item(at=at, handle=handle, uri=uri, record=record))
        return uri

    def posted(self) -> list[dict[str, Any]]:
        """Return the bot's own posts."""
        mine = [item for item in self.items if item.handle == self._handle and item.reposted_by is None]
        return [
            {
                "id": item.uri,
                "text": item.record["text"],
                "reply_to": item.record.get("reply", {}).get("parent", {}).get("uri"),
                "facets": item.record.get("facets", []),
            }
            for item in mine
        ]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            if self._tokens.get(token, 0.0) <= time.time():
                return self.error(400, error="ExpiredToken", message="Token has expired")
            return await handler(request)

        return guarded

    async def _login(self, request: Request) -> Response:
        document = json.loads(await request.body())
        if (document.get("identifier"), document.get("password")) != (self._handle, self._password):
            return self.error(401, message="Invalid identifier or password")
        return self._session()

    async def _refresh(self, _: Request) -> Response:
        return self._session()

    def _session(self) -> Response:
        tokens = [self._token(scope) for scope in ("access", "refresh")]
        did = _did(self._handle)
        return JSONResponse({"accessJwt": tokens[0], "refreshJwt": tokens[1], "handle": self._handle, "did": did})

    def _token(self, scope: str) -> str:
        """Return a token in the form of a JWT, because clients read its expiry; the signature is not used."""
        expires = int(time.time()) + _SESSION_S
        claims = {"scope": scope, "sub": _did(self._handle), "exp": expires, "jti": str(len(self._tokens))}
        token = ".".join(map(_base64, (json.dumps({"alg": "none"}), json.dumps(claims), str(time.time_ns()))))
        self._tokens[token] = expires
        return token

    async def _profile(self, request: Request) -> Response:
        return JSONResponse(_author(request.query_params["actor"]))

    async def _timeline(self, request: Request) -> Response:
        items, cursor = self._page(request, self.items)
        return JSONResponse({"feed": [_feed_item(item) for item in items], **cursor})

    async def _own(self, request: Request) -> Response:
        mine = [item for item in self.items if _did(item.handle) == request.query_params["actor"]]
        items, cursor = self._page(request, [item for item in mine if item.reposted_by is None])
        return JSONResponse({"feed": [_feed_item(item) for item in items], **cursor})

    async def _posts(self, request: Request) -> Response:
        uris = request.query_params.getlist("uris")
        found = {item.uri: item for item in self.items if item.uri in uris}
        return JSONResponse({"posts": [_view(item) for item in found.values()]})

    async def _mentions(self, request: Request) -> Response:
        naming = [item for item in self.items if item.record.get("facets") and item.handle != self._handle]
        if request.query_params.getlist("reasons") != ["mention"]:
            return self.error(400, message="the stand-in knows mentions alone")
        items, cursor = self._page(request, [item for item in naming if item.reposted_by is None])
        notifications = [{**_view(item), "reason": "mention", "isRead": False} for item in items]
        return JSONResponse({"notifications": notifications, **cursor})

    async def _create(self, request: Request) -> Response:
        document = json.loads(await request.body())
        record = document.get("record") or {}
        text = record.get("text")
        if document.get("collection") != "app.bsky.feed.post" or document.get("repo") != _did(self._handle):
            return self.error(400, message="the stand-in keeps the account's posts alone")
        if not isinstance(text, str) or len(text) > MAX_LENGTH:
            return self.error(400, message=f"Record/text must not be longer than {MAX_LENGTH} graphemes")
        uri = self.add(text, self._handle, reply=record.get("reply"))
        item = self.items[-1]
        if record.get("facets"):
            item.record["facets"] = record["facets"]
        return JSONResponse({"uri": uri, "cid": item.cid})

    def _page(self, request: Request, items: Iterable[_Item]) -> tuple[list[_Item], dict[str, str]]:
        before = request.query_params.get("cursor", "~")
        limit = int(request.query_params.get("limit", 50))
        ordered = sorted((item for item in items if item.at < before), key=lambda item: item.at, reverse=True)
        page = ordered[:limit]
        return page, {"cursor": page[-1].at} if page and len(ordered) > limit else {}


def _did(handle: str) -> str:
    return "did:plc:" + hashlib.sha256(handle.encode()).hexdigest()[:24]


def _author(actor: str) -> dict[str, Any]:
    return {"did": _did(actor), "handle": actor}


def _view(item: _Item) -> dict[str, Any]:
    author = _author(item.handle)
    return {"uri": item.uri, "cid": item.cid, "author": author, "record": item.record, "indexedAt": item.at}


def _feed_item(item: _Item) -> dict[str, Any]:
    if item.reposted_by is None:
        return {"post": _view(item)}
    reason = {"$type": "app.bsky.feed.defs#reasonRepost", "by": _author(item.reposted_by), "indexedAt": item.at}
    return {"post": _view(item), "reason": reason}


def _mention(text: str, found: re.Match[str], did: str) -> dict[str, Any]:
    """Return a facet; its position is counted in bytes."""
    start, end = (len(text[:place].encode()) for place in found.span())
    feature = {"$type": "app.bsky.richtext.facet#mention", "did": did}
    return {"index": {"byteStart": start, "byteEnd": end}, "features": [feature]}


def _tid(micros: int) -> str:
    """Return a record key, which grows with time."""
    number, digits = micros << 10, ""
    for _ in range(13):
        number, rest = divmod(number, 32)
        digits = _ALPHABET[rest] + digits
    return digits


def _base64(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
