"""Registry sync: a loop that makes the live versions those of the registry, without dropping a request.

    archive fetched and verified -> registered in TorchServe -> canary -> champion switched in the gateway's routing
    table -> TorchServe's own default -> unwanted versions: removed from the table, drained, unregistered

A version that fails on the way is refused: the live versions stay, and the refused one gets a tag with the reason. It
is retried when the tag is removed, and also after a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from handlers.contract import PREVIOUS, CommentaryRequest, SamplingParams, archive_name
from serving.errors import RegistryError, ServingError
from serving.registry.archives import bring_archive
from serving.registry.client import Registry
from serving.registry.contents import ArchiveInfo
from serving.registry.versions import LIVE_ALIASES, ModelSnapshot, RegisteredVersion
from serving.sync.planning import Action, Drain, Live, Load, Switch, Wanted, plan
from serving.sync.refusals import Refusals
from serving.torchserve.cores import CoreShares
from serving.torchserve.supervisor import Running, Supervisor
from serving.traffic.routes import Route, RoutingTable, make_route

_log = logging.getLogger(__name__)

CANARY: Final = CommentaryRequest(
    genres=(), num_samples=1, sampling=SamplingParams(max_tokens=8), seed=0, request_id="canary"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncSettings:
    """Settings of the registry sync."""

    model_store: Path
    workers: int = 1
    """TorchServe workers of each live version."""
    poll_s: float = 1.0
    load_timeout_s: float = 120.0
    """Time for a version's workers to load it."""
    canary_timeout_s: float = 30.0
    drain_timeout_s: float = 60.0
    """Time for a removed version's requests in flight; longer than any deadline that the gateway grants."""
    retry_s: tuple[float, float] = (5.0, 120.0)
    """First and longest pause before a refused version is retried; the pause doubles with each refusal."""


@dataclass(slots=True, kw_only=True)
class _ModelState:
    refusals: Refusals
    unwanted: frozenset[str] = frozenset()
    drains: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    """Reports on the registry that the log has."""


