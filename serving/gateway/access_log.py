"""LoggedCall log: one line of JSON for each call, with neither the song nor the text.

A line is written as its call ends. The file may be moved away, as by a rotation: the next line begins a new one.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from typing import Final

from typing_extensions import override

from handlers.contract import MAX_TEXT_LENGTH
from serving.errors import ServingError
from serving.v1 import commentary_pb2

STANDARD_OUTPUT: Final = "-"

_log = logging.getLogger(__name__)
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_LOST: Final = "CANCELLED"


@dataclass(slots=True, kw_only=True)
class LoggedCall:
    """One call, as its line tells it. What a client sent is cut to the length that the contract allows."""

    method: str
    """Full name of the method, or method and route of HTTP."""
    client: str
    """Address of the client's connection."""
    code: str = _LOST
    """Status by its name in gRPC, or of HTTP."""
    model: str = ""
    version: str = ""
    """Version that answered; of an experiment all arms, with commas between them; of a failure the one asked for."""
    samples: int = 0
    request_id: str = ""
    trace_id: str = ""
    started: float = field(default_factory=time.perf_counter)

    def note_request(self, request: commentary_pb2.GenerateRequest) -> None:
        """Note what is asked for."""
        self.model = request.model[:MAX_TEXT_LENGTH]
        self.version = request.version[:MAX_TEXT_LENGTH]
        self.request_id = request.request_id[:MAX_TEXT_LENGTH]

    def note_answer(self, answer: commentary_pb2.GenerateResponse) -> None:
        """Note the answer."""
        self.model = answer.model.name
        self.version = ",".join(arm.model.version for arm in answer.arms)
        self.samples = len(answer.samples)
        self.trace_id = answer.trace_id


_CURRENT: Final[ContextVar[LoggedCall | None]] = ContextVar("logged_call", default=None)


def current_call() -> LoggedCall | None:
    """Return the call that is being answered; None where no log is kept."""
    return _CURRENT.get()


class AccessLog:
    """Writer of the lines.

    Args:
        handler: takes each line; it must not raise.
    """

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    @contextmanager
    def call(self, method: str, client: str) -> Iterator[LoggedCall]:
        """Write the line of the call that the block answers; it sets the code.

        Args:
            method: full name of the method, or method and route of HTTP.
            client: address of the client's connection.
        """
        call = LoggedCall(method=method, client=client)
        token = _CURRENT.set(call)
        try:
            yield call
        finally:
            _CURRENT.reset(token)
            self._write(call)

    def _write(self, call: LoggedCall) -> None:
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "method": call.method,
            "code": call.code,
            "ms": round(1000 * (time.perf_counter() - call.started), 3),
            "client": call.client,
            "model": call.model,
            "version": call.version,
            "samples": call.samples,
            "request_id": call.request_id,
            "trace_id": call.trace_id,
        }
        self._handler.handle(logging.makeLogRecord({"msg": _encode(line)}))


class _File(WatchedFileHandler):
    """File that tells of its faults once, instead of with a traceback for each line."""

    _is_failing = False
    _has_failed = False

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self._has_failed = False
        try:
            super().emit(record)
        except OSError:  # of the file that is opened again
            self.handleError(record)
        self._is_failing = self._has_failed

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        self._has_failed = True
        if not self._is_failing:
            _log.warning("the access log %s loses lines: %s", self.baseFilename, sys.exc_info()[1])


@contextmanager
def open_access_log(target: str | None) -> Iterator[AccessLog | None]:
    """Open the log for the length of the block.

    Args:
        target: path of the file, or `-` for standard output; None keeps no log.

    Raises:
        ServingError: the file cannot be opened.
    """
    if target is None:
        yield None
        return
    handler: logging.Handler
    try:
        handler = logging.StreamHandler(sys.stdout) if target == STANDARD_OUTPUT else _File(target, encoding="utf-8")
    except OSError as cause:
        raise ServingError(
            f"the access log {target} cannot be written ({cause.strerror}): choose another with --access-log"
        ) from cause
    try:
        yield AccessLog(handler)
    finally:
        with contextlib.suppress(OSError):  # of a full disk, which was told
            handler.close()
