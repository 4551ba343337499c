"""A long run with changes of the version: memory, files, sockets and threads stay flat.

`make soak` sends 200,000 requests, or as many as REQUESTS says.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from typing import Self

import pytest

from serving.client import RetryPolicy
from tests.faults.inspecting import GATEWAY, GUARD, JVM, WORKER, parts_of
from tests.faults.load import Kind
from tests.faults.reporting import Row
from tests.faults.scene import House, observing
from tests.faults.test_registry import _follows_a_promotion
from tests.faults.trend import trend

pytestmark = [pytest.mark.integration, pytest.mark.fault, pytest.mark.soak, pytest.mark.timeout(7200)]

REQUESTS = int(os.environ.get("DEEPHYPEBOT_SOAK", "2000"))
STEADY = Kind(name="steady", threads=6, retry=RetryPolicy(max_attempts=1), pause_s=0.0)
EVERY_S = 0.5
LIMIT_MB = {GATEWAY: 25.0, GUARD: 2.0, JVM: 40.0, WORKER: 25.0}
"""Growth that the second half of a run may have; each version that comes and goes leaves something in an allocator."""


class Readings:
    """Memory by role, and descriptors and threads, read twice a second."""

    def __init__(self, root: int) -> None:
        self.rss_mb: dict[str, list[float]] = defaultdict(list)
        self.descriptors: list[float] = []
        self.threads: list[float] = []
        self._root = root
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read, name="soak-readings")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._done.wait(EVERY_S):
            parts = parts_of(self._root)
            for role in LIMIT_MB:
                mine = [part.rss_mb for part in parts if part.role == role]
                if mine:
                    self.rss_mb[role].append(sum(mine) / len(mine))
            self.descriptors.append(sum(part.files + part.sockets for part in parts if part.role in (GATEWAY, JVM)))
            self.threads.append(sum(part.threads for part in parts if part.role in (GATEWAY, JVM)))


@pytest.mark.promise(
    "soak",
    f"{REQUESTS:,} requests with a change of the champion every 30 s",
    "memory, descriptors and threads are flat; no request fails",
)
def test_soak(house: House, row: Row) -> None:
    with (
        observing(house, row, kinds=(STEADY,)) as seen,
        Readings(house.running.process.pid) as readings,
    ):
        changed = time.monotonic()
        while len(seen.load.calls) < REQUESTS:
            time.sleep(1)
            if time.monotonic() - changed > 30:
                _follows_a_promotion(house)
                changed = time.monotonic()
        seen.wait_normal()
    grown = []
    for role, values in readings.rss_mb.items():
        late = values[len(values) // 3 :]
        if len(late) < 24:
            continue
        growth = trend(late)
        row.notes.append(f"{role} {late[-1]:.0f} MB, growth {growth} MB")
        if growth.low > 0 and growth.growth > LIMIT_MB[role]:
            grown.append(f"{role}: {growth}")
    for name, values in (("descriptors", readings.descriptors), ("threads", readings.threads)):
        late = values[len(values) // 3 :]
        if len(late) >= 24:
            growth = trend(late)
            row.notes.append(f"{name} {late[-1]:.0f}, growth {growth}")
            if growth.low > 0 and growth.growth > 8:
                grown.append(f"{name}: {growth}")
    row.notes.append(f"{len(seen.load.calls) / seen.load.now_s():.0f} requests/s")
    assert grown == []
    assert seen.failures(STEADY) == {}
