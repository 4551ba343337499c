"""BentoML with a batchable API, after https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html.

The batching delay is chosen by BentoML's dispatcher, which adapts it. `max_latency_ms` is not a batching delay but the
age at which requests are refused, so it keeps its documented default.
"""

from __future__ import annotations

import os
import sys

import bentoml

from benchmarks.serving.programs.served import Served
from benchmarks.serving.programs.settings import ServerSettings, announce, server_settings
from foundation.defaults import LOOPBACK

_SETTINGS = "DEEPHYPEBOT_BENCH_SERVER"


def service(settings: ServerSettings) -> type:
    """Build the service around the engine."""

    @bentoml.service(
        name="commentary",
        workers=settings.workers,
        traffic={"timeout": 60},
        logging={"access": {"enabled": False}},
    )
    class Commentary:
        def __init__(self) -> None:
            self._served = Served(settings.model, threads=settings.threads)

        @bentoml.api(batchable=True, max_batch_size=settings.batch_size)
        def answer(self, requests: list[str]) -> list[str]:
            return self._served.answer(requests)

    return Commentary


# BentoML's workers import this module to find the service.
if _SETTINGS in os.environ:
    commentary = service(ServerSettings.from_json(os.environ[_SETTINGS]))


def main() -> None:
    """Replace this process by `bentoml serve`."""
    settings = server_settings()
    announce(settings, http=f"http://{LOOPBACK}:{settings.port}/answer")
    os.environ[_SETTINGS] = settings.to_json()
    command = [sys.executable, "-m", "bentoml", "serve", f"{__spec__.name}:commentary"]
    os.execv(command[0], [*command, "--host", LOOPBACK, "--port", str(settings.port)])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
