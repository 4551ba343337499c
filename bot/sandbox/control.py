"""The stand-ins' other side: what a test, or a person who tries the bot out, does to them. Under /sandbox/.

GET  /sandbox/settings         addresses and credentials
GET  /sandbox/calls            the latest calls; /sandbox/exchanges: in full, where recording is on
POST /sandbox/faults           queue a `Fault`; DELETE forgets those that wait
POST /sandbox/release          let held calls go on
POST /sandbox/tweets           somebody posts: {"posts": [{"text", "author", "id", "repost_of", "reply_to"}]}
GET  /sandbox/posted           what the bot posted on X
GET  /sandbox/sheet?title=     the rows of a tab, as shown
POST /sandbox/sheet/edit       a curator types: {"title", "key", "column", "value"}
POST /sandbox/sheet/sort       a curator sorts: {"title", "column", "descending"}
POST /sandbox/renew            make X's access token valid again
POST /sandbox/forget           forget the calls that were logged
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.account import SandboxSettings
from bot.sandbox.calls import Fault, Gate, Handler
from bot.sandbox.sheet_grid import RangeError, parse_range
from bot.sandbox.sheets import SheetsStandIn
from bot.sandbox.x import XStandIn


class Control:
    """Answers the control's calls."""

    def __init__(self, *, settings: SandboxSettings, gate: Gate, x: XStandIn, sheets: SheetsStandIn) -> None:
        self._settings = settings
        self._gate = gate
        self._x = x
        self._sheets = sheets

    def routes(self) -> list[Route]:
        """All under /sandbox/."""
        routes: dict[tuple[str, str], Handler] = {
            ("GET", "settings"): self._show_settings,
            ("GET", "calls"): self._calls,
            ("GET", "exchanges"): self._exchanges,
            ("POST", "faults"): self._add_fault,
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "release"): self._release,
            ("POST", "tweets"): self._tweets,
            ("GET", "posted"): self._posted,
            ("GET", "sheet"): self._sheet,
            ("POST", "sheet/edit"): self._edit,
            ("POST", "sheet/sort"): self._sort,
            ("POST", "renew"): self._renew,
            ("POST", "forget"): self._forget,
        }
        return [
            Route(f"/sandbox/{path}", _checked(handler), methods=[method]) for (method, path), handler in routes.items()
        ]

    async def _show_settings(self, _: Request) -> Response:
        return JSONResponse(self._settings.as_document())

    async def _calls(self, _: Request) -> Response:
        return JSONResponse({"calls": self._gate.log.documents(), "faults_waiting": len(self._gate.faults)})

    async def _exchanges(self, _: Request) -> Response:
        return JSONResponse({"exchanges": list(self._gate.log.exchanges)})

    async def _add_fault(self, request: Request) -> Response:
        self._gate.faults.add(Fault(**await request.json()))
        return _done()

    async def _clear_faults(self, _: Request) -> Response:
        self._gate.faults.clear()
        return _done()

    async def _release(self, _: Request) -> Response:
        self._gate.release()
        return _done()

    async def _tweets(self, request: Request) -> Response:
        posts = self._x.posts
        added = [
            posts.add(
                post.get("text", ""),
                posts.user(post.get("author", "somebody")),
                reply_to=post.get("reply_to"),
                reposted=post.get("repost_of"),
                post_id=post.get("id"),
            ).id
            for post in (await request.json())["posts"]
        ]
        return JSONResponse({"ids": added})

    async def _posted(self, _: Request) -> Response:
        posts = self._x.posts
        mine = [post for post in posts.posts.values() if post.author == posts.me]
        return JSONResponse(
            {"posts": [{"id": p.id, "text": p.text, "reply_to": p.reply_to, "at": p.created_at} for p in mine]}
        )

    async def _sheet(self, request: Request) -> Response:
        sheet = self._sheets.sheet(request.query_params.get("title"))
        return JSONResponse({"rows": sheet.read(parse_range(sheet.title)), "drop_downs": sheet.drop_downs})

    async def _edit(self, request: Request) -> Response:
        self._sheets.edit(**await request.json())
        return _done()

    async def _sort(self, request: Request) -> Response:
        self._sheets.sort(**await request.json())
        return _done()

    async def _renew(self, _: Request) -> Response:
        self._x.renew_tokens()
        return _done()

    async def _forget(self, _: Request) -> Response:
        self._gate.log.clear()
        return _done()


def _checked(handler: Handler) -> Handler:
    async def checked(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, TypeError, KeyError, RangeError) as error:
            # The one who reads this is the one who sent it.
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return checked


def _done() -> Response:
    document: dict[str, Any] = {}
    return JSONResponse(document)
