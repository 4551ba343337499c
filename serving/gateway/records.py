"""Records of what became of requests: exposures, figures of the versions, and copies for shadows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import grpc

from handlers.contract import CommentaryRequest, CommentaryResponse
from serving.traffic.drift_book import DriftBook
from serving.traffic.exposures import Recorder
from serving.traffic.figures import FigureBook
from serving.traffic.policy import AssignedBy, Assignment, TrafficPolicy
from serving.traffic.pressure import Pressure
from serving.traffic.route import Route
from serving.traffic.shadow import Mirror
from serving.workers.faults import Failure, InferenceError

_NOT_OF_THE_VERSION: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED}
)
"""Status of requests that no version failed: they were at fault, found no room in the gateway, or nobody waited."""
_LAST_PART: Final = 0.1
"""Part of a deadline, and at most as many seconds, before its end in which gRPC may already have ended the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dealt:
    """A request that was dealt to a version."""

    request: CommentaryRequest
    """The request as the version gets it."""
    route: Route
    assignment: Assignment
    policy: TrafficPolicy | None
    trace_id: str = ""
    """Trace of the request; empty if it belongs to none."""


def is_of_version(fault: InferenceError) -> bool:
    """Return whether a valid request failed because of the version that it was dealt to.

    The version is at fault if its workers answer with an error, die, are away, or do not answer in time. It is not if
    the worker host itself is away, or for the reasons above.
    """
    if fault.failure is Failure.QUEUE_TOO_LONG:  # of its own workers
        return True
    return fault.code not in _NOT_OF_THE_VERSION and fault.failure is not Failure.UNREACHABLE


def is_past(deadline_s: float, elapsed_s: float) -> bool:
    """Return whether a call that gRPC ended was ended by its deadline; otherwise the client has left.

    Args:
        deadline_s: time for the answer.
        elapsed_s: time since the call began.
    """
    return elapsed_s >= deadline_s - min(_LAST_PART, _LAST_PART * deadline_s)


class Records:
    """Writer of what became of requests.

    Args:
        recorder: gets the exposures.
        figures: gets durations and errors of each version.
        pressure: is told of answers.
        mirror: is offered the requests that were answered.
        drift: compares requests and answers with the versions' references.
    """

    def __init__(
        self, *, recorder: Recorder, figures: FigureBook, pressure: Pressure, mirror: Mirror, drift: DriftBook
    ) -> None:
        self._recorder = recorder
        self._figures = figures
        self._pressure = pressure
        self._mirror = mirror
        self._drift = drift

    def answered(self, dealt: Dealt, response: CommentaryResponse, *, copies: bool = True) -> str:
        """Write the exposure of an answer that is about to leave, count it, offer it to the shadows; return its key.

        Args:
            dealt: the request.
            response: the answer, with its final durations.
            copies: whether shadows may get a copy.
        """
        self._pressure.note()
        info, timings, policy = dealt.route.info, response.timings, dealt.policy
        revision, experiment = _named(dealt)
        key = self._recorder.record(
            dealt.request,
            response,
            info=info,
            by=dealt.assignment.by,
            revision=revision,
            experiment=experiment,
            trace_id=dealt.trace_id,
        )
        self._figures.of(info.model, info.version).add_answer(
            queue_s=timings.queue_ms / 1000, backend_s=timings.decode_ms / 1000
        )
        self._drift.note(info, dealt.request, response, key)
        if copies and policy is not None and policy.shadows and dealt.assignment.by is not AssignedBy.PIN:
            self._mirror.offer(dealt.request, policy=policy, answered_by=info.version, key=key)
        return key

    def failed(self, dealt: Dealt, fault: InferenceError, elapsed_s: float) -> str:
        """Write and count that a version failed a request; return the key of its row, empty if it is not at fault.

        Args:
            dealt: the request.
            fault: the failure.
            elapsed_s: time until the failure.
        """
        if not is_of_version(fault):
            return ""
        info = dealt.route.info
        self._figures.of(info.model, info.version).add_error()
        revision, experiment = _named(dealt)
        return self._recorder.record_failure(
            dealt.request,
            code=fault.code.name,
            elapsed_s=elapsed_s,
            info=info,
            by=dealt.assignment.by,
            revision=revision,
            experiment=experiment,
            trace_id=dealt.trace_id,
        )

    def ended(self, dealt: Dealt, deadline_s: float, elapsed_s: float) -> None:
        """Note that gRPC ended a call before its answer: at its deadline the version failed it, else the client left.

        Args:
            dealt: the request.
            deadline_s: time that the answer had.
            elapsed_s: time until the end.
        """
        if is_past(deadline_s, elapsed_s):
            late = InferenceError(grpc.StatusCode.DEADLINE_EXCEEDED, "the answer did not come within the deadline")
            self.failed(dealt, late, elapsed_s)


def _named(dealt: Dealt) -> tuple[str, str]:
    """Return the revision of the policy, and the experiment to which the request belongs."""
    policy = dealt.policy
    return (policy.revision, policy.experiment_of(dealt.assignment)) if policy is not None else ("", "")
