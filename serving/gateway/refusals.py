"""Refusals: the status, the reason and the trailing metadata with which a call fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import grpc

from serving import wire
from serving.gateway.details import KEY, status_details

_DETAILS_BYTES: Final = 2_000
"""Limit of a reason as HTTP/2 carries it, where a character beyond ASCII takes three bytes for each of its own. Clients
refuse trailers above 8 KiB and then report that instead of the status."""
_FIELD_LENGTH: Final = 100
_CUT: Final = "..."


async def refuse(
    context: grpc.aio.ServicerContext[Any, Any],
    code: grpc.StatusCode,
    reason: str,
    *,
    field: str = "",
    retry_after_ms: int | None = None,
    kind: str = "",
    facts: Mapping[str, str] | None = None,
) -> NoReturn:
    """End a call with a status.

    Args:
        context: the call.
        code: its status.
        reason: what the client reads; cut where it is too long for the trailers.
        field: invalid field of the request; empty if there is none.
        retry_after_ms: pause before a retry, in milliseconds.
        kind: reason for programs, in capitals; empty for that of the status.
        facts: values that belong to the kind, such as a limit.
    """
    message = cut(reason)
    field = field[:_FIELD_LENGTH] if field.isascii() and field.isprintable() else ""
    metadata: list[tuple[str, str | bytes]] = []
    if field:
        metadata.append((wire.ERROR_FIELD_METADATA, field))
    if retry_after_ms is not None:
        metadata.append((wire.RETRY_PUSHBACK_METADATA, str(retry_after_ms)))
    details = status_details(code, message, field=field, retry_after_ms=retry_after_ms, reason=kind, facts=facts)
    metadata.append((KEY, details))
    await context.abort(code, message, tuple(metadata))
    raise AssertionError  # abort raises


def cut(reason: str) -> str:
    """Return a reason that fits into the trailers of a call, shortened if it must be.

    >>> cut("no model 'é'")
    "no model 'é'"
    >>> len(cut("é" * 5000))
    335
    """
    reason = reason.encode(errors="backslashreplace").decode()  # messages cannot hold a lone surrogate
    size = 0
    end = 0
    for index, character in enumerate(reason):
        size += 1 if " " <= character <= "~" and character != "%" else 3 * len(character.encode(errors="replace"))
        if size > _DETAILS_BYTES:
            return reason[:end] + _CUT
        if size <= _DETAILS_BYTES - len(_CUT):
            end = index + 1
    return reason
