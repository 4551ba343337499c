"""Work in the background: tasks that run beside a loop, and steps that are repeated for ever."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
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


class Faults:
    """Faults of work that is done again and again; the log gets each that is another than the one before.

    Args:
        work: words for the work.
    """

    def __init__(self, work: str) -> None:
        self._work = work
        self._told = ""

    def tell(self, fault: Exception) -> bool:
        """Tell a fault, and return whether it is another than the one before."""
        message = f"{type(fault).__name__}: {fault}"
        is_new = message != self._told
        if is_new:
            _log.error("%s failed and is tried again: %s", self._work, message, exc_info=fault)
        self._told = message
        return is_new

    def forget(self) -> None:
        """Note that the work was done; its next fault is another."""
        self._told = ""

    def begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin a part of the work as a task that nobody waits for; its fault is told."""

        def note(ended: asyncio.Task[None]) -> None:
            if not ended.cancelled() and isinstance(fault := ended.exception(), Exception):
                self.tell(fault)

        task = asyncio.create_task(work)
        task.add_done_callback(note)
        return task


async def repeat(
    step: Callable[[], Awaitable[None]],
    work: str,
    *,
    pauses_s: tuple[float, float],
    goes_on: Callable[[], bool] = lambda: True,
    on_fault: Callable[[], None] = lambda: None,
) -> None:
    """Repeat a step. No fault of one ends the service: it is told once, and the step is tried again.

    Args:
        step: the step, which pauses by itself.
        work: words for the work.
        pauses_s: pause on which the first one after a fault is based, and the longest; it doubles with each fault.
        goes_on: returns whether there is to be another step.
        on_fault: called for each fault that is another than the one before.
    """
    faults, pause_s = Faults(work), pauses_s[0]
    while goes_on():
        try:
            await step()
        except Exception as fault:  # noqa: BLE001 - any other would end the service, or a task that nobody waits for
            if faults.tell(fault):
                on_fault()
            pause_s = min(2 * pause_s + 0.1, pauses_s[1])
            await asyncio.sleep(pause_s)
        else:
            faults.forget()
            pause_s = pauses_s[0]
