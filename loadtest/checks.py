"""Checks of answers, and the kinds under which failed calls are counted."""

from __future__ import annotations

from typing import Final

from handlers.contract import CommentaryRequest, CommentaryResponse

WRONG_ANSWER: Final = "WRONG_ANSWER"
"""Kind of a call whose answer does not match its request."""


class FailedCallError(Exception):
    """A failed call, as locust records it.

    Attributes:
        kind: gRPC status code name, or WRONG_ANSWER.
        message: description; logged once per kind, because locust keeps an entry per distinct text.
        retry_after_s: pause that the service asks for before the next try, in seconds; 0 if it asks for none.
    """

    def __init__(self, kind: str, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message
        self.retry_after_s = retry_after_s

    def __repr__(self) -> str:
        """Return the kind, under which locust groups failures."""
        return self.kind


def find_fault(
    request: CommentaryRequest, response: CommentaryResponse, *, model: str, version: str | None
) -> str | None:
    """Describe the fault of an answer; None if it matches its request."""
    if len(response.samples) != request.num_samples:
        return f"{len(response.samples)} samples for {request.num_samples}"
    if not all(sample.text.strip() for sample in response.samples):
        return "an empty sample"
    if response.model.name != model:
        return f"an answer of model {response.model.name!r}, not {model!r}"
    if version is not None and response.model.version != version:
        return f"an answer of version {response.model.version!r}, not {version!r}"
    if response.request_id != request.request_id:
        return f"request_id {response.request_id!r} for {request.request_id!r}"
    return None
