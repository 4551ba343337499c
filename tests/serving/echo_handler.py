"""A worker that speaks the contract and does what the artist's name says. Packed into the archives of these tests."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.contract import (
    INPUT_FIELD,
    START_BY_FIELD,
    THREADS_FILE_VARIABLE,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    ModelIdentity,
    Sample,
    Timings,
    encode_answer,
)

_LATE = encode_answer(ContractError(ErrorCode.DEADLINE_EXCEEDED, "", "late"))


class EchoHandler:
    def initialize(self, context: Any) -> None:
        folder = Path(context.system_properties["model_dir"])
        self._config = json.loads((folder / "config.json").read_text())
        time.sleep(self._config.get("load_s", 0))
        if self._config.get("broken"):
            raise RuntimeError("these weights cannot be loaded")

    def handle(self, batch: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        if context.get_request_header(0, "describe") == "True":
            return [self._describe()]
        late = [float(row.get(START_BY_FIELD, b"inf")) < time.monotonic() for row in batch]
        time.sleep(sum(_decode_s(row) for row, is_late in zip(batch, late, strict=True) if not is_late))
        return [_LATE if is_late else self._answer(row) for row, is_late in zip(batch, late, strict=True)]

    def _describe(self) -> str:
        if self._config.get("shy"):
            raise RuntimeError("this one says nothing of itself")
        threads = int(Path(os.environ[THREADS_FILE_VARIABLE]).read_text())
        made_from = {"corpus": "ab" * 32}
        return json.dumps(
            {"genres": ["pop"], "lineage": made_from, "precision": "fp32", "slots": 3, "threads": threads}
        )

    def _answer(self, row: Mapping[str, Any]) -> str:
        started = time.perf_counter()
        request = CommentaryRequest.from_json(bytes(row[INPUT_FIELD]))
        command, _, value = (request.artist or "").partition(" ")
        if command == "sleep":
            time.sleep(float(value))
        if command == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if command == "raise":
            raise RuntimeError("a fault that the handler did not catch")
        if command == "garbage":
            return "no answer of the contract"
        if command == "fail" or self._config.get("mute"):
            return encode_answer(ContractError(ErrorCode.INTERNAL, "", "the decode failed: on purpose"))
        if command == "refuse":
            return encode_answer(ContractError(ErrorCode.INVALID_ARGUMENT, "genres", "refused on purpose"))
        return encode_answer(
            CommentaryResponse(
                samples=tuple(
                    Sample(text=f"{request.title}", token_count=1, log_prob=-1.0, topics=(0.5, 0.5), seed=index)
                    for index in range(request.num_samples)
                ),
                model=ModelIdentity(name=self._config["model"], version=self._config["version"]),
                genres_used=tuple(request.genres),
                genres_unknown=(),
                timings=Timings(decode_ms=1000 * (time.perf_counter() - started)),
                request_id=request.request_id,
            )
        )


def _decode_s(row: Mapping[str, Any]) -> float:
    """Time that a request adds to the decode of its batch: with the artist `decode S`, S seconds for each sequence."""
    request = CommentaryRequest.from_json(bytes(row[INPUT_FIELD]))
    command, _, value = (request.artist or "").partition(" ")
    return float(value) * request.num_samples * (request.best_of or 1) if command == "decode" else 0.0
