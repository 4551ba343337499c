"""Faults of a request to workers, as the gateway acts on them and as clients are told."""

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
    """The worker host itself does not answer, which tells nothing about the version."""


class InferenceError(ServingError):
    """A request that the workers did not answer.

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
