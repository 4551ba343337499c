"""Supervisor that keeps one TorchServe running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from serving.errors import ServingError
from serving.torchserve.inference import Inference
from serving.torchserve.process import Instance, TorchServeSettings, start_instance, stop_instance

_log = logging.getLogger(__name__)

_CLOSE_GRACE_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Running:
    """A TorchServe that answers, and the connection to it. It starts without models."""

    instance: Instance
    inference: Inference


class Supervisor:
    """Supervisor of one TorchServe, which restarts it with growing pauses whenever it ends.

    Args:
        settings: settings of TorchServe.
        on_down: called when TorchServe has ended.
    """

    def __init__(self, settings: TorchServeSettings, *, on_down: Callable[[], None]) -> None:
        self._settings = settings
        self._on_down = on_down
        self._running: Running | None = None
        self._up = asyncio.Event()

    @property
    def running(self) -> Running | None:
        """TorchServe that answers now; None while there is none."""
        return self._running

    async def wait_running(self) -> Running:
        """Wait for a TorchServe that answers, and return it."""
        while self._running is None:
            await self._up.wait()
        return self._running

    async def start(self) -> None:
        """Start TorchServe for the first time.

        Raises:
            JavaMissingError, TorchServeError: it cannot be started; nothing is left of the attempt.
        """
        instance = await start_instance(self._settings)
        self._running = Running(instance=instance, inference=Inference(instance.inference_target))
        self._up.set()

    async def watch(self) -> None:
        """Restart TorchServe whenever it ends; runs until it is cancelled."""
        while True:
            running = await self.wait_running()
            status = await running.instance.guard.wait()
            _log.error("TorchServe ended with status %d; restarting it", status)
            await self._mark_down(running)
            await self._restart()

    async def stop(self) -> None:
        """Stop TorchServe; call it after `watch` was cancelled."""
        running = self._running
        if running is not None:
            await self._mark_down(running)
            await stop_instance(running.instance, self._settings)

    async def _mark_down(self, running: Running) -> None:
        self._running = None
        self._up.clear()
        self._on_down()
        # Calls in flight fail with UNAVAILABLE when their connection breaks; closing at once would cancel them instead.
        await running.inference.close(grace_s=_CLOSE_GRACE_S)

    async def _restart(self) -> None:
        pause_s, longest_s = self._settings.restart_backoff_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.start()
            except ServingError as fault:
                pause_s = min(2 * pause_s, longest_s)
                _log.error("TorchServe does not start (next attempt in %g s): %s", pause_s, fault)
            else:
                _log.info("TorchServe runs again")
                return
