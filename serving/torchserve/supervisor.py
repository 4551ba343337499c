"""Supervisor that keeps one TorchServe running."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from typing_extensions import override

from serving.errors import ServingError
from serving.torchserve.inference import TorchServeInference
from serving.torchserve.process import (
    TorchServeSettings,
    remove_folder,
    start_instance,
    stop_instance,
)
from serving.torchserve.running import Running
from serving.workers.host import RunningHost, WorkerHost
from serving.workers.replacements import HostFault, Replacements

_log = logging.getLogger(__name__)

_CLOSE_GRACE_S: Final = 1.0
_SHORT_RUN_S: Final = 30.0
"""Time below which a TorchServe that ended counts as one that did not start."""


class Supervisor(WorkerHost):
    """Supervisor of one TorchServe, which restarts it whenever it ends.

    The first restart is at once; there are growing pauses if it ends soon again, or does not start.

    Args:
        settings: settings of TorchServe.
        on_down: called when TorchServe has ended.
        replacements: where restarts are counted.
    """

    def __init__(
        self, settings: TorchServeSettings, *, on_down: Callable[[], None], replacements: Replacements | None = None
    ) -> None:
        self._settings = settings
        self._on_down = on_down
        self._replacements = replacements or Replacements()
        self._condemned: tuple[Running, HostFault] | None = None
        self._running: Running | None = None
        self._up = asyncio.Event()

    @property
    @override
    def running(self) -> Running | None:
        """TorchServe that answers now; None while there is none."""
        return self._running

    @override
    async def wait_running(self) -> Running:
        """Wait for a TorchServe that answers, and return it."""
        while self._running is None:
            await self._up.wait()
        return self._running

    @override
    async def start(self) -> None:
        """Start TorchServe for the first time.

        Raises:
            JavaMissingError, TorchServeError: it cannot be started; nothing is left of the attempt.
        """
        instance = await start_instance(self._settings)
        self._condemned = None
        self._running = Running(
            instance=instance, inference=TorchServeInference(instance.inference_target, key=instance.keys.inference)
        )
        self._up.set()

    @override
    async def watch(self) -> None:
        """Restart TorchServe whenever it ends; runs until it is cancelled."""
        pause_s = 0.0
        while True:
            running = await self.wait_running()
            started = time.monotonic()
            status = await running.instance.guard.wait()
            fault = HostFault.ENDED
            if self._condemned is not None and self._condemned[0] is running:
                fault = self._condemned[1]
            self._replacements.host[fault] += 1
            _log.error("TorchServe ended with status %d (%s); restarting it", status, fault.value)
            await self._mark_down(running)
            await remove_folder(running.instance)
            pause_s = self._longer(pause_s) if time.monotonic() - started < _SHORT_RUN_S else 0.0
            pause_s = await self._restart(pause_s)

    @override
    def replace(self, running: RunningHost, fault: HostFault) -> None:
        if self._running is not None and self._running is running and self._condemned is None:
            self._condemned = (self._running, fault)
            with suppress(ProcessLookupError):
                os.kill(self._running.instance.pid, signal.SIGKILL)

    @override
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

    async def _restart(self, pause_s: float) -> float:
        """Start TorchServe, after a pause; return the last pause."""
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.start()
            except Exception as fault:  # noqa: BLE001 - TorchServe is started again whatever the machine lacks now
                pause_s = self._longer(pause_s)
                is_foreseen = isinstance(fault, ServingError)
                message = "TorchServe does not start (next attempt in %g s): %s"
                _log.error(message, pause_s, fault, exc_info=None if is_foreseen else fault)
            else:
                _log.info("TorchServe runs again")
                return pause_s

    def _longer(self, pause_s: float) -> float:
        first_s, longest_s = self._settings.restart_backoff_s
        return min(max(2 * pause_s, first_s), longest_s)
