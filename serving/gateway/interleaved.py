"""Requests that all arms of an experiment answer: the same seed, unit and settings, and equal numbers of samples."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import grpc

from handlers.contract import CommentaryRequest, CommentaryResponse, ModelIdentity, Timings
from serving.gateway.records import Dealt, Records
from serving.gateway.traces import CallTrace
from serving.interleaving import ArmAnswer, InterleavedResponse, interleave, samples_per_arm
from serving.traffic.experiment import ExperimentArms
from serving.traffic.policy import AssignedBy, Assignment, TrafficPolicy
from serving.traffic.route import Route
from serving.traffic.routes import RoutingTable
from serving.traffic.shadow import seeded
from serving.workers.faults import InferenceError

Ask = Callable[[Route, CommentaryRequest, float], Awaitable[CommentaryResponse]]
"""Function that asks one version within a number of seconds, or raises an `InferenceError`."""

_RESERVE: Final = 0.05
_SHORTEST_RESERVE_S: Final = 0.3
"""Part of the deadline, and time at least, that is kept back for the answer: one arm that hangs must not take the
other arm's samples with it. A tenth of a second of it passes until the wait for the arm ends."""


@dataclass(slots=True)
class InterleavedCounts:
    """Interleaved requests since the start of the gateway."""

    whole: int = 0
    """All arms answered."""
    partial: int = 0
    """Some arm failed."""
    failed: int = 0
    """All arms failed."""

    def by_outcome(self) -> dict[str, int]:
        """Return the counts by their names."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """Part of one arm: its answer, or its failure."""

    version: str
    dealt: Dealt | None
    """None where the version is not live."""
    elapsed_s: float
    response: CommentaryResponse | None = None
    fault: InferenceError | None = None


class Interleaver:
    """Asker of all arms of an experiment.

    Args:
        table: live versions.
        records: gets the exposure of each arm.
    """

    def __init__(self, *, table: RoutingTable, records: Records) -> None:
        self._table = table
        self._records = records
        self.counts: Final = InterleavedCounts()

    async def answer(
        self,
        request: CommentaryRequest,
        policy: TrafficPolicy,
        experiment: ExperimentArms,
        ask: Ask,
        deadline_s: float,
        *,
        trace: CallTrace,
    ) -> InterleavedResponse:
        """Return the answers of all arms as one, whose exposures are written by then.

        Args:
            request: the request, for all arms together.
            policy: policy of the model.
            experiment: its running experiment.
            ask: asks one version.
            deadline_s: time for the answer, in seconds.
            trace: trace of the request.

        Raises:
            InferenceError: all arms failed, then it has the status of the first, and names no version; or an arm cannot
                rank by the value.
        """
        self._check_rule(request, policy, experiment)
        share = samples_per_arm(request.num_samples, len(experiment.versions))
        asked = seeded(dataclasses.replace(request, num_samples=share))
        reserve_s = min(max(_SHORTEST_RESERVE_S, _RESERVE * deadline_s), deadline_s / 2)
        parts = await asyncio.gather(
            *(
                self._part(version, asked, policy, ask, deadline_s - reserve_s, trace=trace)
                for version in experiment.versions
            )
        )
        arms = self._recorded(parts, policy.model)
        faults = [part.fault for part in parts if part.fault is not None]
        if len(faults) == len(parts):
            self.counts.failed += 1
            raise _of_all(faults, experiment.name)
        self.counts.whole += not faults
        self.counts.partial += bool(faults)
        return interleave(
            [part.response for part in parts],
            arms,
            experiment=experiment.name,
            seed=asked.seed,
            unit=request.unit,
            request_id=request.request_id,
        )

    def _check_rule(self, request: CommentaryRequest, policy: TrafficPolicy, experiment: ExperimentArms) -> None:
        """Refuse a request that one arm would answer and another would not: arms are compared on the same requests."""
        if request.rank_by is None or not request.rank_by.needs_values:
            return
        for version in experiment.versions:
            route = self._table.route(policy.model, version)
            if route is not None and not route.info.ranks_by_value:
                raise InferenceError(
                    grpc.StatusCode.INVALID_ARGUMENT,
                    f"{policy.model}/{version} has no value function, and the arms of {experiment.name} are asked for "
                    "the same; leave rank_by out, so that each arm ranks as it does for everybody",
                    field="rank_by",
                )

    async def _part(
        self,
        version: str,
        asked: CommentaryRequest,
        policy: TrafficPolicy,
        ask: Ask,
        deadline_s: float,
        *,
        trace: CallTrace,
    ) -> _Part:
        """Ask one arm; nobody answers in its place."""
        route = self._table.route(policy.model, version)
        if route is None:
            fault = _away(f"{policy.model} {version} is not live: it is being loaded, or was refused")
            return _Part(version=version, dealt=None, elapsed_s=0.0, fault=fault)
        assignment = Assignment(version=version, by=AssignedBy.INTERLEAVED)
        dealt = trace.deal(
            Dealt(request=asked, route=route, assignment=assignment, policy=policy, trace_id=trace.trace_id)
        )
        if not route.answers:
            fault = _away(f"no worker of {policy.model} {version} answers now; retry later")
            return _Part(version=version, dealt=dealt, elapsed_s=0.0, fault=fault)
        started = time.perf_counter()
        try:
            response = await ask(route, asked, deadline_s)
        except InferenceError as fault:
            return _Part(version=version, dealt=dealt, elapsed_s=time.perf_counter() - started, fault=fault)
        return _Part(version=version, dealt=dealt, elapsed_s=time.perf_counter() - started, response=response)

    def _recorded(self, parts: list[_Part], model: str) -> list[ArmAnswer]:
        """Write the exposure of each arm; the shadows get one copy, of the first arm that answered."""
        arms, is_copied = [], False
        for part in parts:
            key, response, fault = "", part.response, part.fault
            if part.dealt is not None and response is not None:
                key = self._records.answered(part.dealt, response, copies=not is_copied)
                is_copied = True
            elif part.dealt is not None and fault is not None:
                key = self._records.failed(part.dealt, fault, part.elapsed_s)
            archive = part.dealt.route.info.sha256 if part.dealt is not None else ""
            arms.append(
                ArmAnswer(
                    model=ModelIdentity(name=model, version=part.version, archive_sha256=archive),
                    timings=response.timings if response is not None else Timings(queue_ms=1000 * part.elapsed_s),
                    exposure_id=key,
                    error=fault.message if fault is not None else "",
                    genres_unknown=response.genres_unknown if response is not None else (),
                )
            )
        return arms


def _of_all(faults: list[InferenceError], experiment: str) -> InferenceError:
    """Return the failure of all arms: their reason if it is the same, else one that tells none of them apart.

    The client may be the program of curators, whom the failures of a version would tell whose samples are there.
    """
    if len({fault.message for fault in faults}) == 1:
        return faults[0].copy()
    codes = ", ".join(dict.fromkeys(fault.code.name for fault in faults))
    message = f"no arm of the experiment {experiment} answered ({codes}): `deephypebot models list` shows their states"
    fields = {fault.field for fault in faults}
    field = fields.pop() if len(fields) == 1 else ""
    return InferenceError(faults[0].code, message, field=field, failure=faults[0].failure)


def _away(message: str) -> InferenceError:
    return InferenceError(grpc.StatusCode.UNAVAILABLE, message)
