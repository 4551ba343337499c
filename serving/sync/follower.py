"""Follower of one model: it makes the model's live versions those that are desired, one pass after the other.

A pass takes no time: whatever may take some (loads, drains, calls to the registry) runs beside it as a task, so that a
version that hangs while it loads delays neither the other versions nor a new instruction.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from serving.errors import PolicyError, ServingError
from serving.registry.owned_reasons import OwnedReasons
from serving.registry.versions import LIVE_ALIASES, ModelSnapshot, RegisteredVersion
from serving.sync.background import Tasks
from serving.sync.desired import Desired, next_desired
from serving.sync.last_good import LastGood
from serving.sync.loading import Loader
from serving.sync.notes import Notes
from serving.sync.observer import SyncObserver
from serving.sync.planning import Action, Attempts, Drain, Limits, Live, Load, Switch, plan
from serving.sync.readings import Readings
from serving.sync.refusals import Refusals
from serving.traffic.policy import TrafficPolicy, make_policy
from serving.traffic.routes import RoutingTable
from serving.workers.host import HostGoneError, RunningHost

_log = logging.getLogger(__name__)

_GONE_PAUSE_S: Final = 1.0
"""Pause before a version is loaded again whose load the worker host did not survive, or not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowerSettings:
    """Times of a follower."""

    grace_s: float
    """Time for which a version that is not asked for any more stays live."""
    retry_s: tuple[float, float]
    """First and longest pause before a refused version is retried."""
    limits: Limits = field(default_factory=Limits)


