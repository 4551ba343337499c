from __future__ import annotations

import asyncio
import threading
import time

import pytest

from foundation.threads import in_thread


def test_a_call_returns_and_raises_where_it_is_awaited() -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    assert asyncio.run(in_thread(lambda: 3)) == 3
    with pytest.raises(ValueError, match="on purpose"):
        asyncio.run(in_thread(fail))


def test_calls_that_hang_hold_up_no_other_and_not_the_end_of_the_loop() -> None:
    release = threading.Event()

    async def run() -> int:
        hanging = [asyncio.create_task(in_thread(release.wait)) for _ in range(100)]
        await asyncio.sleep(0)
        value = await in_thread(lambda: 7)
        for task in hanging:
            task.cancel()
        return value

    started = time.monotonic()
    try:
        assert asyncio.run(run()) == 7
        assert time.monotonic() - started < 10
    finally:
        release.set()
