"""Errors of the client, and their translation from gRPC's status codes; the tree is in `serving.client`."""

from __future__ import annotations

from typing import Any, Final

import grpc

from foundation.commentary_errors import CommentaryError, RequestError
from serving import wire


class InvalidRequestError(RequestError):
    """A value of the request is invalid.

    Attributes:
        field: name of the request's field; empty if it is not a single one.
    """

    def __init__(self, code: str, message: str, *, field: str = "") -> None:
        super().__init__(code, message)
        self.field = field


class UnknownModelError(RequestError):
    """The model or version is not live."""


class AccessDeniedError(RequestError):
    """The gateway needs a token, or does not know the one of this client."""


class ServiceError(CommentaryError):
    """The service is at fault.

    Attributes:
        retry_after_s: pause that the service asks for before the next try, in seconds; 0 if it asks for none.
    """

    def __init__(self, code: str, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(code, message)
        self.retry_after_s = retry_after_s


class UnavailableError(ServiceError):
    """Nothing listens at the target, or the gateway cannot answer now."""


class OverloadedError(ServiceError):
    """The gateway is at its concurrency limit, or this client at its own."""


class DeadlineError(ServiceError):
    """The answer did not arrive within the deadline."""


class InternalServiceError(ServiceError):
    """The service failed, or the answer is not one of a deephypebot gateway."""


_ERRORS: Final[dict[grpc.StatusCode, type[CommentaryError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequestError,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequestError,
    grpc.StatusCode.NOT_FOUND: UnknownModelError,
    grpc.StatusCode.ALREADY_EXISTS: RequestError,
    grpc.StatusCode.FAILED_PRECONDITION: RequestError,
    grpc.StatusCode.PERMISSION_DENIED: AccessDeniedError,
    grpc.StatusCode.UNAUTHENTICATED: AccessDeniedError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.CANCELLED: UnavailableError,  # the server gave the call up, as it does when it stops
    grpc.StatusCode.RESOURCE_EXHAUSTED: OverloadedError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
    grpc.StatusCode.ABORTED: InternalServiceError,
    grpc.StatusCode.DATA_LOSS: InternalServiceError,
    grpc.StatusCode.INTERNAL: InternalServiceError,
    grpc.StatusCode.UNIMPLEMENTED: InternalServiceError,
    grpc.StatusCode.UNKNOWN: InternalServiceError,
}


# A gateway that stops gives up the calls that reach it in its last moment with CANCELLED.
_PASSING: Final = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)
_TOO_LARGE: Final = "larger than max"
"""Words of gRPC for a message above a limit, which has the status of an overloaded service."""


def is_passing(failure: grpc.RpcError) -> bool:
    """Return whether the same call may succeed a moment later."""
    return failure.code() in _PASSING and not _is_too_large(failure)


def translate(failure: grpc.RpcError, target: str, limit_s: float) -> CommentaryError:
    """Translate a failed call to `target`, whose deadline was `limit_s` seconds, to the client's error."""
    code: grpc.StatusCode = failure.code()
    message = failure.details() or "no details"
    if _is_too_large(failure):
        return InvalidRequestError(grpc.StatusCode.INVALID_ARGUMENT.name, f"a message is too large: {message}")
    kind = _ERRORS.get(code, InternalServiceError)
    if issubclass(kind, InvalidRequestError):
        return kind(code.name, message, field=_trailing(failure, wire.ERROR_FIELD_METADATA))
    if issubclass(kind, UnavailableError):
        message = f"{message} (asked the gateway at {target})"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{target} did not answer within {limit_s:g} s ({message})"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        message = f"{message} (is the server at {target} a deephypebot gateway?)"
    if issubclass(kind, ServiceError):
        return kind(code.name, message, retry_after_s=asked_pause_s(failure))
    return kind(code.name, message)


def asked_pause_s(failure: grpc.RpcError) -> float:
    """Return the pause before a retry that the service asks for, in seconds; 0 if it asks for none."""
    asked = _trailing(failure, wire.RETRY_PUSHBACK_METADATA)
    return int(asked) / 1000 if asked.isascii() and asked.isdigit() else 0.0


def _is_too_large(failure: grpc.RpcError) -> bool:
    return failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in (failure.details() or "")


def _trailing(failure: grpc.RpcError, key: str) -> str:
    metadata: Any = failure.trailing_metadata() or ()  # pairs, in the package for asyncio without names
    for name, value in metadata:
        if name == key:
            return str(value)
    return ""
