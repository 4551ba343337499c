"""What counts as a failed call, and under which name."""

from __future__ import annotations

from typing import Final

from handlers.contract import CommentaryRequest, CommentaryResponse

WRONG_ANSWER: Final = "WRONG_ANSWER"
"""Kind of a call that was answered with something else than what was asked for."""


class FailedCallError(Exception):
    """A call that failed, as locust records it.

    Attributes:
        kind: gRPC status code name, or WRONG_ANSWER.
        message: what happened, in words; logged once a kind, because locust keeps an entry per distinct text.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message

    def __repr__(self) -> str:
        """Locust files failures under this."""
        return self.kind


def find_fault(
    request: CommentaryRequest, response: CommentaryResponse, *, model: str, version: str | None
) -> str | None:
    """What is wrong with an answer, in words; None when it is what was asked for."""
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
