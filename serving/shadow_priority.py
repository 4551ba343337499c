"""Loop that gives the workers of shadow versions a lower priority, and takes it back when they answer clients."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final

from serving.errors import ServingError
from serving.torchserve.management import Management
from serving.torchserve.priority import LOWERED, may_raise, set_priority
from serving.torchserve.supervisor import Supervisor
from serving.traffic.routes import RoutingTable

_log = logging.getLogger(__name__)

_INTERVAL_S: Final = 1.0


class ShadowPriority:
    """Keeper of the priorities of workers.

    Args:
        table: live versions and their policies.
        supervisor: TorchServe, which knows the workers.
    """

    def __init__(self, table: RoutingTable, supervisor: Supervisor) -> None:
        self._table = table
        self._supervisor = supervisor
        self._own = os.getpriority(os.PRIO_PROCESS, 0)
        self._lowered: dict[tuple[str, str], frozenset[int]] = {}

    async def run(self) -> None:
        """Follow the policies until cancelled. It ends by itself where a priority could not be raised again."""
        if not may_raise():
            return
        while True:
            await asyncio.sleep(_INTERVAL_S)
            if (running := self._supervisor.running) is not None:
                try:
                    await self.update(running.instance.management)
                except (ServingError, OSError) as fault:
                    _log.debug("the priority of shadows' workers stays as it is: %s", fault)

    async def update(self, management: Management) -> None:
        """Lower the workers of versions that are nothing but shadows, and raise those that no longer are.

        Raises:
            ServingError: TorchServe does not say which workers it has.
            OSError: a priority cannot be set.
        """
        shadows = {
            (model, version)
            for model in self._table.models
            if (policy := self._table.policy(model)) is not None
            for version in policy.shadows
            if not policy.share(version) and version != self._table.champion(model)
        }
        for key in self._lowered.keys() - shadows:
            set_priority(self._lowered.pop(key), self._own)
        for model in {model for model, _ in shadows}:
            for described in await management.describe(model):
                key, pids = (model, described.version), frozenset(described.worker_pids)
                if key in shadows and pids != self._lowered.get(key):
                    set_priority(pids, max(LOWERED, self._own))
                    self._lowered[key] = pids
