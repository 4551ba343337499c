"""Webhooks of MLflow, which wake the poll of the registry.

Their content is not read: what is live follows from the registry alone, and a webhook that is lost delays it until the
next poll. The signature follows Standard Webhooks with MLflow's names of the headers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from typing import Final

from serving.http.problems import ProblemError

WEBHOOK_PATH: Final = "/webhooks/mlflow"
ID_HEADER: Final = "X-MLflow-Delivery-Id"
TIMESTAMP_HEADER: Final = "X-MLflow-Timestamp"
SIGNATURE_HEADER: Final = "X-MLflow-Signature"
MAX_WEBHOOK_BYTES: Final = 64 * 2**10
MAX_AGE_S: Final = 300.0
"""Difference of the clocks, in either direction, from which a delivery is refused."""

_VERSION: Final = "v1,"
_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")
_TIMESTAMP: Final = re.compile(r"[0-9]{1,12}")


class WebhookReceiver:
    """Receiver of webhooks that MLflow has signed, each once.

    Args:
        secret: the secret with which MLflow signs.
        wake: called for each accepted delivery.
        clock: returns the time in seconds since 1970.
        max_deliveries: deliveries that are remembered until they are too old.
    """

    def __init__(
        self,
        secret: str,
        *,
        wake: Callable[[], None],
        clock: Callable[[], float] = time.time,
        max_deliveries: int = 10_000,
    ) -> None:
        self._max_deliveries = max_deliveries
        self._secret = secret.encode()
        self._wake = wake
        self._clock = clock
        self._seen: dict[str, float] = {}
        self.counts: Final = {"accepted": 0, "repeated": 0, "refused": 0}
        """Number of deliveries by outcome."""

    def receive(self, headers: Mapping[str, str], body: bytes) -> None:
        """Wake the poll for a delivery.

        Args:
            headers: headers of the request, whose names are found in any case.
            body: body of the request.

        Raises:
            ProblemError: 401: it is not signed with the secret, or not of now. 409: it was received before. 503: too
                many were received lately.
        """
        try:
            self._check(headers, body)
        except ProblemError as problem:
            self.counts["repeated" if problem.status == 409 else "refused"] += 1
            raise
        self.counts["accepted"] += 1
        self._wake()

    def _check(self, headers: Mapping[str, str], body: bytes) -> None:
        delivery = headers.get(ID_HEADER, "")
        timestamp = headers.get(TIMESTAMP_HEADER, "")
        signature = headers.get(SIGNATURE_HEADER, "")
        if not (_ID.fullmatch(delivery) and _TIMESTAMP.fullmatch(timestamp)):
            raise ProblemError(401, f"{ID_HEADER} and {TIMESTAMP_HEADER} must be those of MLflow")
        if not hmac.compare_digest(_decoded(signature), sign(self._secret, delivery, timestamp, body)):
            raise ProblemError(401, f"{SIGNATURE_HEADER} is not that of the webhook's secret")
        now = self._clock()
        if abs(now - int(timestamp)) > MAX_AGE_S:
            raise ProblemError(
                401, f"{TIMESTAMP_HEADER} differs by {now - int(timestamp):.0f} s from the gateway's clock"
            )
        self._remember(delivery, now)

    def _remember(self, delivery: str, now: float) -> None:
        if delivery in self._seen:
            raise ProblemError(409, "this delivery was received before")
        if len(self._seen) >= self._max_deliveries:
            self._seen = {each: until for each, until in self._seen.items() if until > now}
        if len(self._seen) >= self._max_deliveries:
            raise ProblemError(503, "too many deliveries were received lately", retry_after_ms=60_000)
        self._seen[delivery] = now + 2 * MAX_AGE_S  # its timestamp may be ahead


def sign(secret: bytes, delivery: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature of a delivery, HMAC-SHA256 of its id, its timestamp and its body."""
    return hmac.new(secret, f"{delivery}.{timestamp}.".encode() + body, hashlib.sha256).digest()


def _decoded(signature: str) -> bytes:
    try:
        return base64.b64decode(signature.removeprefix(_VERSION), validate=True) if _VERSION in signature else b""
    except (binascii.Error, ValueError):
        return b""
