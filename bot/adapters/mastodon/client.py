"""Mastodon through Mastodon.py: a client that never waits by itself, and the meaning of a server's errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import requests
from mastodon import Mastodon
from mastodon.errors import (
    MastodonAPIError,
    MastodonError,
    MastodonNetworkError,
    MastodonRatelimitError,
    MastodonServerError,
)

from bot.adapters.http.session import TIMEOUT_S, NetworkSession, brief, excerpt, retry_time, was_sent
from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError
from bot.domain.networks import MASTODON

SERVICE = MASTODON.label

_Answer = TypeVar("_Answer")
_USER = re.compile(r"\baccount|e-?mail|confirmed|suspended|disabled", re.IGNORECASE)
"""Words of an error that speak of the user and not of the call."""


class MastodonClient:
    """A user's access to a server.

    Args:
        base_url: the server.
        access_token: token of an application that the user created in the server's settings.
        timeout_s: seconds without a byte after which a call fails.
    """

    def __init__(self, *, base_url: str, access_token: str, timeout_s: float = TIMEOUT_S) -> None:
        self._session = _Session(timeout_s=timeout_s, keep_alive=False)
        self.api = Mastodon(
            access_token=access_token,
            api_base_url=base_url,
            ratelimit_method="throw",
            request_timeout=timeout_s,
            # Otherwise it asks the server for its version before some calls.
            mastodon_version="4.0.0",
            version_check_mode="none",
            session=self._session,
            user_agent="deephypebot",
        )
        self._account: tuple[str, str] | None = None

    def account(self) -> tuple[str, str]:
        """Id and name of the user; requested once.

        Raises:
            NetworkError: the server did not answer, or answered with an error.
        """
        if self._account is None:
            user = self.read(self.api.account_verify_credentials)
            self._account = (str(user.id), str(user.acct))
        return self._account

    @property
    def known_name(self) -> str:
        """Name of the user, if it was requested already; empty before."""
        return self._account[1] if self._account is not None else ""

    def read(self, call: Callable[[], _Answer]) -> _Answer:
        """The answer of a call that changes nothing.

        Raises:
            NetworkError: the server did not answer, or answered with an error.
        """
        try:
            return call()
        except MastodonError as error:
            raise self.refusal(error) from error
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            # Mastodon.py does not check the form of an answer.
            raise NetworkUnavailableError(f"the answer is not one of {SERVICE}'s") from error

    def refusal(self, error: MastodonError) -> NetworkError:
        """The bot's error for one after which nothing was applied."""
        if isinstance(error, MastodonNetworkError):
            return NetworkUnavailableError(f"{SERVICE} did not answer: {brief(error)}; the bot will ask again")
        if isinstance(error, MastodonRatelimitError):
            at = retry_time(self._session.last_headers)
            return RateLimitedError(f"{SERVICE}: {brief(error)}; too many calls", retry_at=at)
        words = f"{SERVICE} answered {error_text(error)}"
        if status_of(error) in {401, 402, 403} or _USER.search(words):
            return CredentialsError(f"{words}; check the access token, what it may do, and the account's own page")
        return NetworkUnavailableError(f"{words}; the bot will ask again")


def status_of(error: MastodonError) -> int | None:
    """The HTTP status behind an error, where there is one."""
    status = error.args[1] if isinstance(error, MastodonAPIError) and len(error.args) > 1 else None
    return status if isinstance(status, int) else None


def error_text(error: MastodonError) -> str:
    """The server's own description of an error."""
    return excerpt(" ".join(str(part) for part in error.args[1:] if part) or str(error))


def is_doubtful(error: MastodonError) -> bool:
    """Whether a write that ended with this error may have been applied."""
    if isinstance(error, MastodonNetworkError):
        cause = error.__context__
        return not isinstance(cause, requests.RequestException) or was_sent(cause)
    # An error without a status is an answer that cannot be read.
    return isinstance(error, MastodonServerError) or (isinstance(error, MastodonAPIError) and status_of(error) is None)


class _Session(NetworkSession):
    """Session that keeps the last answer's headers, because Mastodon.py does not pass on the time of a rate limit."""

    def __init__(self, *, timeout_s: float, keep_alive: bool) -> None:
        super().__init__(timeout_s=timeout_s, keep_alive=keep_alive)
        self.last_headers: dict[str, str] = {}
        self.hooks["response"].append(self._remember)

    def _remember(self, response: requests.Response, *_: object, **__: object) -> None:
        self.last_headers = {name.lower(): value for name, value in response.headers.items()}
