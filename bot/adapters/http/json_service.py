"""JSON over HTTP for services whose client libraries are left alone: a GET or two do not need one.

pylast insists on HTTPS and on its own time-outs; musicbrainzngs has had no release since 2020.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import requests

from bot.adapters.http.session import NetworkSession, excerpt, reading_error, status_error
from bot.domain.errors import NetworkError, NetworkUnavailableError

Document = Mapping[str, Any]


class Pace:
    """No more than one call in so many seconds, over all threads.

    Args:
        interval_s: seconds from one call to the next.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Return when it is the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        time.sleep(max(0.0, turn - now))


class JsonService:
    """One service's addresses below a base.

    Args:
        service: its name, for messages.
        base_url: where it is.
        contact: whom to write to, sent with each call.
        interval_s: seconds from one call to the next.
        timeout_s: seconds without a byte after which a call is given up.
        too_many: the status that says "too many calls", besides 429.
    """

    def __init__(
        self,
        service: str,
        base_url: str,
        *,
        contact: str,
        interval_s: float,
        timeout_s: float,
        too_many: int = 429,
    ) -> None:
        self._service = service
        self._base_url = base_url.rstrip("/")
        self._pace = Pace(interval_s)
        self._too_many = too_many
        self._session = NetworkSession(timeout_s=timeout_s)
        self._session.headers["User-Agent"] = f"deephypebot/{version('deephypebot')} ({contact})"

    def get(self, path: str, parameters: Mapping[str, str | int]) -> tuple[int, Document, Mapping[str, str]]:
        """Status, JSON object and headers of an answer below 500; what an error says is up to the service.

        Raises:
            NetworkError: no answer, none of the service's own, or an error of the server's.
        """
        self._pace.wait()
        try:
            answer = self._session.get(self._base_url + path, params=dict(parameters))
        except requests.RequestException as error:
            raise reading_error(self._service, _without_query(error)) from None
        try:
            document = answer.json()
        except requests.JSONDecodeError:
            document = None
        if answer.status_code >= 500 or answer.status_code == 429 or not isinstance(document, dict):
            raise self._error(answer)
        return answer.status_code, document, answer.headers

    def _error(self, answer: requests.Response) -> NetworkError:
        if answer.ok:
            return NetworkUnavailableError(f"{self._service} answered something that is not an answer of its")
        status = 429 if answer.status_code == self._too_many else answer.status_code
        return status_error(self._service, status, excerpt(answer.text), answer.headers)


def _without_query(error: requests.RequestException) -> requests.RequestException:
    """The error without the address, whose query may hold a key."""
    return requests.RequestException(type(error).__name__)