class Follower:
    """Follower of one model.

    Args:
        model: name of the registered model.
        settings: times.
        table: routing table; the followers are its only writers.
        loader: loads versions and drains them.
        readings: the registry.
        observer: is told of switches, refusals and faults.
        on_change: called when there is something to do, or something has been done.
        last_good: state in which the model answered before this process began; None if there is none.
        reasons: reasons of this gateway, as tags have them.
    """

    def __init__(
        self,
        model: str,
        settings: FollowerSettings,
        *,
        table: RoutingTable,
        loader: Loader,
        readings: Readings,
        observer: SyncObserver,
        on_change: Callable[[], None],
        last_good: LastGood | None,
        reasons: OwnedReasons,
    ) -> None:
        self.model: Final = model
        self._settings = settings
        self._table = table
        self._loader = loader
        self._readings = readings
        self._observer = observer
        self._on_change = on_change
        self._desired = Desired.restored(model, last_good)
        self._refusals = Refusals(*settings.retry_s, clock=time.monotonic)
        self._notes = Notes(model, readings, reasons=reasons)
        self._loads, self._drains, self._others = Tasks(), Tasks(), Tasks()
        self._load_began_s: dict[str, float] = {}
        self._running: RunningHost | None = None
        self._is_ready = False

    def can_begin(self) -> bool:
        """Whether there is a state to work towards, from a reading or from before this process."""
        return self._is_ready

    @property
    def restored(self) -> tuple[str, ...]:
        """Names of the versions that answered before this process began."""
        return tuple(entry.name for _, entry in sorted(self._desired.known.items()))

    def begin_with_last_good(self) -> None:
        """Do not wait for a reading any longer."""
        self._is_ready = True

    async def take(self, reading: ModelSnapshot) -> None:
        """Take a reading of the registry, and write the tags that it lacks."""
        self._desired = next_desired(
            self._desired,
            reading,
            self._live,
            check=self._policy,
            now_s=time.monotonic(),
            grace_s=self._settings.grace_s,
        )
        self._refusals.see(reading.versions)
        self._is_ready = True
        policy = self._table.policy(self.model)
        reports = (*self._desired.reports, *(policy.reports if policy is not None else ()))
        for _ in range(self._notes.tell(reports, self._desired.faults)):
            self._observer.failed(self.model)
        self._untag_live(reading)
        self._on_change()
        await self._notes.write(reading)

    def step(self, running: RunningHost) -> None:
        """Do what can be done now.

        Args:
            running: the host that runs.
        """
        if running is not self._running:
            for tasks in (self._loads, self._drains):
                tasks.cancel()
            self._load_began_s.clear()
            self._refusals.forget_postponed()
            self._running = running
        refused = self._refusals.still()
        now_s = time.monotonic()
        while True:
            actions = plan(
                self._desired.wanted,
                self._live,
                attempts=Attempts(
                    refused=refused,
                    loading={version: now_s - began_s for version, began_s in self._load_began_s.items()},
                ),
                released=self._desired.released(now_s, self._settings.grace_s),
                limits=self._settings.limits,
            )
            if not actions:
                break
            self._act(actions[0], running)
        self._set_policy()
        self._note_aliases()
        if not self._load_began_s:
            self._table.settle(self.model)
        for version in self._table.live_versions(self.model):
            route = self._table.route(self.model, version)
            name = f"the description of {self.model}/{version}"
            if route is not None and name not in self._others and self._loader.needs_description(route, running):
                self._others.start(name, self._loader.describe(route, running))

    def last_good(self) -> LastGood | None:
        """Return the state in which the model answers now; None while it does not."""
        champion = self._table.champion(self.model)
        if champion is None:
            return None
        # A version that is still being loaded belongs to it as well.
        versions = self._live.versions | (self._desired.asked - self._refusals.still())
        return self._desired.last_good(champion, versions)

    def withdraw(self, version: str, reason: str) -> None:
        """Take a live version out that cannot answer any more, and refuse it; another answers in its place if one can.

        Args:
            version: the version.
            reason: reason for the log and the version's tag.
        """
        entry, running = self._desired.known.get(version), self._running
        if entry is None or running is None or self._table.route(self.model, version) is None:
            return
        fallbacks = [each for each in self._desired.wanted.fallbacks if each in self._live.versions - {version}]
        if self._table.champion(self.model) == version and fallbacks:
            self._switch(fallbacks[0], running)
        self._drain(version, running)
        self._refuse(entry, reason)
        self._on_change()

    async def reload(self, version: str) -> bool:
        """Load a live version again without taking it out of the table; return whether it is proven again.

        Its requests in flight are lost. If it is not proven, the caller decides, for instance to `withdraw` it.

        Raises:
            HostGoneError: the host ended meanwhile, or hangs, which says nothing about the version.
        """
        entry, running = self._desired.known.get(version), self._running
        if entry is None or running is None or self._table.route(self.model, version) is None:
            return False
        try:
            await self._loader.prove(entry, running)
        except HostGoneError:
            raise
        except ServingError as fault:
            _log.warning("%s could not be loaded again: %s", entry.name, fault)
            return False
        live = self._table.route(self.model, version)
        if live is not None and live.batcher is not None:
            live.batcher.forget_sent()
        return live is not None

    async def close(self) -> None:
        """End all that runs."""
        for tasks in (self._loads, self._drains, self._others, self._notes):
            await tasks.close()

    @property
    def _live(self) -> Live:
        return Live(
            champion=self._table.champion(self.model), versions=frozenset(self._table.live_versions(self.model))
        )

    def _act(self, action: Action, running: RunningHost) -> None:
        match action:
            case Load(version=version):
                self._load_began_s[version] = time.monotonic()
                entry = self._desired.known[version]
                self._loads.start(f"the load of {entry.name}", self._load(entry, running))
            case Switch(version=version):
                self._switch(version, running)
            case Drain(version=version):
                self._drain(version, running)

    def _switch(self, version: str, running: RunningHost) -> None:
        """Let a version answer, whether it is the champion or answers in its place."""
        before, named = self._table.champion(self.model), self._desired.champion
        self._table.switch(self.model, version)
        self._observer.switched(self.model)
        if version == named:
            _log.info("%s/%s is champion", self.model, version)
            if before is not None and before not in (version, self._desired.previous):
                self._notes.keep_way_back(before)
        else:
            _log.warning("%s/%s answers in place of the champion %s/%s", self.model, version, self.model, named)
        # Only clients that bypass the gateway see the host's own default.
        name = f"the default of {self.model}"
        if name not in self._others:
            self._others.start(name, self._prefer(version, running))

    async def _prefer(self, version: str, running: RunningHost) -> None:
        try:
            await running.prefer(self.model, version)
        except ServingError as fault:
            _log.info("%s", fault)

    def _drain(self, version: str, running: RunningHost) -> None:
        route = self._table.remove(self.model, version)
        if version not in self._drains:
            self._drains.start(version, self._loader.drain(route, running))

    async def _load(self, entry: RegisteredVersion, running: RunningHost) -> None:
        version = entry.version
        try:
            await self._drains.wait(version)
            route = await self._loader.prove(entry, running, is_first=self._table.champion(self.model) is None)
            if self._running is running:
                self._table.add(route)
                _log.info("%s is live%s", entry.name, f" ({', '.join(entry.aliases)})" if entry.aliases else "")
                self._refusals.forget(version)
                self._notes.untag(entry)
        except HostGoneError as fault:
            # Another host is started, and the version is loaded there.
            _log.info("%s", fault)
            self._refusals.postpone(version, _GONE_PAUSE_S)
        except ServingError as fault:
            self._refuse(entry, str(fault))
        finally:
            if self._running is running:
                self._load_began_s.pop(version, None)
                self._on_change()

    def _refuse(self, entry: RegisteredVersion, reason: str) -> None:
        _log.error("%s is refused: %s", entry.name, reason)
        self._observer.refused(self.model)
        self._refusals.add(entry.version)
        self._notes.tag(entry.version, reason)

    def _untag_live(self, reading: ModelSnapshot) -> None:
        """Remove reasons of versions that are live, which became old since their load, or were written beside it."""
        refused = self._refusals.still()
        for entry in reading.versions:
            if entry.version in self._live.versions - refused:
                self._notes.untag(entry)

    def _policy(self, champion: str | None, versions: tuple[RegisteredVersion, ...]) -> TrafficPolicy:
        return make_policy(self.model, champion=champion, versions=versions, now=time.time())

    def _set_policy(self) -> None:
        """Deal requests out by the last good tags as of now: a ramp goes on between two readings."""
        try:
            policy = self._policy(self._table.champion(self.model) or self._desired.champion, self._desired.tagged)
        except PolicyError:  # the tags do not fit to another champion; the next reading tells it
            return
        self._table.set_policy(self.model, policy)

    def _note_aliases(self) -> None:
        for version in self._table.live_versions(self.model):
            route, entry = self._table.route(self.model, version), self._desired.known.get(version)
            if route is not None and entry is not None:
                asked = version in self._desired.asked
                route.aliases = tuple(each for each in entry.aliases if asked and each in LIVE_ALIASES)
