"""Parsing of requests: bounded bodies of forms, and typed values of addresses."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

from bot.studio.security import is_own, is_token
from bot.studio.site import site_of

MAX_BODY = 256 * 1024
"""Maximum bytes of a form; a song's candidates and a long text take a few thousand."""
MAX_FIELDS = 500
_FORM = "application/x-www-form-urlencoded"

_Choice = TypeVar("_Choice", bound=StrEnum)
_Default = TypeVar("_Default")

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


async def own_form(request: Request) -> Form:
    """Read the fields of a form that changes something: it comes from one of the studio's own pages.

    Raises:
        HTTPException: as `read_form`, and 403 for a form of another page.
    """
    if not is_own(request.headers):
        raise HTTPException(403, "changes are made on the studio's own pages only")
    form = await read_form(request)
    if not is_token(one(form, "token"), site_of(request).token):
        raise HTTPException(403, "this page is older than the running studio: reload it, and decide again")
    return form


def own_address(address: str) -> str:
    """Return the address to go back to if it is the studio's; any other would redirect the browser to another site."""
    path = address.partition("?")[0]
    return address if path in {"/", "/posted", "/try", "/models"} else "/"


def one(form: Form, name: str, default: str = "") -> str:
    """Return the value of a field; the last one if it was sent several times."""
    values = form.get(name)
    return values[-1] if values else default


def choice(kind: type[_Choice], name: str, value: str, default: _Default) -> _Choice | _Default:
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
