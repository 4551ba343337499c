"""Bluesky through atproto: one session for reading and posting, and the meaning of a server's errors.

The library is the heaviest that the bot uses; it is imported only where Bluesky is switched on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from atproto_client import Client, Session, SessionEvent, exceptions
from atproto_client.request import Request, Response
from atproto_core.exceptions import AtProtocolError
from typing_extensions import override

from bot.adapters.http.session import TIMEOUT_S, brief, excerpt, is_loopback, retry_time
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.domain.networks import BLUESKY

URL = "https://bsky.social"
SERVICE = BLUESKY.label

LIBRARY_ERRORS = (AtProtocolError, httpx.HTTPError, AttributeError, KeyError, TypeError, ValueError)
"""Errors that atproto raises: its own, httpx's, and those caused by answers that are not Bluesky's."""
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "AuthenticationRequired"})
_ACCOUNT = re.compile(r"account|repo(?!rt)|takedown|takendown|deactivat|suspend|not confirmed|verif", re.IGNORECASE)
"""Words of an error's name or message that speak of the account and not of the post."""

_JSON = "application/json"

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The account of a session."""

    did: str
    handle: str


class _PlainRequest(Request):  # type: ignore[misc] # atproto does not export its types
    """Transport whose answers to queries are plain JSON, because atproto's parser refuses half a surrogate pair."""

    @override
    def get(self, *args: Any, **kwargs: Any) -> Response:
        answer = self._send_request("GET", *args, **kwargs)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return Response(success=True, status_code=answer.status_code, content=answer.json(), headers=headers)


class BlueskyClient:
    """An account's session, opened by the first call and again when the server no longer accepts it.

    Args:
        handle: the account's name, such as "bot.example.org".
        app_password: made in Bluesky's settings; never the account's own password.
        base_url: the account's server.
        timeout_s: seconds without a byte after which a call fails.
    """

    def __init__(self, *, handle: str, app_password: str, base_url: str = URL, timeout_s: float = TIMEOUT_S) -> None:
        self._handle = handle
        self._password = app_password
        # No connection is used twice: a stale one would turn a post that never left into one in doubt.
        limits = httpx.Limits(max_keepalive_connections=0)
        request = _PlainRequest(timeout=timeout_s, limits=limits, trust_env=not is_loopback(base_url))
        self.api = Client(f"{base_url.rstrip('/')}/xrpc", request=request)
        self.api.on_session_change(self._keep_account)
        self._account: Account | None = None

    def me(self) -> Account:
        """The account, signed in.

        Raises:
            NetworkError: the account cannot be used.
        """
        if self._account is None:
            self._login()
        if self._account is None:
            raise NetworkUnavailableError(f"the answer is not one of {SERVICE}'s; the bot will ask again")
        return self._account

    def ask(self, method: str, parameters: Any) -> Mapping[str, Any]:
        """The answer of a query as a plain document: in atproto's models one odd post spoils the whole page.

        Args:
            method: name of the query.
            parameters: atproto's model of its parameters.

        Raises:
            NetworkError: the server did not answer, or answered with an error.
        """
        return self.read(
            lambda: _document(self.api.invoke_query(method, params=parameters, output_encoding=_JSON).content)
        )

    def read(self, call: Callable[[], _Answer]) -> _Answer:
        """The answer of a call that changes nothing; repeated once if the session has expired.

        Raises:
            NetworkError: the server did not answer, or answered with an error.
        """
        self.me()
        try:
            return call()
        except LIBRARY_ERRORS as error:
            if not has_expired(error):
                raise refusal(error) from error
        self._login()
        try:
            return call()
        except LIBRARY_ERRORS as error:
            raise refusal(error) from error

    def reset_session(self) -> None:
        """Open a new session with the next call."""
        self._account = None

    def _keep_account(self, _event: SessionEvent, session: Session) -> None:
        self._account = Account(did=str(session.did), handle=str(session.handle))

    def _login(self) -> None:
        self._account = None
        try:
            self.api.login(self._handle, self._password, fetch_bsky_profile=False)
        except LIBRARY_ERRORS as error:
            # Without the cause: the request that it holds has the password in it.
            raise refusal(error) from None


def _document(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise TypeError(type(content).__name__)
    return content


def has_expired(error: Exception) -> bool:
    """Whether the server no longer accepts the session; nothing was applied."""
    return _name_of(error) in _EXPIRED


def is_about_the_account(error: Exception) -> bool:
    """Whether an answer speaks of the account, such as "AccountDeactivated" or "Could not find repo"."""
    return bool(_ACCOUNT.search(f"{_name_of(error)} {message_of(error)}"))


def is_doubtful(error: Exception) -> bool:
    """Whether a write that ended with this error may have been applied."""
    response = getattr(error, "response", None)
    if isinstance(error, exceptions.RequestErrorBase) and response is not None:
        return bool(response.status_code >= 500)
    cause = error.__cause__ if isinstance(error, exceptions.NetworkError) else error
    return not isinstance(cause, _NEVER_SENT)


def refusal(error: Exception) -> NetworkError:
    """The bot's error for one after which nothing was applied."""
    response = getattr(error, "response", None)
    if isinstance(error, exceptions.RateLimitExceededError) and response is not None:
        at = retry_time(response.headers)
        return RateLimitedError(f"{SERVICE}: {brief(error)}; too many calls", retry_at=at)
    if isinstance(error, exceptions.UnauthorizedError) or has_expired(error):
        return CredentialsError(f"{SERVICE} rejects the account: {brief(error)}; check the handle and the app password")
    if isinstance(error, exceptions.BadRequestError) and is_about_the_account(error):
        return CredentialsError(f"{SERVICE} answered {error_text(error)}; log in to the account and see what it says")
    if isinstance(error, exceptions.NetworkError | httpx.HTTPError) and response is None:
        cause = error.__cause__ or error
        return NetworkUnavailableError(f"{SERVICE} did not answer: {brief(cause)}; the bot will ask again")
    if isinstance(error, exceptions.RequestErrorBase):
        return NetworkUnavailableError(f"{SERVICE} answered {error_text(error)}; the bot will ask again")
    return NetworkUnavailableError(f"the answer is not one of {SERVICE}'s; the bot will ask again")


def error_text(error: Exception) -> str:
    """The server's own description of an error."""
    return excerpt(str(error))


def message_of(error: Exception) -> str:
    """The server's words for an error."""
    return str(getattr(_content_of(error), "message", None) or "")


def _name_of(error: Exception) -> str:
    """The error's name in Bluesky's protocol, such as "ExpiredToken"."""
    return str(getattr(_content_of(error), "error", None) or "")


def _content_of(error: Exception) -> object:
    return getattr(getattr(error, "response", None), "content", None)
