"""Protection of the studio from other sites: only its own pages, on this machine, may change anything.

- The `Host` header must name this machine. A web page whose name was rebound to 127.0.0.1 sends its own name.
- Every change is a POST with the page's token, which another site can neither read nor guess, and, if the browser sends
  an origin, from the studio's own.
- Scripts, styles, frames and form targets must be the studio's own (Content-Security-Policy), and nothing is cached.

Other accounts of the same machine can reach loopback; the studio does not exclude them.
"""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALLOWED_HOSTS = ("127.0.0.1", "localhost")
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
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
                headers.update(_HEADERS)
                # Static files set their own lifetime; pages are outdated at once.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def new_token() -> str:
    """Return a token for the pages of one run of the studio."""
    return secrets.token_urlsafe(24)


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
