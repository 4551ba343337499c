"""Base errors of requests for commentary, which the wire contract and the client share."""

from __future__ import annotations


class CommentaryError(Exception):
    """Base of the errors of a request for commentary and of a failed call.

    Attributes:
        code: name of the gRPC status code.
        message: message of the service, of the connection to it, or of the check of a value.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class RequestError(CommentaryError):
    """The request is at fault."""
