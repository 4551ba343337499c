"""Several requests in one call of TorchServe, and their answers.

    requests  ->  JSON array in TorchServe's `batch` field; an element is [request, latest start or null], and has the
                  context of the request's trace as a third member if there is one, and as a fourth one the seeds of the
                  earlier samples if it is a part of a request
    answers   ->  JSON array of the answers, in the same order

The gateway forms these batches, because it knows what TorchServe cannot: which requests are heavy, and which of them
nobody waits for any more. Like `handlers.contract`, this module needs the standard library alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from handlers.contract import (
    MAX_SAMPLES,
    MAX_SEED,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    answer_from_document,
    unreadable_answer,
)

BATCH_FIELD: Final = "batch"
"""Key of TorchServe's input map that holds a batch of requests, instead of `handlers.contract.INPUT_FIELD`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchedRequest:
    """One request of a batch, as the worker reads it."""

    parsed: CommentaryRequest | ContractError
    """The request, or the error of one that cannot be read."""
    start_by: float | None = None
    """Latest start of its decode, in seconds of the machine's monotonic clock; None for any."""
    traceparent: str = ""
    """Context of its trace (`handlers.contract.TRACEPARENT_FIELD`); empty if it has none."""
    earlier_seeds: tuple[int, ...] = ()
    """Seeds of the earlier samples, where it is a part of a request: the samples asked for are those that the request
    has after so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidRequest:
    """One request of a batch that the worker's model can answer in time."""

    request: CommentaryRequest
    traceparent: str = ""
    """Context of its trace; empty if it has none."""
    earlier_seeds: tuple[int, ...] = ()
    """Seeds of the earlier samples, where it is a part of a request."""


def encode_requests(requests: Iterable[tuple[bytes, float | None, str, Sequence[int]]]) -> bytes:
    """Encode a batch.

    Args:
        requests: JSON of each request, its latest start or None, the context of its trace or "", and the seeds of
            the earlier samples.

    >>> encode_requests([(b'{"genres":[]}', None, "", ()), (b'{"genres":["pop"]}', 12.5, "00-4b-1f-01", ())])
    b'[[{"genres":[]},null],[{"genres":["pop"]},12.5,"00-4b-1f-01"]]'
    >>> encode_requests([(b'{"genres":[]}', None, "", (7, 12))])
    b'[[{"genres":[]},null,"",[7,12]]]'
    """
    return b"[%b]" % b",".join(_encoded(*each) for each in requests)


def decode_requests(payload: bytes | bytearray | str | list[Any]) -> list[BatchedRequest]:
    """Decode a batch; a request that cannot be read is its error, so that it does not fail the others.

    Args:
        payload: the batch, or its decoded document (over HTTP, TorchServe decodes JSON itself).

    Raises:
        ContractError: INVALID_ARGUMENT, the payload is not a batch.
    """
    try:
        document = payload if isinstance(payload, list) else json.loads(payload)
    except (ValueError, RecursionError) as cause:
        raise _no_batch(f"is not valid JSON: {cause}") from cause
    if not isinstance(document, list):
        raise _no_batch(f"must be a JSON array, got {type(document).__name__}")
    return [_decoded(element) for element in document]


def encode_answers(answers: Sequence[str]) -> str:
    """Encode the answers of a batch from the JSON of each (`handlers.contract.encode_answer`)."""
    return f"[{','.join(answers)}]"


def decode_answers(payload: bytes | str, *, count: int) -> list[CommentaryResponse | ContractError]:
    """Decode the answers of a batch.

    Args:
        payload: the worker's answer.
        count: number of requests in the batch. If the payload does not hold as many answers, every answer is an error.
    """
    try:
        document = json.loads(payload)
    except (ValueError, RecursionError) as cause:
        return [unreadable_answer(cause)] * count
    if not isinstance(document, list) or len(document) != count:
        # A worker that could not read the batch answers with one error, which holds for every request.
        found = answer_from_document(document[0] if isinstance(document, list) and document else document)
        fault = found if isinstance(found, ContractError) else unreadable_answer(ValueError(f"not {count} answers"))
        return [fault] * count
    return [answer_from_document(each) for each in document]


def _encoded(request: bytes, start_by: float | None, traceparent: str, earlier_seeds: Sequence[int]) -> bytes:
    start = b"null" if start_by is None else repr(start_by).encode()
    if earlier_seeds:
        seeds = json.dumps([*earlier_seeds], separators=(",", ":")).encode()
        return b"[%b,%b,%b,%b]" % (request, start, json.dumps(traceparent).encode(), seeds)
    if not traceparent:
        return b"[%b,%b]" % (request, start)
    return b"[%b,%b,%b]" % (request, start, json.dumps(traceparent).encode())


def _decoded(element: Any) -> BatchedRequest:
    traceparent, seeds = "", list[int]()
    match element:
        case [request, None | float() | int() as start]:
            pass
        case [request, None | float() | int() as start, str() as traceparent]:
            pass
        case [request, None | float() | int() as start, str() as traceparent, list() as seeds]:
            pass
        case _:
            what = (
                "must hold pairs of a request and its latest start, or null, with the context of a trace and the seeds "
                "of earlier samples if there are any"
            )
            return BatchedRequest(parsed=_no_batch(what))
    parsed: CommentaryRequest | ContractError
    start_by = None
    try:
        start_by = None if start is None else float(start)
        parsed = CommentaryRequest.from_mapping(request)
        _check_seeds(seeds, parsed)
    except OverflowError:  # JSON has integers that no float holds
        parsed, seeds = _no_batch("must have a latest start that a clock can reach"), []
    except ContractError as error:
        parsed, seeds = error, []
    return BatchedRequest(
        parsed=parsed,
        start_by=start_by,
        traceparent=traceparent,
        earlier_seeds=tuple(seeds),
    )


def _check_seeds(seeds: list[Any], request: CommentaryRequest) -> None:
    """Check the seeds of the samples before those of a part."""
    if len(seeds) + request.num_samples > MAX_SAMPLES:
        raise _no_batch(f"must hold parts of requests for at most {MAX_SAMPLES} samples")
    for seed in seeds:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
            raise _no_batch("must have integers as the seeds of earlier samples")


def _no_batch(what: str) -> ContractError:
    return ContractError(ErrorCode.INVALID_ARGUMENT, BATCH_FIELD, what)
