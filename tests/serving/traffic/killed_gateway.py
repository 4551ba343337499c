"""A gateway with exposures as a process that a test kills, in front of a loopback server that answers at once."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

from serving.traffic.segments import Segments
from tests.serving.loopback_gateway import bench
from tests.serving.traffic.exposing import recorder

MOMENTS = ("before a row", "after a row")
"""Exact moments at which the process kills itself, besides those at which it is killed from outside."""


class DoomedSegments(Segments):
    """Segments whose process ends by SIGKILL at one row."""

    def prepare(self, moment: str, row: int) -> None:
        """Choose the moment and the number of the row."""
        self._moment, self._rows, self._last = moment, itertools.count(1), row

    def append(self, row: bytes) -> bool:
        """Write a row, or half a life."""
        is_last = next(self._rows) == self._last
        if is_last and self._moment == MOMENTS[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        written = super().append(row)
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)
        return written


def run(folder: Path, started: Connection, moment: str, row: int) -> None:
    """Serve until the process is killed.

    Args:
        folder: folder of the exposures.
        started: gets the address of the gateway.
        moment: moment of `MOMENTS` at which the process kills itself; empty for none.
        row: number of the row at which it does.
    """
    asyncio.run(_serve(folder, started, moment, row))


async def _serve(folder: Path, started: Connection, moment: str, row: int) -> None:
    to = recorder(folder, sync_s=0.02)
    if moment:
        segments = DoomedSegments(to._segments._settings, host="one")  # type: ignore[union-attr]
        segments.prepare(moment, row)
        to._segments = segments
    assert to._segments is not None
    async with bench(recorder=to) as it:
        started.send(it.target)
        await to._segments.run()
