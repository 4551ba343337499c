"""Shadow traffic: versions that get copies of answered requests, and whose answers nobody sees.

A copy is offered after the answer and costs the client nothing: a short queue for each shadow version, one copy in
flight, and copies are dropped rather than kept waiting, as soon as clients would wait.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from handlers.contract import CommentaryRequest, CommentaryResponse
from serving.traffic.exposures import Recorder, ShadowOutcome
from serving.traffic.figures import FigureBook
from serving.traffic.policy import TrafficPolicy
from serving.traffic.pressure import Pressure
from serving.traffic.route import Route
from serving.traffic.routes import RoutingTable

_log = logging.getLogger(__name__)

_FADING: Final = 0.95
"""Factor of the time that a copy is expected to take, for each that gave way. One slow answer would otherwise keep all
later copies back; and of a client who asks so often that copies are kept back, one request in twenty meets one."""
_DRAWN_SEED_BITS: Final = 53
"""Bits of a drawn seed; it stays exact in programs that keep numbers as doubles."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowSettings:
    """Limits of shadow traffic."""

    queue_size: int = 16
    """Copies that wait for each shadow version; further ones are dropped."""
    timeout_s: float = 30.0
    """Time for one answer of a shadow version. While one that hangs uses it up, copies for it are dropped."""
    pause_s: float = 0.002
    """Pause before a copy is sent, in which the answer leaves and the client's next request comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    request: CommentaryRequest
    key: str
    revision: str


@dataclass(slots=True, kw_only=True)
class _Lane:
    """Copies for one shadow version."""

    copies: deque[_Copy] = field(default_factory=deque)
    task: asyncio.Task[None] | None = None


class Mirror:
    """Sender of copies to the shadow versions of the traffic policies.

    Args:
        settings: limits.
        table: live versions.
        ask: asks one version, or raises.
        pressure: pressure of the requests of clients, to which copies give way.
        recorder: gets the exposures of shadows.
        figures: gets the outcomes.
    """

    def __init__(
        self,
        settings: ShadowSettings,
        *,
        table: RoutingTable,
        ask: Callable[[Route, CommentaryRequest, float], Awaitable[CommentaryResponse]],
        pressure: Pressure,
        recorder: Recorder,
        figures: FigureBook,
    ) -> None:
        self._settings = settings
        self._table = table
        self._ask = ask
        self._pressure = pressure
        self._recorder = recorder
        self._figures = figures
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._failing: set[tuple[str, str]] = set()
        """Versions whose last copy failed, which the log has."""
        self._is_closed = False
        self._durations_s: dict[tuple[str, str], float] = {}
        """Time that the next answer of each version is expected to take: that of the last, fading."""

    def offer(self, request: CommentaryRequest, *, policy: TrafficPolicy, answered_by: str, key: str) -> None:
        """Offer a copy of an answered request to each shadow version of the policy; return at once.

        A mirror that is closed takes none.

        Args:
            request: the request as the version that answered got it, with the seed (see `with_seed`).
            policy: policy of the model.
            answered_by: version that answered; it gets no copy.
            key: key of the answer's exposure.
        """
        for version in () if self._is_closed else policy.shadows:
            route = self._table.route(policy.model, version)
            if version == answered_by or route is None:
                continue  # a version that is missing is being loaded, or was refused
            lane = self._lanes.setdefault((policy.model, version), _Lane())
            if request.rank_by is not None and request.rank_by.needs_values and not route.info.ranks_by_value:
                # Without the rule it would answer, but another question than the version beside it.
                self._count(policy.model, version, ShadowOutcome.DROPPED_UNABLE)
            elif self._pressure.is_full():
                self._count(policy.model, version, ShadowOutcome.DROPPED_BUSY)
            elif len(lane.copies) >= self._settings.queue_size:
                self._count(policy.model, version, ShadowOutcome.DROPPED_FULL)
            else:
                lane.copies.append(_Copy(request=request, key=key, revision=policy.revision))
                if lane.task is None:
                    lane.task = asyncio.get_running_loop().create_task(self._send_all(policy.model, version, lane))

    async def close(self) -> None:
        """Give up the copies that wait or are in flight, and take no more: a gateway that drains still answers."""
        self._is_closed = True
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._lanes.clear()

    async def _send_all(self, model: str, version: str, lane: _Lane) -> None:
        """Send the copies of a lane, one at a time, until none waits."""
        try:
            while lane.copies:
                gives_way = await self._wait_for_quiet(self._durations_s.get((model, version), 0.0))
                copy = lane.copies.popleft()
                route = self._table.route(model, version)
                if route is None:
                    lane.copies.clear()
                elif gives_way:
                    self._durations_s[model, version] = _FADING * self._durations_s.get((model, version), 0.0)
                    self._count(model, version, ShadowOutcome.DROPPED_BUSY)
                else:
                    await self._send(route, copy)
        finally:
            lane.task = None
            if not lane.copies:
                self._lanes.pop((model, version), None)

    async def _wait_for_quiet(self, duration_s: float) -> bool:
        """Wait before a copy is sent, and return whether it has to give way.

        Where cores are few, a copy waits until no client has come for as long as the copy itself takes. A client that
        asks more often than that would meet it, and so it hardly ever does.
        """
        pause_s = self._settings.pause_s
        is_roomy = self._pressure.is_roomy()
        if not is_roomy:
            pause_s = max(pause_s, duration_s)
        await asyncio.sleep(pause_s)
        return self._pressure.is_full() or (not is_roomy and self._pressure.quiet_s < pause_s)

    async def _send(self, route: Route, copy: _Copy) -> None:
        info, answer, started = route.info, None, time.monotonic()
        key = (info.model, info.version)
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                answer = await self._ask(route, copy.request, self._settings.timeout_s)
        except Exception as fault:  # noqa: BLE001 - no fault of a shadow may reach anybody
            if key not in self._failing:
                _log.warning("the shadow %s/%s fails: %s", info.model, info.version, str(fault) or "no answer in time")
            self._failing.add(key)
        else:
            self._failing.discard(key)
            self._durations_s[key] = time.monotonic() - started
        self._recorder.record_shadow(copy.request, answer, info=info, mirrors=copy.key, revision=copy.revision)
        self._count(info.model, info.version, ShadowOutcome.FAILED if answer is None else ShadowOutcome.ANSWERED)

    def _count(self, model: str, version: str, outcome: ShadowOutcome) -> None:
        self._figures.of(model, version).add_shadow(outcome)


def with_seed(request: CommentaryRequest, policy: TrafficPolicy | None) -> CommentaryRequest:
    """Return a request that every version decodes with the same seed, if the model has shadow versions.

    A worker would draw one, and an answer does not tell it where the best of several candidates was chosen.
    """
    return request if policy is None or not policy.shadows else seeded(request)


def seeded(request: CommentaryRequest) -> CommentaryRequest:
    """Return a request with a seed: its own, or one that is drawn."""
    if request.seed is not None:
        return request
    return dataclasses.replace(request, seed=secrets.randbits(_DRAWN_SEED_BITS))
