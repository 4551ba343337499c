"""TorchServe's handler: it decodes the requests of a batch and encodes their answers. TorchServe needs one class.

TorchServe copies this file to the root of the archive and imports the `handlers` package beside it there, so a version
runs the code that it was packed with, whatever is installed on the host.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from handlers.batches import BATCH_FIELD, BatchedRequest, ValidRequest, decode_requests, encode_answers
from handlers.commentary import Commentator
from handlers.contract import (
    INPUT_FIELD,
    START_BY_FIELD,
    TRACEPARENT_FIELD,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    encode_answer,
)
from handlers.model.bundle import Bundle
from handlers.worker import description
from handlers.worker.halving import Failed, answer_apart
from handlers.worker.metrics import WorkerMetrics
from handlers.worker.options import Threads, WorkerOptions
from handlers.worker.warmup import ready

_log = logging.getLogger(__name__)


class CommentaryHandler:
    """Handler of one model; each worker process has one."""

    def __init__(self) -> None:
        self._bundle: Bundle | None = None
        self._commentator: Commentator | None = None
        self._num_threads = 0

    def initialize(self, context: Any) -> None:
        """Load the model and warm it up before TorchServe reports the worker as READY.

        Raises:
            BundleError: the archive's files are not a valid model; TorchServe reports the worker as failed.
            ValueError, TypeError: model-config.yaml has an unknown option or an invalid value; likewise.
        """
        properties: Mapping[str, Any] = context.system_properties
        gpu_id = properties.get("gpu_id")
        self._device = f"cuda:{gpu_id}" if torch.cuda.is_available() and gpu_id is not None else "cpu"
        self._options = WorkerOptions.from_yaml(context.model_yaml_config)
        num_workers = int((context.model_yaml_config or {}).get("maxWorkers") or 1)
        self._threads = Threads(self._options, num_workers=num_workers)
        self._bundle = Bundle.load(Path(properties["model_dir"]))
        config = self._bundle.config
        self._metrics = WorkerMetrics(context.metrics, model=config.model, version=config.version)
        self._metrics.set_build_info(self._ready().precision)

    def handle(self, batch: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """Return an answer for each request of the batch, in order; an invalid one is answered with its error."""
        # A call of StreamPredictions would otherwise end the worker (TorchServe 0.12).
        for index in range(len(batch)):
            context.set_response_header(index, "ts_stream_next", "false")
        commentator = self._ready()
        # TorchServe's DescribeModel with customized metadata comes alone; a client's header may come in a batch.
        if len(batch) == 1 and context.get_request_header(0, "describe") == "True":
            return [json.dumps(description.describe(commentator), ensure_ascii=False)]
        calls = [_requests_of(row) for row in batch]
        waiting = iter(self._answers(commentator, [request for call in calls for request in call]))
        return [_encoded(row, [next(waiting) for _ in call]) for row, call in zip(batch, calls, strict=True)]

    def _answers(
        self, commentator: Commentator, requests: Sequence[BatchedRequest]
    ) -> list[CommentaryResponse | ContractError]:
        """Answer the requests of all calls in one decode, in order; those that cannot be answered with their error."""
        now = time.monotonic()
        checked = [_checked(commentator, request, now) for request in requests]
        waiting = self._answer(commentator, [each for each in checked if isinstance(each, ValidRequest)])
        answers = [next(waiting) if isinstance(each, ValidRequest) else each for each in checked]
        self._metrics.count_answers(answers)
        return answers

    def _answer(
        self, commentator: Commentator, requests: Sequence[ValidRequest]
    ) -> Iterator[CommentaryResponse | ContractError]:
        """Answer requests together, in their order; only those at fault fail."""
        for part in answer_apart(commentator, requests):
            if isinstance(part, Failed):
                cause = part.cause
                _log.error("the decode of a request failed%s", _trace_of(part.request), exc_info=cause)
                yield ContractError(ErrorCode.INTERNAL, "", f"the decode failed: {type(cause).__name__}: {cause}")
                continue
            times = part.answered.times
            self._metrics.count_decode(
                num_sequences=times.sequences, num_tokens=times.tokens, seconds=part.answered.seconds
            )
            for request, response in zip(part.requests, part.answered.responses, strict=True):
                yield dataclasses.replace(response, batch=times) if request.traceparent else response

    def _ready(self) -> Commentator:
        """Return the model, prepacked for the number of threads that this worker may use now.

        The rounding of products depends on the number of threads, and the packing finds it out. So it is repeated when
        the worker's share of the cores changes, which takes half a second and happens when versions come and go.
        """
        if self._bundle is None:
            raise RuntimeError("TorchServe calls initialize before handle")
        threads = self._threads.share()
        if self._commentator is None or threads != self._num_threads:
            self._commentator = None  # not two packings at a time
            self._num_threads = threads
            torch.set_num_threads(threads)
            self._commentator = ready(self._bundle, self._device, self._options)
        return self._commentator


def _checked(commentator: Commentator, request: BatchedRequest, now: float) -> ValidRequest | ContractError:
    """Return a request that the model can answer in time, or else its error."""
    if isinstance(request.parsed, ContractError):
        return request.parsed
    if request.start_by is not None and now > request.start_by:
        return ContractError(ErrorCode.DEADLINE_EXCEEDED, "", "the request was too late to be decoded in time")
    try:
        commentator.check(request.parsed)
    except ContractError as error:
        return error
    return ValidRequest(request=request.parsed, traceparent=request.traceparent, earlier_seeds=request.earlier_seeds)


def _trace_of(request: ValidRequest) -> str:
    """Return the words that name the trace of a request in the log; empty if it has none."""
    return f" (traceparent {request.traceparent!r})" if request.traceparent else ""


def _requests_of(row: Mapping[str, Any]) -> list[BatchedRequest]:
    """Return the requests of a call: one in the field `data`, or those of a batch."""
    if (batch := row.get(BATCH_FIELD)) is not None:
        try:
            return decode_requests(batch)
        except ContractError as error:
            return [BatchedRequest(parsed=error)]
    return [BatchedRequest(parsed=_parse(row), start_by=_start_by(row), traceparent=_traceparent(row))]


def _encoded(row: Mapping[str, Any], answers: Sequence[CommentaryResponse | ContractError]) -> str:
    encoded = [encode_answer(answer) for answer in answers]
    return encode_answers(encoded) if BATCH_FIELD in row else encoded[0]


def _start_by(row: Mapping[str, Any]) -> float | None:
    """Return the latest start of a call's request; None for any, or where it cannot be read."""
    value: Any = row.get(START_BY_FIELD)
    try:
        return float(value.decode() if isinstance(value, bytes | bytearray) else value)
    except (TypeError, ValueError):
        return None


def _traceparent(row: Mapping[str, Any]) -> str:
    """Return the context of the trace of a call's request; empty if it has none."""
    value: Any = row.get(TRACEPARENT_FIELD) or ""
    return value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)


def _parse(row: Mapping[str, Any]) -> CommentaryRequest | ContractError:
    payload = row.get(INPUT_FIELD)
    if payload is None:
        return ContractError(
            ErrorCode.INVALID_ARGUMENT, INPUT_FIELD, f"missing; got {', '.join(map(str, row)) or 'nothing'}"
        )
    try:
        if isinstance(payload, bytes | bytearray | str):
            return CommentaryRequest.from_json(payload)
        # Over HTTP, TorchServe has decoded an application/json body already.
        return CommentaryRequest.from_mapping(payload)
    except ContractError as error:
        return error
