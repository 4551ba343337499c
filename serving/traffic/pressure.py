"""Pressure of clients' requests on the machine, by which copies for shadow versions give way.

A lower priority of a shadow's workers was tried instead, and clients waited as long: they also wait for the gateway and
the worker host, through which copies go, and an ordinary user could not raise it again for a version that gets a share.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from serving.traffic.routes import RoutingTable

_CORES_OF_A_REQUEST: Final = 2
"""Cores that a request or a copy of one takes beside other decodes: its worker's, and that of all on the way to it."""


class Pressure:
    """Pressure of the requests of all models, which share the cores.

    Args:
        table: live versions and their policies.
        num_cores: cores of the machine.
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, table: RoutingTable, *, num_cores: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._table = table
        self._num_cores = num_cores
        self._clock = clock
        self._last_s = clock()

    def note(self) -> None:
        """Note that a client's request came or was answered."""
        self._last_s = self._clock()

    @property
    def quiet_s(self) -> float:
        """Time since which no client's request has come or was answered."""
        return self._clock() - self._last_s

    def is_full(self) -> bool:
        """Return whether a copy would slow a client's request down.

        It would where a version that answers clients has no free worker, or decodes while no cores are free.
        """
        busy = self._busy_cores()
        return busy is None or (busy > 0 and busy + _CORES_OF_A_REQUEST > self._num_cores)

    def is_roomy(self) -> bool:
        """Return whether a copy and one more client's request would each have cores of their own."""
        busy = self._busy_cores()
        return busy is not None and busy + 2 * _CORES_OF_A_REQUEST <= self._num_cores

    def _busy_cores(self) -> int | None:
        """Return the cores on which clients' requests are decoded; None if a version has no free worker."""
        busy = 0
        for model in self._table.models:
            policy = self._table.policy(model)
            shadows = policy.shadows if policy is not None else ()
            for version in self._table.live_versions(model):
                route = self._table.route(model, version)
                if version not in shadows and route is not None and route.in_flight:
                    if route.in_flight >= route.admission.limits.workers:
                        return None
                    busy += route.in_flight * max(1, route.worker.threads)
        return busy
