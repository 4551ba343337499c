"""Clients, one per protocol, each of the kind that the server's documentation uses."""

from __future__ import annotations

import importlib
import json
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from benchmarks.serving.calls import LoadSettings

# Imported by name: gRPC's stubs are installed in the project's environment alone.
_MODULES: Final = {
    "grpc": "grpc_clients",
    "gateway": "grpc_clients",
    "interleaved": "grpc_clients",
    "oip": "grpc_clients",
    "http": "http_clients",
    "bare_grpc": "grpc_clients",
    "litserve": "http_clients",
    "rayserve": "http_clients",
    "bentoml": "http_clients",
}


class FailedError(Exception):
    """A request without samples in its answer.

    Attributes:
        code: name of a gRPC status code, or the HTTP error.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Client(Protocol):
    """Function that sends one request."""

    async def __call__(self, payload: str) -> tuple[int, float]:
        """Send a request and return the number of samples and the decode_ms of its answer.

        Raises:
            FailedError: the answer has no samples.
        """


def client(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """Connect a client to the server of the settings."""
    module = importlib.import_module(f"benchmarks.serving.programs.{_MODULES[settings.protocol]}")
    found: AbstractAsyncContextManager[Client] = module.CLIENTS[settings.protocol](settings)
    return found


def read_answer(answer: bytes | str) -> tuple[int, float]:
    """Parse the number of samples and the decode_ms from the engine's JSON.

    Raises:
        FailedError: the JSON is an error, or not an answer of the engine.
    """
    try:
        document = json.loads(answer)
        if "error" in document:
            raise FailedError(str(document["error"]["code"]))
        return len(document["result"]["samples"]), float(document["result"]["timings"]["decode_ms"])
    except (ValueError, KeyError, TypeError) as cause:
        raise FailedError("WRONG_ANSWER") from cause
