"""Protection of the studio from other sites: only its own pages, on this machine, may change anything.

- The `Host` header must name this machine. A web page whose name was rebound to 127.0.0.1 sends its own name.
- Every change is a POST with the page's token, which another site can neither read nor guess, and, if the browser sends
  an origin, from the studio's own. The workspace keeps the token, so that open pages outlive a restart of the studio.
- A report of an experiment has a policy of its own, which is stricter but for the style in it.
- Scripts, styles, frames and form targets must be the studio's own (Content-Security-Policy), and nothing is cached.

Other accounts of the same machine can reach loopback; the studio does not exclude them.
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_FILE: Final = "studio-page-token"  # noqa: S105 -- the name of a file
"""File of the workspace with the token of its studios' pages; without it a new one is made."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32}")
ALLOWED_HOSTS = ("127.0.0.1", "localhost")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; sandbox"
)
"""Policy of a report, another program's document: it has the style that is in it, and no script, form or origin."""
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Stricter policies make browsers send "Origin: null" with the studio's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Middleware that adds the security headers to every response, errors included.

    Args:
        app: the application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                is_report = headers.get("Content-Security-Policy") == REPORT_POLICY
                headers.update(_HEADERS)
                if is_report:
                    headers["Content-Security-Policy"] = REPORT_POLICY
                # Static files set their own lifetime; pages are outdated at once.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def new_token() -> str:
    """Return a token for the pages of one run of the studio."""
    return secrets.token_urlsafe(24)


def kept_token(workspace: Path) -> str:
    """Return the token of a workspace's pages, which only its owner can read; it is made if there is none.

    A workspace that cannot be written gets a token for this run alone.
    """
    path = workspace / TOKEN_FILE
    for _ in range(2):
        with suppress(OSError, UnicodeError):
            path.chmod(0o600)
            if _TOKEN.fullmatch(token := path.read_text(encoding="ascii")):
                return token
        # Written under another name first: a studio that starts at the same moment reads a whole token or none.
        fresh = path.with_name(f".{TOKEN_FILE}.{secrets.token_hex(4)}")
        with suppress(OSError):
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(new_token())
            fresh.replace(path)
        with suppress(OSError):  # left where the workspace's name is taken by something else
            fresh.unlink(missing_ok=True)
    return new_token()


def is_token(given: str, token: str) -> bool:
    """Whether a form has the token, in constant time."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def is_own(headers: Headers) -> bool:
    """Whether a request comes from a page of the studio, or not from any page, by the browser's headers.

    Other programs do not send these headers; they do not have another user's pages to abuse.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
