"""Google Sheets through gspread: a client with a time-out and a replaceable address, and the meaning of its errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
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
    brief,
    excerpt,
    is_loopback,
    leave_unsigned,
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
"""Address that is built into gspread."""
SERVICE = "Google Sheets"
# Without Drive: the key opens only sheets that are shared with the account.
_SCOPES = ["https://www.googleapis.com/auth/spreadsheets"]
_IDENTITY_URL = "https://iamcredentials.googleapis.com"

_FULL = re.compile(r"number of cells|cells in the (?:workbook|spreadsheet)|cell limit", re.IGNORECASE)
_WHOLE_SHEET = re.compile(r"parse range|no (?:sheet|grid) with id|protected|permission", re.IGNORECASE)
"""Words of a 400 about the tab or the spreadsheet; others are about the rows that were sent."""

_Answer = TypeVar("_Answer")


def read_service_account(path: Path) -> Mapping[str, Any]:
    """Read the key file of a service account.

    Raises:
        SettingsError: it is missing, unreadable or another file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the service account's key {path} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"the service account's key {path} is not valid JSON; download it again") from None
    if not isinstance(document, dict) or document.get("type") != "service_account":
        raise SettingsError(f"{path} is not a service account's key: its 'type' must be 'service_account'")
    return document


def open_client(
    service_account: Mapping[str, Any], *, base_url: str = URL, timeout_s: float = TIMEOUT_S
) -> gspread.Client:
    """A client that signs for the service account; nothing is sent yet.

    Raises:
        SettingsError: the key is incomplete.
    """
    try:
        credentials = Credentials.from_service_account_info(service_account, scopes=_SCOPES)
    except (ValueError, MalformedError) as error:
        # Without the cause: its traceback may show the key.
        raise SettingsError(f"the service account's key cannot be used: {excerpt(str(error))}") from None
    base_url = base_url.rstrip("/")
    # google-auth asks Google's identity service where the key is valid. With another address it asks that one.
    swaps = {} if base_url == URL else {_IDENTITY_URL: base_url}
    tokens = NetworkSession(timeout_s=timeout_s, swaps=swaps)

    class Client(gspread.HTTPClient):
        @override
        def request(self, method: str, endpoint: str, *args: Any, **kwargs: Any) -> requests.Response:
            return super().request(method, base_url + endpoint.removeprefix(URL), *args, **kwargs)

    session = AuthorizedSession(credentials, auth_request=Request(tokens))
    # On a stale connection an append that never left would be in doubt, so no connection is used twice.
    session.headers["Connection"] = "close"
    session.auth = leave_unsigned
    if is_loopback(base_url):
        session.trust_env = False  # a proxy of the environment cannot reach this machine
    client = gspread.Client(auth=credentials, session=session, http_client=Client)
    client.set_timeout(timeout_s)
    return client


def read(call: Callable[[], _Answer]) -> _Answer:
    """The answer of an idempotent call, which reads or always writes the same.

    Raises:
        NetworkError: Google did not answer, or answered with an error.
    """
    try:
        return call()
    except requests.JSONDecodeError as error:
        raise _unexpected_answer() from error
    except requests.RequestException as error:
        raise reading_error(SERVICE, error) from error
    except (GoogleAuthError, GSpreadException, PermissionError) as error:
        raise _refusal(error) from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        # gspread does not check the form of an answer.
        raise _unexpected_answer() from error


def write_once(call: Callable[[], _Answer]) -> _Answer:
    """The answer of a call that is not idempotent.

    Raises:
        DoubtfulError: it may or may not have been applied.
        NetworkError: it was not applied.
    """
    try:
        return call()
    except requests.RequestException as error:
        if was_sent(error):
            raise DoubtfulError(f"{SERVICE} did not confirm the write: {brief(error)}") from error
        raise NetworkUnavailableError(f"{SERVICE} could not be reached: {brief(error)}") from error
    except (GoogleAuthError, GSpreadException, PermissionError) as error:
        if isinstance(error, APIError) and error.response.status_code >= 500:
            raise DoubtfulError(f"{_words(error)}; it may have been applied") from error
        raise _write_refusal(error) from error
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise DoubtfulError(f"the answer to a write is not one of {SERVICE}'s") from error


def is_beyond(error: NetworkError) -> bool:
    """Whether a range was refused because the sheet ends before it."""
    cause = error.__cause__
    return isinstance(cause, APIError) and cause.response.status_code == 400 and "grid limits" in str(cause)


def _write_refusal(error: Exception) -> NetworkError:
    """The bot's error for a write that was not applied: one of the rows alone, or one of the whole sheet."""
    if not isinstance(error, APIError) or error.response.status_code != HTTPStatus.BAD_REQUEST:
        return _refusal(error)
    if _FULL.search(_said(error)):
        return NetworkUnavailableError(
            f"{_words(error)}; the spreadsheet is full: delete rows that are decided, or old tabs"
        )
    if _WHOLE_SHEET.search(_said(error)):
        return NetworkUnavailableError(f"{_words(error)}; the bot will look for the tab again")
    return NetworkUnavailableError(f"{_words(error)}; the bot will ask again", refuses_rows=True)


def _refusal(error: Exception) -> NetworkError:
    """The bot's error for one after which nothing was applied."""
    if isinstance(error, GoogleAuthError):
        return _token_refusal(error)
    if isinstance(error, PermissionError):
        return CredentialsError("the spreadsheet is not shared with the service account; share it as an editor")
    if isinstance(error, SpreadsheetNotFound):
        return CredentialsError("there is no such spreadsheet; copy the part of its address between /d/ and /edit")
    if isinstance(error, APIError):
        response = error.response
        return status_error(SERVICE, response.status_code, _said(error), response.headers)
    return NetworkUnavailableError(f"{SERVICE}: {brief(error)}; the bot will ask again")


def _token_refusal(error: GoogleAuthError) -> NetworkError:
    if isinstance(error, RefreshError) and not error.retryable:
        return CredentialsError(
            f"Google rejects the service account: {brief(error)}; make a new key in its console, or set the clock"
        )
    return NetworkUnavailableError(f"Google did not issue a token: {brief(error)}; the bot will ask again")


def _said(error: APIError) -> str:
    return excerpt(str(error.error.get("message", "")))


def _words(error: APIError) -> str:
    return f"{SERVICE} answered {error.response.status_code}: {_said(error)}"


def _unexpected_answer() -> NetworkError:
    return NetworkUnavailableError(f"the answer is not one of {SERVICE}'s; the bot will ask again")
