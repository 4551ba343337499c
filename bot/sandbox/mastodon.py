"""Stand-in for a Mastodon server with the bot's account: home timeline, mentions, posting with idempotency keys."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.account import USERNAME
from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, StandIn

MAX_LENGTH = 500
_URL = re.compile(r"https?://\S+")
_MENTION = re.compile(r"@(\w+)")
_MESSAGES = {401: "The access token is invalid", 404: "Record not found", 429: "Too many requests"}
_ME = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    number: int
    author: str
    text: str
    at: datetime
    reply_to: str | None = None
    boosted: int | None = None


class MastodonStandIn(StandIn):
    """Stand-in for a Mastodon server."""

    name = "mastodon"

    def __init__(self, access_token: str, url: str) -> None:
        self._token = access_token
        self._url = url
        self._accounts = {USERNAME: _ME}
        self._keys: dict[str, int] = {}
        self.statuses: dict[int, _Status] = {}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        user = "/api/v1/accounts"
        return {
            "me": ("GET", f"{user}/verify_credentials", self._guarded(self._me)),
            "own": ("GET", f"{user}/{{id}}/statuses", self._guarded(self._own)),
            "timeline": ("GET", "/api/v1/timelines/home", self._guarded(self._home)),
            "mentions": ("GET", "/api/v1/notifications", self._guarded(self._mentions)),
            "post": ("POST", "/api/v1/statuses", self._guarded(self._post)),
        }

    def error(self, status: int, headers: Mapping[str, str] | None = None, message: str = "") -> Response:
        """Return an error with a message."""
        document = {"error": message or _MESSAGES.get(status, "Something went wrong")}
        return JSONResponse(document, status, headers=dict(headers or {}))

    def add(self, text: str, author: str, *, reply_to: str | None = None, boosted: str | None = None) -> str:
        """Add a post of a user; return its id."""
        status = _Status(
            number=len(self.statuses) + 1000,
            author=author,
            text=text,
            at=datetime.now(UTC),
            reply_to=reply_to,
            boosted=int(boosted) if boosted else None,
        )
        self._accounts.setdefault(author, str(len(self._accounts) + 1))
        self.statuses[status.number] = status
        return str(status.number)

    def posted(self) -> list[dict[str, Any]]:
        """Return the bot's own posts."""
        mine = [status for status in self.statuses.values() if status.author == USERNAME]
        return [{"id": str(one.number), "text": one.text, "reply_to": one.reply_to} for one in mine]

    def _guarded(self, handler: Handler) -> Handler:
        async def guarded(request: Request) -> Response:
            if request.headers.get("authorization") != f"Bearer {self._token}":
                return self.error(401)
            return await handler(request)

        return guarded

    async def _me(self, _: Request) -> Response:
        return JSONResponse(self._account(USERNAME))

    async def _home(self, request: Request) -> Response:
        return JSONResponse([self._document(one) for one in self._page(request, self.statuses.values())])

    async def _own(self, request: Request) -> Response:
        if request.path_params["id"] != _ME:
            return self.error(404)
        mine = (one for one in self.statuses.values() if one.author == USERNAME and one.boosted is None)
        return JSONResponse([self._document(one) for one in self._page(request, mine)])

    async def _mentions(self, request: Request) -> Response:
        naming = [
            one for one in self.statuses.values() if USERNAME in _MENTION.findall(one.text) and one.author != USERNAME
        ]
        if request.query_params.getlist("types[]") != ["mention"]:
            return self.error(422, message="the stand-in knows mentions alone")
        return JSONResponse(
            [
                {
                    "id": str(one.number),
                    "type": "mention",
                    "created_at": _time(one.at),
                    "account": self._account(one.author),
                    "status": self._document(one),
                }
                for one in self._page(request, naming)
            ]
        )

    async def _post(self, request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs((await request.body()).decode()).items()}
        text, parent = form.get("status", ""), form.get("in_reply_to_id")
        if not text.strip():
            return self.error(422, message="Validation failed: Text can't be blank")
        if len(_URL.sub("x" * 23, text)) > MAX_LENGTH:
            return self.error(422, message=f"Validation failed: Text character limit of {MAX_LENGTH} exceeded")
        if parent is not None and int(parent) not in self.statuses:
            return self.error(404)
        key = request.headers.get("idempotency-key", "")
        if key not in self._keys:
            self._keys[key or f"none {len(self.statuses)}"] = int(self.add(text, USERNAME, reply_to=parent))
        number = self._keys.get(key) or max(self.statuses)
        return JSONResponse(self._document(self.statuses[number]))

    def _page(self, request: Request, statuses: Iterable[_Status]) -> list[_Status]:
        query = request.query_params
        low, high = int(query.get("since_id", 0)), int(query.get("max_id", 1 << 62))
        ordered = sorted(statuses, key=lambda one: -one.number)
        between = (one for one in ordered if low < one.number < high)
        return list(islice(between, min(int(query.get("limit", 20)), 40)))

    def _account(self, name: str) -> dict[str, Any]:
        return {
            "id": self._accounts[name],
            "username": name,
            "acct": name,
            "display_name": name.title(),
            "url": f"{self._url}/@{name}",
        }

    def _document(self, status: _Status) -> dict[str, Any]:
        mentions = [name for name in dict.fromkeys(_MENTION.findall(status.text)) if name in self._accounts]
        reblog = self.statuses.get(status.boosted) if status.boosted else None
        return {
            "id": str(status.number),
            "created_at": _time(status.at),
            "in_reply_to_id": status.reply_to,
            "language": "en",
            "url": f"{self._url}/@{status.author}/{status.number}",
            "content": "" if reblog else _as_html(status.text),
            "account": self._account(status.author),
            "mentions": [self._account(name) for name in mentions],
            "reblog": self._document(reblog) if reblog else None,
        }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_html(text: str) -> str:
    """Return a text as Mastodon's HTML: paragraphs, line breaks, links with most of the address hidden."""
    parts: list[str] = []
    place = 0
    for found in _URL.finditer(text):
        parts += [_escape(text[place : found.start()]), _link(found[0])]
        place = found.end()
    parts.append(_escape(text[place:]))
    paragraphs = "".join(parts).split("\n\n")
    return "".join(f"<p>{paragraph.replace(chr(10), '<br />')}</p>" for paragraph in paragraphs)


def _escape(text: str) -> str:
    named = _MENTION.sub(lambda found: f"\0{found[1]}\0", text)
    escaped = html.escape(named)
    link = '<span class="h-card"><a href="https://example.org/@{0}" class="u-url mention">@<span>{0}</span></a></span>'
    return re.sub("\0(\\w+)\0", lambda found: link.format(found[1]), escaped)


def _link(url: str) -> str:
    shown = url.removeprefix("https://")
    hidden = html.escape(shown[30:])
    return (
        f'<a href="{html.escape(url)}" rel="nofollow noopener"><span class="invisible">https://</span>'
        f'<span class="ellipsis">{html.escape(shown[:30])}</span><span class="invisible">{hidden}</span></a>'
    )
