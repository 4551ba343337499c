"""Readings of the registry, which is opened when it can be, and may be away at any time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, TypeVar

from foundation.threads import in_thread
from serving.errors import RegistryError
from serving.registry.client import Registry
from serving.registry.versions import ModelSnapshot, RegisteredVersion

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

CALL_TIMEOUT_S: Final = 60.0
"""Time after which a call counts as failed. MLflow's client gives up a request after 10 s and tries it three times."""


class Readings:
    """The registry as sync uses it: every call has a timeout, and the registry need not be there at the start.

    Args:
        tracking_uri: `sqlite:///PATH` or the address of a tracking server.
        timeout_s: time after which a call counts as failed.
    """

    def __init__(self, tracking_uri: str, *, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._uri = tracking_uri
        self._timeout_s = timeout_s
        self._registry: Registry | None = None
        self._opening = Lock()
        self._faults: dict[str, str] = {}

    async def open(self) -> None:
        """Open the registry.

        Raises:
            RegistryError: it cannot be opened now; the next call tries again.
        """
        await self._call(lambda _: None)

    async def snapshot(self, model: str) -> ModelSnapshot | None:
        """Read the versions of a model that should be live; None if the registry cannot be read, which the log says."""
        try:
            snapshot = await self._call(lambda registry: registry.snapshot(model))
        except RegistryError as fault:
            self._note_fault(model, str(fault))
            return None
        self._note_answer(model)
        return snapshot

    async def set_sync_error(self, model: str, version: str, reason: str) -> None:
        """Tag a version, or the model itself if the version is empty, with a reason; an empty one removes the tag.

        Raises:
            RegistryError: the registry cannot be written.
        """

        def write(registry: Registry) -> None:
            if version:
                registry.set_sync_error(model, version, reason)
            else:
                registry.set_model_sync_error(model, reason)

        await self._call(write)

    async def set_drift(self, model: str, version: str, feature: str, text: str) -> None:
        """Tag a version with an alarm of a feature of its traffic.

        Raises:
            RegistryError: the registry cannot be written.
        """
        await self._call(lambda registry: registry.set_drift(model, version, feature, text))

    async def set_previous(self, model: str, version: str) -> None:
        """Make a version the one that a rollback returns to.

        Raises:
            RegistryError: the registry cannot be written.
        """
        await self._call(lambda registry: registry.set_previous(model, version))

    def is_away(self, model: str) -> bool:
        """Return whether the last reading of a model failed."""
        return model in self._faults

    def fetch_archive(self, version: RegisteredVersion, folder: Path) -> Path:
        """Download a version's archive into a folder; blocks.

        Raises:
            RegistryError: the version has no archive, or it cannot be downloaded.
        """
        return self._opened().fetch_archive(version, folder)

    def _opened(self) -> Registry:
        with self._opening:
            if self._registry is None:
                self._registry = Registry(self._uri)
            return self._registry

    async def _call(self, call: Callable[[Registry], _T]) -> _T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await in_thread(lambda: call(self._opened()))
        except TimeoutError as cause:
            raise RegistryError(f"the registry did not answer within {self._timeout_s:g} s") from cause

    def _note_fault(self, model: str, fault: str) -> None:
        """Log a fault, unless another model has the same one or this model has one already."""
        if model not in self._faults and fault not in self._faults.values():
            _log.warning("%s; serving continues with the live versions", fault)
        self._faults[model] = fault

    def _note_answer(self, model: str) -> None:
        if self._faults.pop(model, None) is not None and not self._faults:
            _log.info("the registry is available again")
