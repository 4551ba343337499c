"""The TorchServe handler: unpacks a batch, has it answered, packs the answers. Exactly one class, as TorchServe asks.

TorchServe copies this file to the root of the archive; the `handlers` package beside it there is the one that is used,
so a version runs the code it was built with, whatever the host has installed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from handlers.bundle import Bundle
from handlers.commentary import Commentator
from handlers.contract import (
    INPUT_FIELD,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    encode_answer,
)
from handlers.engine import DEFAULT_SLOTS
from handlers.products import Precision

_log = logging.getLogger(__name__)


class CommentaryHandler:
    """Holds one model; TorchServe makes one object per worker process."""

    def __init__(self) -> None:
        self._commentator: Commentator | None = None

    def initialize(self, context: Any) -> None:
        """Load the model and warm it up, so that READY means ready.

        Raises:
            BundleError: the archive's files do not make a model; TorchServe reports the worker as failed.
            ValueError: model-config.yaml asks for slots or a precision that there cannot be; likewise.
        """
        properties: Mapping[str, Any] = context.system_properties
        gpu_id = properties.get("gpu_id")
        device = f"cuda:{gpu_id}" if torch.cuda.is_available() and gpu_id is not None else "cpu"
        options = (context.model_yaml_config or {}).get("handler") or {}
        # Every served version has a worker of its own and they share the cores: half each keeps two of them busy.
        torch.set_num_threads(int(options.get("threads") or max(1, (os.cpu_count() or 1) // 2)))
        precision = Precision(options["precision"]) if options.get("precision") else None
        slots = int(options.get("slots") or DEFAULT_SLOTS)
        bundle = Bundle.load(Path(properties["model_dir"]))
        self._commentator = Commentator(bundle, device=device, precision=precision, slots=slots)
        self._commentator.answer([CommentaryRequest(genres=(), seed=0), CommentaryRequest(genres=(), seed=1)])

    def handle(self, batch: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        """One answer per row of the batch, in its order; a row that cannot be read is answered with its error."""
        # Should somebody call StreamPredictions on us, this keeps the worker alive (TorchServe 0.12).
        for index in range(len(batch)):
            context.set_response_header(index, "ts_stream_next", "false")
        parsed = [self._checked(_parse(row)) for row in batch]
        answers = self._answer([request for request in parsed if isinstance(request, CommentaryRequest)])
        waiting = iter(answers)
        return [encode_answer(next(waiting) if isinstance(row, CommentaryRequest) else row) for row in parsed]

    def _checked(self, parsed: CommentaryRequest | ContractError) -> CommentaryRequest | ContractError:
        """A request that this model can answer, or what is wrong with it."""
        try:
            if isinstance(parsed, CommentaryRequest):
                self._ready().topic_of(parsed)
        except ContractError as error:
            return error
        return parsed

    def _answer(self, requests: list[CommentaryRequest]) -> Sequence[CommentaryResponse | ContractError]:
        commentator = self._ready()
        if not requests:
            return []
        try:
            return commentator.answer(requests)
        except Exception as cause:  # noqa: BLE001 - whatever it is: raised, TorchServe fails the batch without a reason
            _log.exception("the decode of a batch failed")
            failure = ContractError(ErrorCode.INTERNAL, "", f"the decode failed: {type(cause).__name__}: {cause}")
            return [failure] * len(requests)

    def _ready(self) -> Commentator:
        if self._commentator is None:
            raise RuntimeError("TorchServe calls initialize before handle")
        return self._commentator


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
