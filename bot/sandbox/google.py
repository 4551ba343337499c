"""Stand-in for Google's token endpoint; it checks the assertion's signature, audience, issuer and age."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from urllib.parse import parse_qs

from google.auth import exceptions, jwt
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from bot.sandbox.account import SERVICE_ACCOUNT, GoogleAccount
from bot.sandbox.answers import JSONResponse
from bot.sandbox.calls import Handler, StandIn

TOKEN_S = 3599
_AUDIENCE = "https://oauth2.googleapis.com/token"
"""Audience that google-auth always sends, whatever the endpoint."""
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/spreadsheets"


class GoogleStandIn(StandIn):
    """Stand-in for Google's identity service, with one service account."""

    name = "google"

    def __init__(self, account: GoogleAccount) -> None:
        self._account = account
        self._tokens: dict[str, float] = {}

    @override
    def operations(self) -> Mapping[str, tuple[str, str, Handler]]:
        return {"token": ("POST", "/token", self._token)}

    def error(self, status: int, headers: Mapping[str, str] | None = None, error: str = "") -> Response:
        """Return an error of OAuth 2.0."""
        # google-auth treats "internal_failure" as transient.
        error = error or ("internal_failure" if status >= 500 else "invalid_grant")
        return JSONResponse({"error": error, "error_description": error}, status, headers=dict(headers or {}))

    @override
    def forget_tokens(self) -> None:
        self._tokens.clear()

    def is_valid(self, request: Request) -> bool:
        """Whether a request has a token that was issued here and has not expired."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self._tokens.get(token, 0.0) > time.time()

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if form.get("grant_type") != [_GRANT]:
            return self.error(400, error="unsupported_grant_type")
        try:
            claims = jwt.decode(
                form.get("assertion", [""])[0],
                certs=self._account.public_key,
                audience=_AUDIENCE,
            )
        except (ValueError, exceptions.GoogleAuthError):
            return self.error(400, error="invalid_grant")
        if claims.get("iss") != SERVICE_ACCOUNT:
            return self.error(400, error="invalid_grant")
        if _SCOPE not in str(claims.get("scope", "")).split():
            return self.error(400, error="invalid_scope")
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.time() + TOKEN_S
        return JSONResponse({"access_token": token, "expires_in": TOKEN_S, "token_type": "Bearer"})
