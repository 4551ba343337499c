"""Access to a studio that other machines can reach: a token, typed once in each browser.

A right token sets a cookie, which is derived from it and which no script can read. Tokens are compared in constant
time, and a wrong one is answered slowly. Without a token the studio listens on loopback alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
from typing import Final
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

LOGIN: Final = "/login"
_COOKIE = "deephypebot_studio"
_COOKIE_S = 30 * 24 * 3600
_WRONG_S = 0.5
_MAX_BODY = 4096
_OPEN = ("/static/",)
"""Beginnings of addresses that hold nothing of the workspace: style and scripts of the login page."""
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in · deephypebot studio</title></head>
<body>
<main>
<h1>deephypebot studio</h1>
<form method="post" action="{action}">
<p><label>Token <input type="password" name="token" autocomplete="current-password" autofocus required></label></p>
<p><button>Log in</button></p>
<p role="alert">{message}</p>
</form>
</main>
</body>
</html>
"""


class RequireToken:
    """Middleware that lets requests pass that bring the cookie of the login.

    Args:
        app: the application.
        token: what a curator has to type.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        self._pass = hmac.new(token.encode(), b"deephypebot studio", hashlib.sha256).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        if request.url.path == LOGIN:
            await (await self._login(request))(scope, receive, send)
        elif request.url.path.startswith(_OPEN) or _same(request.cookies.get(_COOKIE, ""), self._pass):
            await self._app(scope, receive, send)
        else:
            await _turned_away(request)(scope, receive, send)

    async def _login(self, request: Request) -> Response:
        if request.method == "POST":
            given = await _typed(request)
        elif request.method in {"GET", "HEAD"}:
            given = request.query_params.get("token", "")
            if not given:
                return _form("", 200)
        else:
            return PlainTextResponse("Method Not Allowed", 405)
        if not _same(given, self._token):
            await asyncio.sleep(_WRONG_S)
            return _form("This is not the token.", 403)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(
            _COOKIE,
            self._pass,
            max_age=_COOKIE_S,
            httponly=True,
            # A link with the token may come from a message; changes need the page's own token besides.
            samesite="lax",
            secure=request.url.scheme == "https",
        )
        return answer


async def _typed(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]


def _turned_away(request: Request) -> Response:
    """The way to the login for a page, and an error for a script or a program."""
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(LOGIN, 303)
    return PlainTextResponse("log in first", 401)


def _form(message: str, status_code: int) -> Response:
    return HTMLResponse(_PAGE.format(action=LOGIN, message=html.escape(message)), status_code)


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), right.encode("utf-8", "replace"))
