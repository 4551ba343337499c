"""Calls that block, in threads that hold nothing else up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from threading import Thread
from typing import Any, TypeVar

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
