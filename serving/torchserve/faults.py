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

from typing import Final

import grpc

from serving.workers.faults import Failure

_WORKER_DIED: Final = "Worker died"
_NO_WORKER: Final = "has no worker"
_RAISED: Final = "Prediction failed"
_PASSING: Final = ("does not exist for model", "Model not found", _NO_WORKER, _WORKER_DIED, "did not respond")


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
