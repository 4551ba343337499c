"""A worker that speaks the contract and does what the artist's name says. Packed into the archives of these tests.

Its archive's config can make it a bad version: with `fails_every` N it fails each N-th request, with `slow_s` it takes
so many seconds more for each, and with `signs` its texts name its version.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from handlers.batches import BATCH_FIELD, BatchedRequest, decode_requests, encode_answers
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

UNKNOWN_GENRE = "zydeco"
"""Genre that the model does not know."""
_LATE = encode_answer(ContractError(ErrorCode.DEADLINE_EXCEEDED, "", "late"))


class EchoHandler:
    def initialize(self, context: Any) -> None:
        folder = Path(context.system_properties["model_dir"])
        self._config = json.loads((folder / "config.json").read_text())
        self._asked = 0
        time.sleep(self._config.get("load_s", 0))
        if self._config.get("broken"):
            raise RuntimeError("these weights cannot be loaded")

    def handle(self, batch: Sequence[Mapping[str, Any]], context: Any) -> list[str]:
        if context.get_request_header(0, "describe") == "True":
            return [self._describe()]
        calls = [_requests_of(row) for row in batch]
        now = time.monotonic()
        late = [each.start_by is not None and each.start_by < now for call in calls for each in call]
        asked = [_request(each) for call in calls for each in call]
        time.sleep(sum(_decode_s(request) for request, is_late in zip(asked, late, strict=True) if not is_late))
        answers = iter(
            _LATE if is_late else self._answer(request) for request, is_late in zip(asked, late, strict=True)
        )
        return [
            encode_answers([next(answers) for _ in call]) if BATCH_FIELD in row else next(answers)
            for row, call in zip(batch, calls, strict=True)
        ]

    def _describe(self) -> str:
        if self._config.get("shy"):
            raise RuntimeError("this one says nothing of itself")
        threads = int(Path(os.environ[THREADS_FILE_VARIABLE]).read_text())
        made_from = {"corpus": "ab" * 32}
        return json.dumps(
            {"genres": ["pop"], "lineage": made_from, "precision": "fp32", "slots": 3, "threads": threads}
        )

    def _answer(self, request: CommentaryRequest) -> str:
        started = time.perf_counter()
        command, _, value = (request.artist or "").partition(" ")
        self._asked += 1
        time.sleep(self._config.get("slow_s", 0))
        if (every := self._config.get("fails_every")) and self._asked % every == 0:
            command = "fail"
        if command == "sleep":
            time.sleep(float(value))
        while command == "work" and time.perf_counter() - started < float(value):
            pass
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
        signature = f" by {self._config['version']} from {request.seed}" if self._config.get("signs") else ""
        return encode_answer(
            CommentaryResponse(
                samples=tuple(
                    Sample(
                        text=f"{request.title}{signature}", token_count=1, log_prob=-1.0, topics=(0.5, 0.5), seed=index
                    )
                    for index in range(request.num_samples)
                ),
                model=ModelIdentity(name=self._config["model"], version=self._config["version"]),
                genres_used=tuple(genre for genre in request.genres if genre != UNKNOWN_GENRE),
                genres_unknown=tuple(genre for genre in request.genres if genre == UNKNOWN_GENRE),
                timings=Timings(decode_ms=1000 * (time.perf_counter() - started)),
                request_id=request.request_id,
            )
        )


def _requests_of(row: Mapping[str, Any]) -> list[BatchedRequest]:
    if BATCH_FIELD in row:
        return decode_requests(bytes(row[BATCH_FIELD]))
    start = row.get(START_BY_FIELD)
    request = CommentaryRequest.from_json(bytes(row[INPUT_FIELD]))
    return [BatchedRequest(parsed=request, start_by=None if start is None else float(start))]


def _request(batched: BatchedRequest) -> CommentaryRequest:
    assert isinstance(batched.parsed, CommentaryRequest)
    return batched.parsed


def _decode_s(request: CommentaryRequest) -> float:
    """Time that a request adds to the decode of its batch: with the artist `decode S`, S seconds for each sequence."""
    command, _, value = (request.artist or "").partition(" ")
    return float(value) * request.num_samples * (request.best_of or 1) if command == "decode" else 0.0
