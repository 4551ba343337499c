"""Parsing of requests: bounded bodies of forms, and typed values of addresses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

MAX_BODY = 256 * 1024
"""Maximum bytes of a form; a song's candidates and a long text take a few thousand."""
MAX_FIELDS = 500
_FORM = "application/x-www-form-urlencoded"

_Choice = TypeVar("_Choice", bound=StrEnum)

Form = Mapping[str, list[str]]


async def read_form(request: Request) -> Form:
    """Read the fields of a form.

    Raises:
        HTTPException: 415 for another kind of body, 413 for a longer one, 400 for one that is not UTF-8.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HTTPException(415, f"a form is sent as {_FORM}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BODY:
            raise HTTPException(413, f"a form has at most {MAX_BODY:,} bytes")
    try:
        return parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except (ValueError, UnicodeError) as cause:
        raise HTTPException(400, f"the form cannot be read: {cause}") from cause


def one(form: Form, name: str, default: str = "") -> str:
    """Return the value of a field; the last one if it was sent several times."""
    values = form.get(name)
    return values[-1] if values else default


def choice(kind: type[_Choice], name: str, value: str, default: _Choice) -> _Choice:
    """Return the member of an enumeration by its value; the default for an empty value.

    Raises:
        HTTPException: 400, with the valid values.
    """
    if not value:
        return default
    try:
        return kind(value)
    except ValueError as cause:
        raise HTTPException(400, f"{name} must be one of {', '.join(kind)}, got {value[:60]!r}") from cause
