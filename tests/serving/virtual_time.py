"""Virtual time: an event loop whose waits take none, so that a scene of minutes runs in milliseconds, always alike."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar

_T = TypeVar("_T")


class _Jumping(selectors.DefaultSelector):
    """Selector that moves the clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now += timeout or 0.0
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run_in_virtual_time(scene: Callable[[Callable[[], float]], Awaitable[_T]]) -> _T:
    """Run a scene to its end.

    Args:
        scene: gets the clock of the loop, in seconds, by which `asyncio.sleep` waits.
    """

    async def main() -> _T:
        return await scene(asyncio.get_running_loop().time)

    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main())
