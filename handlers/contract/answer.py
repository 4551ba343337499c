"""Answers of a worker, and their JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from handlers.contract.errors import ContractError, ErrorCode
from handlers.contract.values import field_values


class FinishReason(StrEnum):
    """Reason why a sample ended."""

    STOP = "stop"
    """The sentence ended by itself."""
    LENGTH = "length"
    """The sample reached max_tokens, and its sentence is cut off."""

    @classmethod
    def parse(cls, text: object) -> FinishReason | None:
        """Return the reason of that name, or None for any other value.

        >>> FinishReason.parse("stop"), FinishReason.parse("")
        (<FinishReason.STOP: 'stop'>, None)
        """
        return cls(text) if isinstance(text, str) and text in _REASONS else None


_REASONS: Final = frozenset(reason.value for reason in FinishReason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One generated sentence."""

    text: str
    token_count: int
    """Tokens decoded, the end of the sentence included when it was reached."""
    log_prob: float
    """Sum of the tokens' log-probabilities under the model at temperature 1, in nats."""
    topics: tuple[float, ...]
    """Share of each topic of the model's topic model."""
    seed: int
    """Seed with which a request for one sample, with `best_of` 1, gives this text again."""
    finish_reason: FinishReason | None = None
    """Reason why it ended; None where the worker does not report it, as those of earlier archives do not."""
    value: float | None = None
    """Probability that a curator accepts it; None where the request does not name a rule that ranks by it. Where the
    version's own rule does, it is left out: of the arms of an experiment it would tell which one wrote the sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """The model version that answered."""

    name: str
    version: str
    archive_sha256: str = ""
    """SHA-256 of the archive. The gateway fills it in, because an archive cannot contain its own hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Durations of a request's stages, in milliseconds."""

    queue_ms: float = 0.0
    """Time outside the worker's computation as the gateway measured it: transport, batching delay, waiting."""
    decode_ms: float = 0.0
    """Time of the worker's computation for the whole batch: the decode, the topics and the choice of the best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchTimes:
    """Moments of a worker's batch, in seconds of CLOCK_MONOTONIC (`time.monotonic()`), and its size.

    >>> times = BatchTimes(
    ...     started=7.0, decode_started=7.01, decode_ended=7.2, ended=7.25, requests=2, sequences=160, tokens=2100
    ... )
    >>> BatchTimes.from_mapping(field_values(times)) == times
    True
    """

    started: float
    decode_started: float
    decode_ended: float
    """Moment at which the last sequence ended; topic shares and the choice of the best follow."""
    ended: float
    requests: int
    """Requests that were decoded together."""
    sequences: int
    tokens: int
    """Tokens of all sequences, those of candidates that were not chosen included."""

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> BatchTimes:
        """Rebuild times from their JSON document; values that a later worker adds are left out.

        Raises:
            KeyError, TypeError, ValueError: the document does not hold all of these times.
        """
        return cls(
            started=float(document["started"]),
            decode_started=float(document["decode_started"]),
            decode_ended=float(document["decode_ended"]),
            ended=float(document["ended"]),
            requests=int(document["requests"]),
            sequences=int(document["sequences"]),
            tokens=int(document["tokens"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentaryResponse:
    """The answer to one `CommentaryRequest`."""

    samples: tuple[Sample, ...]
    model: ModelIdentity
    genres_used: tuple[str, ...]
    """Genre labels of the model that the request's genres were mapped to."""
    genres_unknown: tuple[str, ...]
    """Genres of the request for which the model has no label, not even a coarser one."""
    timings: Timings = Timings()
    request_id: str | None = None
    batch: BatchTimes | None = None
    """Times of the worker's batch; None unless the request has the context of a trace."""
    trace_id: str = ""
    """Trace of the request, 32 hexadecimal digits; empty if it belongs to none. The gateway fills it in."""

    def to_mapping(self) -> dict[str, Any]:
        """Return the JSON document of the response; what only traced requests have is left out of the others."""
        document = {
            **field_values(self),
            "samples": [_sample_values(sample) for sample in self.samples],
            "model": field_values(self.model),
            "timings": field_values(self.timings),
            "batch": None if self.batch is None else field_values(self.batch),
        }
        for name in ("batch", "trace_id"):
            if not document[name]:
                del document[name]
        return document

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any]) -> CommentaryResponse:
        """Rebuild a response from its JSON document; the inverse of `to_mapping`."""
        return cls(
            samples=tuple(_sample(sample) for sample in document["samples"]),
            model=ModelIdentity(**document["model"]),
            genres_used=tuple(document["genres_used"]),
            genres_unknown=tuple(document["genres_unknown"]),
            timings=Timings(**document["timings"]),
            request_id=document.get("request_id"),
            batch=BatchTimes.from_mapping(document["batch"]) if document.get("batch") else None,
            trace_id=document.get("trace_id", ""),
        )


def _sample_values(sample: Sample) -> dict[str, Any]:
    """Return the JSON of a sample; without a value it is what earlier versions sent."""
    values = field_values(sample)
    if sample.value is None:
        del values["value"]
    return values


def encode_answer(answer: CommentaryResponse | ContractError) -> str:
    """Encode the answer to one request as the worker sends it."""
    if isinstance(answer, ContractError):
        document: dict[str, Any] = {
            "error": {"code": answer.code.value, "field": answer.field, "message": answer.message}
        }
    else:
        document = {"result": answer.to_mapping()}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def decode_answer(payload: bytes | str) -> CommentaryResponse:
    """Decode the answer to one request.

    Raises:
        ContractError: the error that the worker sent in band, or INTERNAL if the payload is not an answer.
    """
    answer = answer_from_document(_document(payload))
    if isinstance(answer, ContractError):
        raise answer
    return answer


def answer_from_document(document: Any) -> CommentaryResponse | ContractError:
    """Return the answer that a decoded JSON document holds: a response, or the error that the worker sent in band.

    Any other document gives an error INTERNAL.
    """
    try:
        if "error" in document:
            error = document["error"]
            return ContractError(ErrorCode(error["code"]), str(error["field"]), str(error["message"]))
        return CommentaryResponse.from_mapping(document["result"])
    except (ValueError, KeyError, TypeError) as cause:
        return unreadable_answer(cause)


def unreadable_answer(cause: Exception) -> ContractError:
    """Return the error of a payload that a worker cannot have meant as an answer."""
    return ContractError(ErrorCode.INTERNAL, "", f"the worker's answer could not be read: {cause!r}")


def _document(payload: bytes | str) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError) as cause:
        raise unreadable_answer(cause) from cause


def _sample(document: Mapping[str, Any]) -> Sample:
    values = {"finish_reason": None, **document}
    reason = FinishReason.parse(values["finish_reason"])
    return Sample(**{**values, "topics": tuple(values["topics"]), "finish_reason": reason})
