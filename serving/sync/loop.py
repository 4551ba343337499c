"""Registry sync: it makes the live versions those of the registry, without dropping a request.

    reading of the registry -> desired state (`desired`) -> plan (`planning`) -> loads, switches, drains (`follower`)

Each model is followed by tasks of its own: one reads the registry, one acts. A version that cannot be made live is
refused: the live versions stay, and the refused one gets a tag with the reason. It is retried when the tag is removed,
and also after a pause. What answers is kept on the disk (`last_good`), for a start without the registry.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from foundation.threads import in_thread
from serving.errors import RegistryError
from serving.registry.owned_reasons import OwnedReasons
from serving.registry.trust import Trust
from serving.registry.unpacked import Unpacked
from serving.registry.versions import ModelSnapshot
from serving.sync.background import repeat
from serving.sync.follower import Follower, FollowerSettings
from serving.sync.last_good import LastGood, LastGoodFiles
from serving.sync.loading import Loader
from serving.sync.observer import SyncObserver
from serving.sync.readings import Readings
from serving.traffic.drift_book import DriftBook
from serving.traffic.routes import RoutingTable
from serving.workers.host import WorkerHost

_log = logging.getLogger(__name__)

_LONGEST_FAULT_PAUSE_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Settings of the registry sync.

    Raises:
        ValueError: a value is out of range.
    """

    model_store: Path
    last_good: Path | None = None
    """Folder of the last good states; None keeps none."""
    trusted_keys: Path | None = None
    """File of public keys, one of which must have signed an archive; None loads unsigned ones as well."""
    workers: int = 1
    """Workers of each live version."""
    poll_s: float = 1.0
    grace_s: float = 15.0
    """Time for which a version stays live that no reading of the registry asks for."""
    patience_s: float = 10.0
    """Time for the first reading of the registry, after which the last good state is served."""
    fetch_timeout_s: float = 600.0
    """Time to download a version's archive."""
    load_timeout_s: float = 120.0
    """Time for a version's workers to load it."""
    canary_timeout_s: float = 30.0
    drain_timeout_s: float = 60.0
    """Time for a removed version's requests in flight; longer than any deadline that the gateway grants."""
    retry_s: tuple[float, float] = (5.0, 120.0)
    """First and longest pause before a refused version is retried; the pause doubles with each refusal."""

    def __post_init__(self) -> None:
        for name in ("poll_s", "grace_s", "patience_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


class Sync:
    """Loops that follow the registry for the models of a routing table.

    Args:
        settings: intervals and timeouts.
        tracking_uri: address of the registry to follow.
        host: worker host that serves the versions.
        table: routing table; these loops are its only writers.
        unpacked: place of the unpacked archives.
        on_change: called after each reading of the registry and after each action.
        observer: is told of switches, refusals and faults.
        drift: watch over the versions' traffic, whose alarms become tags.
        reasons: reasons of this gateway, as tags have them; by default those of the host's name.

    Raises:
        SecurityError: the file of trusted keys cannot be used.
    """

    def __init__(
        self,
        settings: SyncSettings,
        *,
        tracking_uri: str,
        host: WorkerHost,
        table: RoutingTable,
        unpacked: Unpacked,
        on_change: Callable[[], None],
        observer: SyncObserver | None = None,
        drift: DriftBook | None = None,
        reasons: OwnedReasons | None = None,
    ) -> None:
        self._settings = settings
        self._host = host
        self._on_change = on_change
        self._observer = observer or SyncObserver()
        self._drift = drift or DriftBook()
        self._readings = Readings(tracking_uri)
        self._files = LastGoodFiles(settings.last_good, registry=tracking_uri)
        self._saved: dict[str, LastGood | None] = {model: self._files.read(model) for model in table.models}
        loader = Loader(
            model_store=settings.model_store,
            workers=settings.workers,
            load_timeout_s=settings.load_timeout_s,
            canary_timeout_s=settings.canary_timeout_s,
            fetch_timeout_s=settings.fetch_timeout_s,
            drain_timeout_s=settings.drain_timeout_s,
            archives=self._readings,
            trust=Trust(settings.trusted_keys),
            unpacked=unpacked,
            host=host,
        )
        self._told = {model: asyncio.Event() for model in table.models}
        self._woken = {model: asyncio.Event() for model in table.models}
        self._followers = {
            model: Follower(
                model,
                FollowerSettings(grace_s=settings.grace_s, retry_s=settings.retry_s),
                table=table,
                loader=loader,
                readings=self._readings,
                observer=self._observer,
                on_change=self._woken[model].set,
                last_good=self._saved[model],
                reasons=reasons or OwnedReasons(),
            )
            for model in table.models
        }

    async def open(self) -> None:
        """Open the registry.

        Raises:
            RegistryError: it cannot be opened, and no model has a last good state with which to serve meanwhile.
        """
        try:
            await self._readings.open()
        except RegistryError as fault:
            if not any(self._saved.values()):
                raise
            _log.warning("%s; starting with the last good state", fault)

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        loops = [
            asyncio.create_task(self._forever(loop, follower))
            for follower in self._followers.values()
            for loop in (self._read, self._act, self._save)
        ]
        try:
            await asyncio.gather(*loops)
        finally:
            for task in loops:
                task.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await asyncio.gather(*(follower.close() for follower in self._followers.values()))

    def wake(self) -> None:
        """Read the registry now: something has changed in it."""
        for told in self._told.values():
            told.set()

    async def reload(self, model: str, version: str) -> bool:
        """Load a live version again without taking it out of the routing table; return whether it is proven again.

        Its requests in flight are lost. If it is not proven, the caller decides, for instance to `withdraw` it.

        Raises:
            HostGoneError: the worker host ended meanwhile, or hangs, which says nothing about the version.
        """
        return await self._followers[model].reload(version)

    def withdraw(self, model: str, version: str, reason: str) -> None:
        """Take a live version out that cannot answer any more, and refuse it; another answers in its place if one can.

        Args:
            model: name of the model.
            version: the version.
            reason: reason for the log and the version's tag.
        """
        self._followers[model].withdraw(version, reason)

    async def _forever(self, step: Callable[[Follower], Awaitable[None]], follower: Follower) -> None:
        await repeat(
            lambda: step(follower),
            f"following {follower.model}",
            pauses_s=(self._settings.poll_s, _LONGEST_FAULT_PAUSE_S),
            on_fault=lambda: self._observer.failed(follower.model),
        )

    async def _read(self, follower: Follower) -> None:
        told = self._told[follower.model]
        told.clear()  # before the registry is read: a change meanwhile is read at once
        reading = await self._readings.snapshot(follower.model)
        if reading is None:
            self._observer.failed(follower.model)
        else:
            await follower.take(reading)
            await self._tell_drift(reading)
        await _wait(told, self._settings.poll_s)

    async def _tell_drift(self, reading: ModelSnapshot) -> None:
        """Write the tags of versions whose traffic has drifted; one that cannot be written is tried again."""
        for alarm in self._drift.untold(reading.model):
            try:
                if alarm.version in reading.existing:
                    await self._readings.set_drift(alarm.model, alarm.version, alarm.feature, alarm.text)
            except RegistryError as fault:
                _log.warning("the tag of %s/%s cannot be written now: %s", alarm.model, alarm.version, fault)
            else:
                self._drift.set_told(alarm)

    async def _act(self, follower: Follower) -> None:
        running = await self._host.wait_running()
        woken = self._woken[follower.model]
        woken.clear()
        if not follower.can_begin():
            await self._wait_for_reading(follower)
        elif self._host.running is running:
            follower.step(running)
            self._on_change()
            await _wait(woken, self._settings.poll_s)

    async def _wait_for_reading(self, follower: Follower) -> None:
        """Wait for the first reading, or begin with the last good state if it takes too long."""
        started = time.monotonic()
        while not follower.can_begin():
            await _wait(self._woken[follower.model], self._settings.poll_s)
            late = time.monotonic() - started > self._settings.patience_s or self._readings.is_away(follower.model)
            if late and not follower.can_begin() and follower.restored:
                _log.warning("serving the last good state: %s", ", ".join(follower.restored))
                follower.begin_with_last_good()

    async def _save(self, follower: Follower) -> None:
        """Keep the state in which a model answers, whenever it is another one."""
        await asyncio.sleep(self._settings.poll_s)
        state = follower.last_good()
        if (
            state is not None
            and state != self._saved[follower.model]
            and await in_thread(lambda: self._files.write(state))
        ):
            self._saved[follower.model] = state


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        pass
