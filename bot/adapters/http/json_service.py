"""JSON over HTTP for services that need a GET or two and no client library.

pylast insists on HTTPS and on its own time-outs; musicbrainzngs has had no release since 2020.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import requests

from bot.adapters.http.session import NetworkSession, brief, excerpt, reading_error, status_error
from bot.domain.errors import NetworkError, NetworkUnavailableError, OddAnswerError
from bot.domain.odd_items import ODD, odd_item

Document = Mapping[str, Any]


class Pace:
    """Pause between calls, over all threads.

    Args:
        interval_s: seconds from one call to the next.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Block until the caller may make a call."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next)
            self._next = turn + self._interval_s
        time.sleep(max(0.0, turn - now))


class JsonService:
    """Client of a service whose addresses have a common base.

    Args:
        service: name of the service, for messages.
        base_url: base of its addresses.
        contact: name or address of the operator, sent with each call.
        interval_s: seconds from one call to the next.
        timeout_s: seconds without a byte after which a call fails.
        too_many: status for too many calls, besides 429.
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
        """Status, JSON object and headers of an answer below 500, whose errors differ between services.

        Raises:
            NetworkError: there is no answer, it is not a JSON object, or it is an error of the server.
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
            return NetworkUnavailableError(f"the answer is not one of {self._service}'s")
        status = 429 if answer.status_code == self._too_many else answer.status_code
        return status_error(self._service, status, excerpt(answer.text), answer.headers)


@contextmanager
def one_answer(service: str, what: str, document: object) -> Iterator[None]:
    """Turn the errors of code that reads an answer of an odd form into one about this answer alone.

    Raises:
        OddAnswerError: the answer is odd.
    """
    try:
        yield
    except ODD as error:
        raise OddAnswerError(
            f"{service}'s answer on {excerpt(what)!r} cannot be read: {brief(error)}",
            service=service,
            item=odd_item(document, error, key=what),
        ) from error


def number_of(value: Any) -> float:
    """A count as a number; 0 for one that is not a number.

    >>> number_of(66), number_of("66.5"), number_of("many"), number_of(None)
    (66.0, 66.5, 0.0, 0.0)
    """
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0


def _without_query(error: requests.RequestException) -> requests.RequestException:
    """The error without its address, whose query may hold a key."""
    return requests.RequestException(type(error).__name__)
