"""Who may speak to the studio: pages of its own, on this machine, and nobody else's script.

- The `Host` header must name this machine. A page on the web whose name was rebound to 127.0.0.1 sends its own name.
- Whatever changes something is a POST with the page's token, which another site can neither read nor guess, from an
  origin that is the studio's own where the browser says which it is.
- No script, style, frame or form target but the studio's own (Content-Security-Policy), and nothing is cached.

Other accounts of the same machine can reach loopback; they are not kept out.
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
    """Puts the headers on every answer, errors included.

    Args:
        app: what answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                # Files of the package say themselves for how long they hold; pages are out of date at once.
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, send_with_headers)


def new_token() -> str:
    """A token for the pages of one run of the studio."""
    return secrets.token_urlsafe(24)


def is_token(given: str, token: str) -> bool:
    """Whether a form came with the token; takes as long whatever was given."""
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def is_own(headers: Headers) -> bool:
    """Whether a request comes from a page of the studio, or from outside any page, by what the browser says.

    Programs that are no browsers say nothing, and have no one's cookies or pages to abuse.
    """
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return False
    return headers.get("sec-fetch-site", "none") in {"same-origin", "none"}
