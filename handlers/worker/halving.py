"""Answers to requests that are decoded together, where one of them may fail the decode of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from handlers.batches import ValidRequest
from handlers.commentary import Answered, Commentator


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """Requests that were decoded together, and their answers."""

    requests: Sequence[ValidRequest]
    answered: Answered


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A request whose decode fails, also by itself."""

    request: ValidRequest
    cause: Exception


def answer_apart(commentator: Commentator, requests: Sequence[ValidRequest]) -> Iterator[Half | Failed]:
    """Answer requests together, in their order; if that fails, halve them until only those at fault fail."""
    if not requests:
        return
    try:
        answered = commentator.answer_batch(
            [each.request for each in requests], [each.earlier_seeds for each in requests]
        )
    except Exception as cause:  # noqa: BLE001 - raised, any error fails the whole batch without a reason
        if len(requests) == 1:
            yield Failed(request=requests[0], cause=cause)
            return
    else:
        yield Half(requests=requests, answered=answered)
        return
    half = len(requests) // 2
    yield from answer_apart(commentator, requests[:half])
    yield from answer_apart(commentator, requests[half:])
