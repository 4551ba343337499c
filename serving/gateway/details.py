"""Details of a refusal for programs, as google.rpc defines them: ErrorInfo, BadRequest and RetryInfo.

They travel in the trailing metadata `grpc-status-details-bin`, which the status library of every language reads
(`grpc_status.rpc_status.from_call` in Python).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import grpc
from google.rpc import error_details_pb2, status_pb2

KEY: Final = "grpc-status-details-bin"
DOMAIN: Final = "deephypebot"
"""Domain of the reasons, in ErrorInfo."""
REASONS: Final = {
    grpc.StatusCode.INVALID_ARGUMENT: "REQUEST_INVALID",
    grpc.StatusCode.NOT_FOUND: "MODEL_NOT_LIVE",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "GATEWAY_FULL",
    grpc.StatusCode.UNAVAILABLE: "CANNOT_ANSWER_NOW",
    grpc.StatusCode.DEADLINE_EXCEEDED: "TOO_LITTLE_TIME",
    grpc.StatusCode.UNAUTHENTICATED: "TOKEN_MISSING",
}
"""Reasons of refusals that have none of their own, by status."""
_OTHER: Final = "INTERNAL_FAULT"
_DESCRIPTION_LENGTH: Final = 500
"""Characters of a field's description; the whole reason is the status's message."""


def status_details(
    code: grpc.StatusCode,
    message: str,
    *,
    field: str = "",
    retry_after_ms: int | None = None,
    reason: str = "",
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """Return the bytes of a google.rpc.Status.

    Args:
        code: status of the call.
        message: message of the call, to the letter: clients compare both.
        field: invalid field of the request; empty if there is none.
        retry_after_ms: pause before a retry, in milliseconds; None if a retry does not help.
        reason: reason in capitals; empty for that of the status.
        facts: values that belong to the reason.
    """
    number: int = code.value[0]
    status = status_pb2.Status(code=number, message=message)
    reason = reason or REASONS.get(code, _OTHER)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN, metadata=facts or {}))
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message[:_DESCRIPTION_LENGTH])
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if retry_after_ms is not None:
        pause = error_details_pb2.RetryInfo()
        pause.retry_delay.FromMilliseconds(retry_after_ms)
        status.details.add().Pack(pause)
    packed: bytes = status.SerializeToString()
    return packed
