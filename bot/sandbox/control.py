"""HTTP control of the stand-ins under /sandbox/, for tests and for people who try the bot.

GET  /sandbox/settings         addresses and credentials
GET  /sandbox/calls            the latest calls; /sandbox/exchanges: in full, if recording is on
POST /sandbox/faults           queue a `Fault`
POST /sandbox/release          continue the held calls
POST /sandbox/posts            add posts of users: {"network", "posts": [{"text", "author", "id", "repost_of", ...}]}
GET  /sandbox/posted?network=  the bot's own posts; on X without a network
GET  /sandbox/sheet?title=     the rows of a tab, as displayed, and each row's notes by column
POST /sandbox/sheet/edit       edit a row as a curator: {"title", "key", "column", "value"}
POST /sandbox/sheet/sort       sort the rows as a curator: {"title", "column", "descending"}
POST /sandbox/sheet/rename     rename a tab as a curator: {"title", "to"}
POST /sandbox/sheet/delete     delete a tab as a curator: {"title"}
POST /sandbox/renew            make X's access token valid again
POST /sandbox/forget           empty the call log
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.account import SandboxSettings
from bot.sandbox.answers import JSONResponse
from bot.sandbox.bluesky import BlueskyStandIn
from bot.sandbox.calls import Fault, Gate, Handler
from bot.sandbox.mastodon import MastodonStandIn
from bot.sandbox.sheet_grid import RangeError, parse_range
from bot.sandbox.sheets import SheetsStandIn
from bot.sandbox.x import XStandIn


class Control:
    """Handlers of the control's calls."""

    def __init__(
        self,
        *,
        settings: SandboxSettings,
        gate: Gate,
        x: XStandIn,
        sheets: SheetsStandIn,
        mastodon: MastodonStandIn,
        bluesky: BlueskyStandIn,
    ) -> None:
        self._settings = settings
        self._gate = gate
        self._mastodon = mastodon
        self._bluesky = bluesky
        self._x = x
        self._sheets = sheets

    def routes(self) -> list[Route]:
        """Return the routes under /sandbox/."""
        routes: dict[tuple[str, str], Handler] = {
            ("GET", "settings"): self._show_settings,
            ("GET", "calls"): self._calls,
            ("GET", "exchanges"): self._exchanges,
            ("POST", "faults"): self._add_fault,
            ("POST", "release"): self._release,
            ("POST", "posts"): self._add_posts,
            ("GET", "posted"): self._posted,
            ("GET", "sheet"): self._sheet,
            ("POST", "sheet/edit"): self._edit,
            ("POST", "sheet/sort"): self._sort,
            ("POST", "sheet/rename"): self._rename,
            ("POST", "sheet/delete"): self._delete,
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

    async def _release(self, _: Request) -> Response:
        self._gate.release()
        return _done()

    async def _add_posts(self, request: Request) -> Response:
        document = await request.json()
        return JSONResponse({"ids": [self._add(document.get("network", "x"), post) for post in document["posts"]]})

    def _add(self, network: str, post: Mapping[str, str]) -> str:
        text, author = post.get("text", ""), post.get("author", "somebody")
        if network == "mastodon":
            return self._mastodon.add(text, author, boosted=post.get("repost_of"))
        if network == "bluesky":
            return self._bluesky.add(text, f"{author}.test", reposted=post.get("repost_of"))
        return self._x.add(
            text, author, reply_to=post.get("reply_to"), repost_of=post.get("repost_of"), post_id=post.get("id")
        )

    async def _posted(self, request: Request) -> Response:
        networks: dict[str, XStandIn | MastodonStandIn | BlueskyStandIn] = {
            "x": self._x,
            "mastodon": self._mastodon,
            "bluesky": self._bluesky,
        }
        return JSONResponse({"posts": networks[request.query_params.get("network", "x")].posted()})

    async def _sheet(self, request: Request) -> Response:
        sheet = self._sheets.sheet(request.query_params.get("title"))
        rows = sheet.read(parse_range(sheet.title))
        notes = [{str(column): note for column, note in sorted(of_row.items())} for of_row in sheet.notes[: len(rows)]]
        return JSONResponse({"rows": rows, "notes": notes, "drop_downs": sheet.drop_downs})

    async def _edit(self, request: Request) -> Response:
        self._sheets.edit(**await request.json())
        return _done()

    async def _sort(self, request: Request) -> Response:
        self._sheets.sort(**await request.json())
        return _done()

    async def _rename(self, request: Request) -> Response:
        self._sheets.rename(**await request.json())
        return _done()

    async def _delete(self, request: Request) -> Response:
        self._sheets.delete(**await request.json())
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
            # The reader of the message is the sender of the request.
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return checked


def _done() -> Response:
    document: dict[str, Any] = {}
    return JSONResponse(document)
