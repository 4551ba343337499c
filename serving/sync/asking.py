"""Questions of the watch to the worker host: whether it answers, its workers, and tokens of an idle version."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from serving.errors import ServingError
from serving.sync.background import repeat
from serving.sync.loading import try_route
from serving.traffic.route import Route
from serving.workers.host import Census, RunningHost
from serving.workers.verdicts import PING_S

_CENSUS_S: Final = (0.4, 2.0)
"""Pause between two readings of the host's lists, while something is wrong and otherwise."""
_PROBE_TIMEOUT_S: Final = 20.0
_FAULT_PAUSES_S: Final = (0.5, 2.0)


class Asking:
    """Asks one running host.

    Args:
        running: the host.
    """

    def __init__(self, running: RunningHost) -> None:
        self._running = running
        self.reachable = True
        """Whether it answered the last ping."""
        self.census: Census | None = None
        """Last reading of its lists of workers; None before the first."""
        self.troubled: Final = asyncio.Event()
        """Set while something is wrong, so that its lists are read more often."""

    async def run(self) -> None:
        """Ping it and read its lists until cancelled."""
        await asyncio.gather(
            repeat(self._ping, "pinging the worker host", pauses_s=_FAULT_PAUSES_S),
            repeat(self._take_census, "reading the lists of workers", pauses_s=_FAULT_PAUSES_S),
        )

    async def probe(self, route: Route) -> None:
        """Ask an idle version for a few tokens, so that its calls tell whether it answers."""
        with contextlib.suppress(ServingError), route.outcomes.call():  # that notes how it ends
            await try_route(route, self._running.inference, timeout_s=_PROBE_TIMEOUT_S)

    async def _ping(self) -> None:
        pause_s, timeout_s = PING_S
        self.reachable = await self._running.inference.answers_ping(timeout_s=timeout_s)
        await asyncio.sleep(pause_s)

    async def _take_census(self) -> None:
        often_s, seldom_s = _CENSUS_S
        self.troubled.clear()
        try:
            self.census = await self._running.take_census()
        except ServingError:  # pings and calls tell what is the matter
            await asyncio.sleep(often_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seldom_s):
                await self.troubled.wait()
        await asyncio.sleep(often_s)
