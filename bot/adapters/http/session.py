"""HTTP sessions with a time-out and a replaceable address, and the meaning of HTTP errors, for all networks.

The client libraries raise different errors. All of them use requests, and the question that matters is whether the
request reached the service.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import requests
from typing_extensions import override
from urllib3.exceptions import (
    ConnectTimeoutError,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from bot.domain.errors import CredentialsError, NetworkError, NetworkUnavailableError, RateLimitedError

TIMEOUT_S = 4.5
"""Seconds without a byte after which a call fails; below five, so that the bot stops within five."""
_NEVER_SENT = (ConnectTimeoutError, NameResolutionError, NewConnectionError, ProxyError, SSLError)
_EXCERPT = 200
# Headers of X, Mastodon and Bluesky; their values are seconds since the epoch or ISO 8601.
_RESETS = ("x-rate-limit-reset", "x-ratelimit-reset", "ratelimit-reset")


def is_loopback(url: str) -> bool:
    """Whether an address is one of this machine: a proxy of the environment cannot reach it.

    >>> is_loopback("http://127.0.0.1:8000/xrpc"), is_loopback("https://bsky.social")
    (True, False)
    """
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


class NetworkSession(requests.Session):
    """Session with a time-out for every call, which can replace the addresses that are built into libraries.

    Args:
        timeout_s: seconds after which a connection attempt fails, and without a byte after which an answer does.
        swaps: prefixes of addresses and their replacements, for stand-ins.
        keep_alive: whether connections are reused. Off where a write must not be lost on a stale connection.
    """

    # Attributes that a copy keeps: google-auth copies sessions.
    __attrs__ = [*requests.Session.__attrs__, "_timeout_s", "_swaps"]  # noqa: RUF012 -- requests' own way

    def __init__(
        self, *, timeout_s: float = TIMEOUT_S, swaps: Mapping[str, str] | None = None, keep_alive: bool = True
    ) -> None:
        super().__init__()
        self._timeout_s = timeout_s
        self._swaps = dict(swaps or {})
        self.auth = leave_unsigned
        if not keep_alive:
            self.headers["Connection"] = "close"

    @override
    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        text = url if isinstance(url, str) else url.decode()
        for prefix, other in self._swaps.items():
            if text.startswith(prefix):
                text = other + text.removeprefix(prefix)
                break
        asked = kwargs.get("timeout")
        # google-auth would wait for two minutes.
        kwargs["timeout"] = min(asked, self._timeout_s) if isinstance(asked, int | float) else self._timeout_s
        return super().request(method, text, *args, **kwargs)

    @override
    def merge_environment_settings(self, url: Any, *args: Any) -> Any:
        """Return the settings of a request; a proxy of the environment does not apply to this machine."""
        settings: Any = super().merge_environment_settings(url, *args)
        if is_loopback(url if isinstance(url, str) else url.decode()):
            settings["proxies"] = dict(self.proxies)
        return settings


def leave_unsigned(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Return the request unsigned. Without this, an entry of ~/.netrc would replace a token."""
    return request


def was_sent(error: requests.RequestException) -> bool:
    """Whether a request may have reached the service before it failed."""
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return False
    cause: Any = error.args[0] if error.args else None
    if isinstance(cause, MaxRetryError):
        cause = cause.reason
    return not isinstance(cause, _NEVER_SENT)


def retry_time(headers: Mapping[str, str], *, now: datetime | None = None) -> datetime | None:
    """Time of the next permitted call, from a rate limit's reset or Retry-After; None if no header names it.

    >>> retry_time({"x-rate-limit-reset": "1700000000"})
    datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    """
    now = now or datetime.now(UTC)
    reset = next((headers[name] for name in _RESETS if headers.get(name)), "")
    after = headers.get("retry-after", "")
    try:
        at = _reset_time(reset) if reset else _after_time(after, now)
    except (ValueError, OverflowError, OSError):
        return None  # an unreadable header is ignored
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _reset_time(reset: str) -> datetime:
    return datetime.fromisoformat(reset) if "T" in reset else datetime.fromtimestamp(float(reset), UTC)


def _after_time(after: str, now: datetime) -> datetime | None:
    if after.strip().isdigit():
        return datetime.fromtimestamp(now.timestamp() + int(after), UTC)
    return parsedate_to_datetime(after) if after else None


def reading_error(service: str, error: requests.RequestException) -> NetworkError:
    """The error of a call that changes nothing and got no answer."""
    return NetworkUnavailableError(f"{service} did not answer: {brief(error)}; the bot will ask again")


def status_error(service: str, status: int, said: str, headers: Mapping[str, str]) -> NetworkError:
    """The error of a call that changes nothing and got an error for an answer."""
    words = f"{service} answered {status}: {excerpt(said)}" if said else f"{service} answered {status}"
    if status == 429:
        return RateLimitedError(f"{words}; too many calls", retry_at=retry_time(headers))
    if status in {401, 403}:
        return CredentialsError(f"{words}; check the keys, the account's permissions and the clock")
    return NetworkUnavailableError(f"{words}; the bot will ask again", retry_at=retry_time(headers))


def brief(error: BaseException) -> str:
    """An error of a library on one line. Its text may contain an address, never a header."""
    return excerpt(f"{type(error).__name__}: {error}")


def excerpt(text: str) -> str:
    """The beginning of a text on one line; for a page of HTML, a note that it is one."""
    line = " ".join(text.split())
    if line[:15].lower().startswith(("<!doctype", "<html")):
        return "a page of HTML instead of an answer"
    return line if len(line) <= _EXCERPT else f"{line[: _EXCERPT - 1]}…"
