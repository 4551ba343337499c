"""Google Sheets through gspread: a client with a time-out and a choice of address, and what Google's errors mean."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import gspread
import requests
from google.auth.exceptions import GoogleAuthError, MalformedError, RefreshError
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2.service_account import Credentials
from gspread.exceptions import APIError, GSpreadException, SpreadsheetNotFound
from typing_extensions import override

from bot.adapters.http.session import (
    TIMEOUT_S,
    NetworkSession,
    as_it_is,
    brief,
    excerpt,
    reading_error,
    status_error,
    was_sent,
)
from bot.domain.errors import (
    CredentialsError,
    DoubtfulError,
    NetworkError,
    NetworkUnavailableError,
    SettingsError,
)

URL = "https://sheets.googleapis.com"
"""Built into gspread."""
SERVICE = "Google Sheets"
# Neither Drive nor anything else: the key opens the sheets that are shared with it, and nothing more.
_SCOPES = ["https://www.googleapis.com/auth/spreadsheets"]
_IDENTITY_URL = "https://iamcredentials.googleapis.com"

_Answer = TypeVar("_Answer")


def read_service_account(path: Path) -> Mapping[str, Any]:
    """The key file of a service account.

    Raises:
        SettingsError: it is missing, unreadable or another file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the service account's key {path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"the service account's key {path} is no JSON; download it anew from Google") from None
    if not isinstance(document, dict) or document.get("type") != "service_account":
        raise SettingsError(f"{path} is no service account's key: its 'type' must be 'service_account'")
    return document


def open_client(
    service_account: Mapping[str, Any], *, base_url: str = URL, timeout_s: float = TIMEOUT_S
) -> gspread.Client:
    """A client that signs for the service account; nothing is sent yet.

    Raises:
        SettingsError: the key misses something.
    """
    try:
        credentials = Credentials.from_service_account_info(service_account, scopes=_SCOPES)
    except (ValueError, MalformedError) as error:
        # Without the cause: its traceback may show the key.
        raise SettingsError(f"the service account's key cannot be used: {excerpt(str(error))}") from None
    base_url = base_url.rstrip("/")
    # google-auth asks Google's identity service where the key may be used; away from Google it asks the stand-in.
    swaps = {} if base_url == URL else {_IDENTITY_URL: base_url}
    tokens = NetworkSession(timeout_s=timeout_s, swaps=swaps)

    class Client(gspread.HTTPClient):
        @override
        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
            return super().request(method, base_url + endpoint.removeprefix(URL), *args, **kwargs)

    session = AuthorizedSession(credentials, auth_request=Request(tokens))
    # A stale connection would turn an append that never left into one in doubt, so none is used twice.
    session.headers["Connection"] = "close"
    session.auth = as_it_is
    client = gspread.Client(auth=credentials, session=session, http_client=Client)
    client.set_timeout(timeout_s)
    return client


def read(call: Callable[[], _Answer]) -> _Answer:
    """The answer of a call that may be repeated: it reads, or writes what is the same each time.

    Raises:
        NetworkError: Google did not answer, or with an error.
    """
    try:
        return call()
    except requests.JSONDecodeError as error:
        raise _strange() from error
    except requests.RequestException as error:
        raise reading_error(SERVICE, error) from error
    except (GoogleAuthError, GSpreadException, PermissionError) as error:
        raise _refusal(error) from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        # gspread takes every answer for an object with the fields that Google promises.
        raise _strange() from error


def write_once(call: Callable[[], _Answer]) -> _Answer:
    """The answer of a call that must not be repeated blindly.

    Raises:
        DoubtfulError: nobody knows whether it was applied.
        NetworkError: it was not.
    """
    try:
        return call()
    except requests.RequestException as error:
        if was_sent(error):
            raise DoubtfulError(f"{SERVICE} did not say whether it was applied: {brief(error)}") from error
        raise NetworkUnavailableError(f"{SERVICE} could not be reached: {brief(error)}") from error
    except (GoogleAuthError, GSpreadException, PermissionError) as error:
        if isinstance(error, APIError) and error.response.status_code >= 500:
            raise DoubtfulError(f"{_words(error)}; it may have been applied") from error
        raise _refusal(error) from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise DoubtfulError(f"{SERVICE} answered a write with something that is not an answer of its") from error


def is_beyond(error: NetworkError) -> bool:
    """Whether a range was refused because the sheet ends before it."""
    cause = error.__cause__
    return isinstance(cause, APIError) and cause.response.status_code == 400 and "grid limits" in str(cause)


def _refusal(error: Exception) -> NetworkError:
    """An error that says: nothing was applied."""
    if isinstance(error, GoogleAuthError):
        return _token_refusal(error)
    if isinstance(error, PermissionError):
        return CredentialsError("the spreadsheet is not shared with the service account; share it as an editor")
    if isinstance(error, SpreadsheetNotFound):
        return CredentialsError("there is no such spreadsheet; copy the part of its address between /d/ and /edit")
    if isinstance(error, APIError):
        response = error.response
        return status_error(SERVICE, response.status_code, _said(error), response.headers)
    return NetworkUnavailableError(f"{SERVICE}: {brief(error)}; it will be asked again")


def _token_refusal(error: GoogleAuthError) -> NetworkError:
    if isinstance(error, RefreshError) and not error.retryable:
        return CredentialsError(
            f"Google refuses the service account: {brief(error)}; make a new key in its console, or set the clock"
        )
    return NetworkUnavailableError(f"Google's token service gave no token: {brief(error)}; it will be asked again")


def _said(error: APIError) -> str:
    return excerpt(str(error.error.get("message", "")))


def _words(error: APIError) -> str:
    return f"{SERVICE} answered {error.response.status_code}: {_said(error)}"


def _strange() -> NetworkError:
    return NetworkUnavailableError(f"{SERVICE} answered something that is not an answer of its; it will be asked again")
