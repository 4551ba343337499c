"""Faults of an inference call: the one place where TorchServe's status codes are translated.

Status codes of TorchServe 0.12, as found by running it:

    INTERNAL            "... does not exist for model", "Model not found"   the version was just removed
    INTERNAL            "... has no worker to serve ..."                    its worker is restarting
    RESOURCE_EXHAUSTED  "Worker died."                                      the whole batch died with its worker
    UNAVAILABLE         "Prediction failed"                                 the handler raised, for the whole batch
    UNAVAILABLE         a connection error                                  the JVM has ended
    CANCELLED           the request is larger than max_request_size
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

import grpc

from handlers.contract import ContractError, ErrorCode
from serving.errors import ServingError

_STATUS_OF_CONTRACT: Final = {
    ErrorCode.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorCode.DEADLINE_EXCEEDED: grpc.StatusCode.DEADLINE_EXCEEDED,
    ErrorCode.INTERNAL: grpc.StatusCode.INTERNAL,
}
_WORKER_DIED: Final = "Worker died"
_NO_WORKER: Final = "has no worker"
_RAISED: Final = "Prediction failed"
_PASSING: Final = ("does not exist for model", "Model not found", _NO_WORKER, _WORKER_DIED, "did not respond")


class Failure(Enum):
    """Kind of a failure, where the gateway acts on it."""

    OTHER = auto()
    WORKER_DIED = auto()
    """The worker ended during the batch; another one can answer."""
    NO_WORKER = auto()
    """No worker of the version runs at this moment."""
    TOO_LATE = auto()
    """The request was not decoded, because it could not start in time."""
    QUEUE_TOO_LONG = auto()
    """The request could not have started in time, for all those that wait for the version's workers before it."""
    UNREACHABLE = auto()
    """TorchServe itself does not answer, which tells nothing about the version."""


class InferenceError(ServingError):
    """A request that TorchServe did not answer.

    Attributes:
        code: status for the client.
        message: reason for the client.
        field: invalid field of the request; empty if there is none.
        failure: kind of the failure.
        retry_after_s: pause before which a retry would fail likewise, in seconds; 0 if none is known.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        field: str = "",
        failure: Failure = Failure.OTHER,
        retry_after_s: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.failure = failure
        self.retry_after_s = retry_after_s

    def copy(self) -> InferenceError:
        """Return an equal error: one that several tasks raise would gather the tracebacks of all."""
        return InferenceError(
            self.code, self.message, field=self.field, failure=self.failure, retry_after_s=self.retry_after_s
        )


def in_band(error: ContractError) -> InferenceError:
    """Return the error for the client of a request that its worker answered with an error."""
    failure = Failure.TOO_LATE if error.code is ErrorCode.DEADLINE_EXCEEDED else Failure.OTHER
    return InferenceError(_STATUS_OF_CONTRACT[error.code], str(error), field=error.field, failure=failure)


def failure_in(code: grpc.StatusCode, details: str) -> Failure:
    """Return the kind of a failure from TorchServe's status."""
    if _WORKER_DIED in details:
        return Failure.WORKER_DIED
    if _NO_WORKER in details:
        return Failure.NO_WORKER
    known = any(sign in details for sign in (*_PASSING, _RAISED))
    return Failure.UNREACHABLE if code is grpc.StatusCode.UNAVAILABLE and not known else Failure.OTHER


def translate(code: grpc.StatusCode, details: str) -> tuple[grpc.StatusCode, str]:
    """Translate a status of TorchServe to the status and the reason for the client."""
    reason = details.splitlines()[0] if details else "no reason given"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return code, "the answer did not come within the deadline"
    if any(sign in details for sign in _PASSING):
        return grpc.StatusCode.UNAVAILABLE, f"{reason.rstrip('.')}; retry later"
    if _RAISED in details:
        return grpc.StatusCode.INTERNAL, "the handler raised an exception; its traceback is in workers.log"
    if code is grpc.StatusCode.UNAVAILABLE:
        return code, f"TorchServe does not answer ({reason}); retry later"
    return grpc.StatusCode.INTERNAL, f"TorchServe answered {code.name}: {reason}"
