"""Route of one live version: what its requests need on their way to the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from handlers.contract import PARTS_CONTRACT, TRACES_CONTRACT, CommentaryRequest, CommentaryResponse
from serving.registry.contents import ArchiveInfo
from serving.telemetry.course import Attempt
from serving.traffic.admission.admission import Admission
from serving.traffic.admission.lanes import AdmissionLimits
from serving.traffic.admission.work import Work
from serving.traffic.outcomes import Outcomes
from serving.workers.batcher import Batcher
from serving.workers.descriptions import WorkerDescription
from serving.workers.inference import Inference

_DEFAULT_SLOTS: Final = 128
_MARGIN_S: Final = 10.0
"""Time beyond two batches' responseTimeouts after which the answer to a batch is given up."""


@dataclass(slots=True, kw_only=True, eq=False)
class Route:
    """One live version."""

    info: ArchiveInfo
    admission: Admission = field(repr=False)
    """Requests that wait for their turn, and those that the worker host holds."""
    batcher: Batcher | None = field(default=None, repr=False)
    """Former of its batches; None where the worker host forms them."""
    aliases: tuple[str, ...] = ()
    outcomes: Outcomes = field(default_factory=Outcomes)
    answers: bool = True
    """Whether a worker is able to answer. The watch sets it, and the two numbers below."""
    workers_ready: int = 1
    """Workers that have loaded the version and are able to answer; a version becomes live with the first."""
    workers_wanted: int = 1
    worker: WorkerDescription = field(default_factory=WorkerDescription)
    described_with_threads: int = 0
    """Threads per worker when the worker was last asked for its description; 0 before."""

    @property
    def in_flight(self) -> int:
        """Requests that wait or that the worker host holds, those of clients that have left included."""
        return self.admission.in_flight

    @property
    def slots(self) -> int:
        """Number of sequences that a worker decodes at a time, also before a worker has described itself."""
        return self.worker.slots or _DEFAULT_SLOTS

    @property
    def answers_parts(self) -> bool:
        """Whether its workers answer parts of requests."""
        return self.batcher is not None and self.info.contract >= PARTS_CONTRACT

    async def ask(
        self,
        request: CommentaryRequest,
        inference: Inference,
        *,
        timeout_s: float,
        work: Work | None = None,
        is_heavy: bool = False,
        start_by: float | None = None,
        is_wanted: Callable[[], bool] = lambda: True,
        started: Callable[[], None] = lambda: None,
        earlier_seeds: Sequence[int] = (),
        attempt: Attempt | None = None,
    ) -> CommentaryResponse:
        """Ask the version's workers, in a batch of the gateway where it forms them.

        Args:
            request: request for samples.
            inference: connection to the worker host, for a call of its own.
            timeout_s: longest time to wait for the answer to such a call; a batch has a limit of its own.
            work: work of the request; None counts for nothing in a batch.
            is_heavy: whether no other request should share its batch.
            start_by: latest start of the decode, in seconds of the machine's monotonic clock; None for any.
            is_wanted: returns whether anybody still waits for the answer; asked when a batch is formed.
            started: called when the worker host gets the request.
            earlier_seeds: seeds of the earlier samples, where it is a part of a request; see `answers_parts`.
            attempt: the attempt, where the request is traced; None where it is not.

        Raises:
            InferenceError: the request fails; it holds the status for the client.
        """
        info = self.info
        if info.contract < TRACES_CONTRACT:
            attempt = None  # its worker would not understand
        if self.batcher is not None:
            return await self.batcher.ask(
                request.to_json(info.contract),
                samples=request.num_samples,
                tokens=work.tokens if work is not None else 0,
                is_heavy=is_heavy,
                start_by=start_by,
                is_wanted=is_wanted,
                started=started,
                earlier_seeds=earlier_seeds,
                attempt=attempt,
            )
        started()
        return await inference.generate(
            request,
            model=info.model,
            version=info.version,
            timeout_s=timeout_s,
            contract=info.contract,
            start_by=start_by,
            traceparent=attempt.traceparent if attempt is not None else "",
        )

    async def wait_idle(self) -> None:
        """Wait until the version has no request in flight."""
        await self.admission.wait_idle()


def make_route(
    info: ArchiveInfo, *, workers: int, aliases: tuple[str, ...] = (), batching: Inference | None = None
) -> Route:
    """Return the route of a version that the worker host has loaded.

    Args:
        info: its archive.
        workers: number of its workers.
        aliases: its aliases.
        batching: connection over which the gateway sends the batches that it forms; None where the host forms them.
    """
    limits = AdmissionLimits(
        workers=workers,
        batch_size=info.batch_size,
        forms_batches=batching is not None,
        batch_delay_s=info.max_batch_delay_ms / 1000,
        response_timeout_s=info.response_timeout_s,
    )
    route = Route(info=info, admission=Admission(limits), aliases=aliases)
    if batching is not None:
        route.batcher = batching.batcher(
            info.model,
            info.version,
            num_workers=lambda: route.workers_ready,
            # A full batch may wait for one that runs.
            timeout_s=2 * info.response_timeout_s + _MARGIN_S,
        )
    return route
