"""A client per protocol: each speaks to its server the way that server's own clients do."""

from __future__ import annotations

import importlib
import json
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from benchmarks.serving.calls import LoadSettings

# Imported by name: gRPC's stubs are there in the project's environment, aiohttp in those of the other servers.
_MODULES: Final = {
    "grpc": "grpc_clients",
    "gateway": "grpc_clients",
    "bare_grpc": "grpc_clients",
    "litserve": "http_clients",
    "rayserve": "http_clients",
    "bentoml": "http_clients",
}


class FailedError(Exception):
    """A request that was not answered with samples.

    Attributes:
        code: a gRPC status code's name, or what HTTP said.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Client(Protocol):
    """Asks the server once."""

    async def __call__(self, payload: str) -> tuple[int, float]:
        """Samples of the answer and its decode_ms.

        Raises:
            FailedError: there was no such answer.
        """


def client(settings: LoadSettings) -> AbstractAsyncContextManager[Client]:
    """A client of the settings' server."""
    module = importlib.import_module(f"benchmarks.serving.programs.{_MODULES[settings.protocol]}")
    found: AbstractAsyncContextManager[Client] = module.CLIENTS[settings.protocol](settings)
    return found


def read_answer(answer: bytes | str) -> tuple[int, float]:
    """Samples and decode_ms of the engine's JSON.

    Raises:
        FailedError: it is an error, or no answer at all.
    """
    try:
        document = json.loads(answer)
        if "error" in document:
            raise FailedError(str(document["error"]["code"]))
        return len(document["result"]["samples"]), float(document["result"]["timings"]["decode_ms"])
    except (ValueError, KeyError, TypeError) as cause:
        raise FailedError("WRONG_ANSWER") from cause
