"""Errors of the wire contract."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from foundation.commentary_errors import RequestError

_MAX_SHOWN: Final = 60


class ErrorCode(StrEnum):
    """Names of the gRPC status codes that a worker may answer with."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    """The decode could not start by the moment that was sent as its latest start."""
    INTERNAL = "INTERNAL"


class ContractError(RequestError, ValueError):
    """A request that cannot be answered.

    Attributes:
        code: which side is at fault.
        field: the request's field at fault, empty when there is no single one.
        message: what is wrong with the value and what would be right.
    """

    def __init__(self, code: ErrorCode, field: str, message: str) -> None:
        super().__init__(code, message)
        self.args = (f"{field}: {message}" if field else message,)
        self.code: ErrorCode = code
        self.field = field


def invalid(field: str, message: str) -> ContractError:
    """Return the error of a field whose value is wrong."""
    return ContractError(ErrorCode.INVALID_ARGUMENT, field, message)


def shown(value: object) -> str:
    """Shorten a client's value or key for a message, and make it fit for UTF-8."""
    try:
        text = str(value)
    except ValueError:  # an integer of more digits than Python turns into text
        return "a number of thousands of digits"
    return text[:_MAX_SHOWN].encode(errors="backslashreplace").decode() + ("..." if len(text) > _MAX_SHOWN else "")
