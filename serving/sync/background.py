"""Tasks that run beside a loop, which does not wait for them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class Tasks:
    """Tasks by name that run beside a loop; a fault of one is a line in the log."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        """Return whether a task of that name runs."""
        return name in self._tasks

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task; one of the same name must not run."""
        task = asyncio.create_task(work, name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._note(name, ended))
        return task

    def get(self, name: str) -> asyncio.Task[None] | None:
        """Return the task of that name that runs; None if there is none."""
        return self._tasks.get(name)

    async def wait(self, name: str) -> None:
        """Wait for the task of that name, if there is one, however it ends."""
        if (task := self._tasks.get(name)) is not None:
            await asyncio.wait([task])

    def cancel(self) -> None:
        """Cancel all tasks; none counts as running from then on."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def close(self) -> None:
        """Cancel all tasks and wait for them."""
        tasks = list(self._tasks.values())
        self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _note(self, name: str, ended: asyncio.Task[None]) -> None:
        if self._tasks.get(name) is ended:
            del self._tasks[name]
        if not ended.cancelled() and (fault := ended.exception()) is not None:
            _log.error("%s failed: %s: %s", name, type(fault).__name__, fault)