class Sync:
    """Loop that follows the registry for the models of a routing table.

    Args:
        settings: intervals and timeouts.
        registry: registry to follow.
        supervisor: supervisor of the TorchServe that serves the versions.
        table: routing table; this loop is its only writer.
        on_change: called after each reading of the registry and after each action.
    """

    def __init__(
        self,
        settings: SyncSettings,
        *,
        registry: Registry,
        supervisor: Supervisor,
        table: RoutingTable,
        on_change: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._supervisor = supervisor
        self._table = table
        self._on_change = on_change
        self._states = {
            model: _ModelState(refusals=Refusals(*settings.retry_s, clock=time.monotonic)) for model in table.models
        }
        self._registry_is_down = False
        self._shares: dict[Running, CoreShares] = {}
        """Core shares of the running TorchServe."""

    async def run(self) -> None:
        """Follow the registry until cancelled."""
        try:
            while True:
                running = await self._supervisor.wait_running()
                if running not in self._shares:
                    self._shares = {running: self._new_shares(running)}
                await asyncio.gather(*(self._follow(model, running) for model in self._table.models))
                await asyncio.sleep(self._settings.poll_s)
        finally:
            drains = [task for state in self._states.values() for task in state.drains.values()]
            for task in drains:
                task.cancel()
            await asyncio.gather(*drains, return_exceptions=True)

    async def _follow(self, model: str, running: Running) -> None:
        try:
            snapshot = await asyncio.to_thread(self._registry.snapshot, model)
        except RegistryError as fault:
            if not self._registry_is_down:
                _log.warning("%s; serving continues with the live versions", fault)
            self._registry_is_down = True
            return
        if self._registry_is_down:
            _log.info("the registry is available again")
            self._registry_is_down = False
        state = self._states[model]
        for report in sorted(set(snapshot.reports) - state.told):
            _log.warning("%s", report)
        state.told = frozenset(snapshot.reports)
        await self._reconcile(snapshot, running)
        for version in self._table.live_versions(model):
            if (route := self._table.route(model, version)) is not None:
                await self._ask_worker(route, running)
        self._on_change()

    async def _reconcile(self, snapshot: ModelSnapshot, running: Running) -> None:
        """Act until the plan is empty. Every action makes a version live, removed or refused, so this ends."""
        model, state = snapshot.model, self._states[snapshot.model]
        versions = {entry.version: entry for entry in snapshot.versions}
        champion = snapshot.champion
        wanted = Wanted(champion=champion.version if champion else None, versions=frozenset(versions))
        unwanted_before, state.unwanted = state.unwanted, self._live(model).versions - wanted.versions
        refused = state.refusals.still(versions.values())
        while self._supervisor.running is running:
            actions = plan(wanted, self._live(model), refused=refused, unwanted_before=unwanted_before)
            if not actions:
                self._note_aliases(snapshot)
                self._table.settle(model)
                return
            answering = self._table.champion(model)
            await self._act(actions[0], model, versions, running)
            if isinstance(actions[0], Switch) and answering and await self._keep_way_back(snapshot, answering):
                wanted = replace(wanted, versions=wanted.versions | {answering})
            if isinstance(actions[0], Load) and self._table.route(model, actions[0].version) is None:
                refused |= {actions[0].version}
            self._on_change()

    async def _act(self, action: Action, model: str, versions: dict[str, RegisteredVersion], running: Running) -> None:
        match action:
            case Load(version=version):
                await self._load(versions[version], running)
            case Switch(version=version):
                self._table.switch(model, version)
                _log.info("%s/%s is champion", model, version)
                with contextlib.suppress(ServingError):  # only clients that bypass the gateway see this default
                    await running.instance.management.set_default(model, version)
            case Drain(version=version):
                route = self._table.remove(model, version)
                drains = self._states[model].drains
                task = asyncio.create_task(self._drain(route, running))
                drains[version] = task
                task.add_done_callback(lambda _: drains.pop(version, None))

    async def _keep_way_back(self, snapshot: ModelSnapshot, answered: str) -> bool:
        """Give the alias `previous` to the version that answered until now; return whether it has the alias.

        `models promote` has set it already. A person who moves an alias in MLflow's page moves that one alone.
        """
        holder = snapshot.holder(PREVIOUS)
        if holder is not None and holder.version == answered:
            return True
        try:
            await asyncio.to_thread(self._registry.set_previous, snapshot.model, answered)
        except RegistryError as fault:
            _log.warning("%s/%s answered until now and cannot become %r: %s", snapshot.model, answered, PREVIOUS, fault)
            return False
        _log.info("%s/%s, which answered until now, is %r", snapshot.model, answered, PREVIOUS)
        return True

    async def _load(self, version: RegisteredVersion, running: Running) -> None:
        state = self._states[version.model]
        if version.version in state.drains:
            await asyncio.wait([state.drains[version.version]])
        try:
            info = await self._prove(version, running)
        except ServingError as fault:
            if (
                self._supervisor.running is running
            ):  # otherwise TorchServe ended meanwhile, which is not the version's fault
                await self._refuse(version, str(fault), running)
            return
        if self._supervisor.running is not running:
            return
        route = make_route(info, workers=self._settings.workers, aliases=version.aliases)
        await self._ask_worker(route, running)
        self._table.add(route)
        _log.info("%s is live (%s)", version.name, ", ".join(version.aliases))
        state.refusals.forget(version)
        if version.sync_error:
            await self._note(version, "")

    async def _prove(self, version: RegisteredVersion, running: Running) -> ArchiveInfo:
        """Fetch, verify, register and test a version.

        Raises:
            ServingError: the version cannot serve.
        """
        info = await asyncio.to_thread(
            bring_archive,
            self._settings.model_store,
            model=version.model,
            version=version.version,
            sha256=version.archive_sha256,
            fetch=partial(self._registry.fetch_archive, version),
        )
        self._shares[running].add(version.model, version.version)
        await running.instance.management.register(
            archive_name(version.model, version.version),
            model=version.model,
            version=version.version,
            workers=self._settings.workers,
            timeout_s=self._settings.load_timeout_s,
        )
        await running.inference.generate(
            CANARY,
            model=version.model,
            version=version.version,
            timeout_s=self._settings.canary_timeout_s,
            contract=info.contract,
        )
        return info

    async def _refuse(self, version: RegisteredVersion, reason: str, running: Running) -> None:
        _log.error("%s is refused: %s", version.name, reason)
        with contextlib.suppress(ServingError):
            await running.instance.management.unregister(version.model, version.version)
            self._give_back(version.model, version.version, running)
        noted = await self._note(version, reason)
        self._states[version.model].refusals.add(version, noted=noted)

    async def _note(self, version: RegisteredVersion, reason: str) -> bool:
        try:
            await asyncio.to_thread(self._registry.set_sync_error, version.model, version.version, reason)
        except RegistryError as fault:
            _log.warning("the registry could not be updated for %s: %s", version.name, fault)
            return False
        return True

    async def _ask_worker(self, route: Route, running: Running) -> None:
        """Fetch the description of a version's worker, once, and again when its share of the cores changes."""
        shares = self._shares.get(running)
        if shares is None or route.described_with_threads == shares.threads:
            return
        route.described_with_threads = shares.threads
        try:
            route.worker = await running.instance.management.describe_worker(route.info.model, route.info.version)
        except ServingError as fault:  # the version answers requests, which is what counts
            _log.warning("%s", fault)

    def _new_shares(self, running: Running) -> CoreShares:
        return CoreShares(running.instance.threads_file, workers=self._settings.workers)

    def _give_back(self, model: str, version: str, running: Running) -> None:
        """Return the cores of a removed version, unless its TorchServe ended meanwhile."""
        if (shares := self._shares.get(running)) is not None:
            shares.remove(model, version)

    async def _drain(self, route: Route, running: Running) -> None:
        model, version = route.info.model, route.info.version
        try:
            await asyncio.wait_for(route.wait_idle(), self._settings.drain_timeout_s)
        except TimeoutError:
            _log.warning("removing %s/%s with %d requests in flight", model, version, route.in_flight)
        if self._supervisor.running is running:
            try:
                await running.instance.management.unregister(model, version)
            except ServingError as fault:
                _log.warning("%s", fault)
            else:
                self._give_back(model, version, running)
                _log.info("%s/%s is drained and removed", model, version)

    def _live(self, model: str) -> Live:
        return Live(champion=self._table.champion(model), versions=frozenset(self._table.live_versions(model)))

    def _note_aliases(self, snapshot: ModelSnapshot) -> None:
        aliases = {entry.version: entry.aliases for entry in snapshot.versions}
        for version in self._table.live_versions(snapshot.model):
            route = self._table.route(snapshot.model, version)
            if route is not None:
                route.aliases = tuple(alias for alias in aliases.get(version, ()) if alias in LIVE_ALIASES)
