"""Errors of the door as problem details (RFC 9457), and the HTTP status of each gRPC status code."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import Any, Final

import grpc
from starlette.responses import JSONResponse

PROBLEM_TYPE: Final = "application/problem+json"

# The mapping of google/rpc/code.proto. 499 is that of a client that has left, which nobody reads.
_STATUS: Final = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
}
_UNAVAILABLE_PAUSE_MS: Final = 1000
"""Pause for clients of a gateway that cannot answer now; only one that is full asks for a pause of its own."""


class ProblemError(Exception):
    """A request that ends with a status of HTTP.

    Attributes:
        status: the status.
        detail: reason for the client.
        headers: further headers of the response.
        code: name of the gRPC status code; empty if the protocol itself is at fault.
        field: field or header at fault; empty if there is none.
        retry_after_ms: pause before a retry, in milliseconds; None if a retry does not help.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        field: str = "",
        retry_after_ms: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.code = code
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.headers = headers or {}

    @classmethod
    def of_status(
        cls, code: grpc.StatusCode, detail: str, *, field: str = "", retry_after_ms: int | None = None
    ) -> ProblemError:
        """Return the problem for a gRPC status.

        >>> ProblemError.of_status(grpc.StatusCode.NOT_FOUND, "no such version is live").status
        404
        """
        if code is grpc.StatusCode.UNAVAILABLE and retry_after_ms is None:
            retry_after_ms = _UNAVAILABLE_PAUSE_MS
        return cls(_STATUS.get(code, 500), detail, code=code.name, field=field, retry_after_ms=retry_after_ms)


def problem_response(problem: ProblemError) -> JSONResponse:
    """Return the response for a problem."""
    headers = dict(problem.headers)
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": _title(problem.status),
        "status": problem.status,
        "detail": _as_utf8(problem.detail),
    }
    if problem.code:
        document["code"] = problem.code
    if problem.field:
        document["field"] = _as_utf8(problem.field)
    if problem.retry_after_ms is not None:
        document["retry_after_ms"] = problem.retry_after_ms
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after_ms / 1000)))  # whole seconds in HTTP
    return JSONResponse(document, problem.status, headers, PROBLEM_TYPE)


def _as_utf8(text: str) -> str:
    """Return a text without the lone surrogates that a client may have sent."""
    return text.encode(errors="backslashreplace").decode()


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Client Closed Request"
