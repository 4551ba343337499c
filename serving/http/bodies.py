"""Requests as they arrive: their media type, their size and their pace."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from starlette.requests import Request

from handlers.contract import MAX_BAD_WORDS, MAX_GENRES, MAX_TEXT_LENGTH
from serving.http.problems import ProblemError

_JSON: Final = "application/json"
_ESCAPED_BYTES: Final = 12
"""A character beyond the basic plane, as JSON escapes it: two times six bytes."""
_SINGLE_TEXTS: Final = 7
_NUMBERS_BYTES: Final = 4_096
"""All other fields, the punctuation included."""
MAX_BODY_BYTES: Final = (MAX_GENRES + MAX_BAD_WORDS + _SINGLE_TEXTS) * (
    _ESCAPED_BYTES * MAX_TEXT_LENGTH + 4
) + _NUMBERS_BYTES
"""Limit of a body: whatever the contract allows fits, however its JSON is written."""


async def read_body(request: Request, *, limit: int, timeout_s: float) -> bytes:
    """Return the body of a request of media type JSON.

    The media type is required because a page of any site can make a browser post other types without asking.

    Args:
        request: the request.
        limit: maximum size in bytes.
        timeout_s: time in which the body must arrive.

    Raises:
        ProblemError: 415, 413 or 408.
        ClientDisconnect: the client has left.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().casefold()
    if media_type != _JSON:
        given = f"got {media_type[:100]!r}" if media_type else "and there is none"
        raise ProblemError(415, f"the header Content-Type must be {_JSON}, {given}", headers={"Accept": _JSON})
    too_large = ProblemError(413, f"the body must have at most {limit} bytes", headers={"Connection": "close"})
    stated = request.headers.get("content-length", "")
    if stated.isascii() and stated.isdigit() and len(stated) < 20 and int(stated) > limit:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise too_large
    except TimeoutError:
        raise ProblemError(
            408, f"the body did not arrive within {timeout_s:g} s", headers={"Connection": "close"}
        ) from None
    return bytes(body)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        ProblemError: 400: the body is something else, or names a field twice.
    """
    try:
        document = json.loads(body, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as cause:
        raise ProblemError(400, f"the body is not valid JSON: {cause}", code="INVALID_ARGUMENT") from cause
    if not isinstance(document, dict):
        kind = type(document).__name__
        raise ProblemError(400, f"the body must be a JSON object, got {kind}", code="INVALID_ARGUMENT")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the field {twice[:60]!r} is given twice")
    return document


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number of JSON")
