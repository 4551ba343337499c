"""Calls that may hang, in threads that hold nothing up, and tasks that nobody waits for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


async def in_thread(call: Callable[[], _T]) -> _T:
    """Return what a call returns, or raise what it raises, without blocking the event loop.

    The call has a thread of its own. A pool has few threads, so that calls to a server that hangs would hold up all
    others, and the end of the process would wait for them.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def settle(fault: BaseException | None, value: Any) -> None:
        if done.done():
            return
        if fault is None:
            done.set_result(value)
        else:
            done.set_exception(fault)

    def run() -> None:
        value, fault = None, None
        try:
            value = call()
        except BaseException as cause:  # noqa: BLE001 - it is raised where the call is awaited
            fault = cause
        with contextlib.suppress(RuntimeError):  # the event loop has ended meanwhile
            loop.call_soon_threadsafe(settle, fault, value)

    Thread(target=run, name=getattr(call, "__name__", "call"), daemon=True).start()
    return await done


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
