"""Client of TorchServe's inference service: the one place where its status codes are translated.

Status codes of TorchServe 0.12, as found by running it:

    INTERNAL            "... does not exist for model", "Model not found"   the version was just removed
    INTERNAL            "... has no worker to serve ..."                    its worker is restarting
    RESOURCE_EXHAUSTED  "Worker died."                                      the whole batch died with its worker
    UNAVAILABLE         "Prediction failed"                                 the handler raised, for the whole batch
    UNAVAILABLE         a connection error                                  the JVM has ended
    CANCELLED           the request is larger than max_request_size
"""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import grpc

from handlers.contract import (
    CONTRACT,
    INPUT_FIELD,
    CommentaryRequest,
    CommentaryResponse,
    ContractError,
    ErrorCode,
    decode_answer,
)
from serving.errors import ServingError
from serving.torchserve.api import inference_pb2, inference_pb2_grpc

MAX_ANSWER_BYTES: Final = 8 * 2**20
"""Limit above the largest answer of TorchServe, which kills a worker that answers with more than 6.5 MB."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),  # it is on loopback
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # After a restart of TorchServe a new channel is opened, so a long backoff would be useless.
    ("grpc.max_reconnect_backoff_ms", 1_000),
)
_STATUS_OF_CONTRACT: Final = {
    ErrorCode.INVALID_ARGUMENT: grpc.StatusCode.INVALID_ARGUMENT,
    ErrorCode.INTERNAL: grpc.StatusCode.INTERNAL,
}
_PASSING: Final = ("does not exist for model", "Model not found", "has no worker", "Worker died", "did not respond")


class InferenceError(ServingError):
    """A request that TorchServe did not answer.

    Attributes:
        code: status for the client.
        message: reason for the client.
        field: invalid field of the request; empty if there is none.
    """

    def __init__(self, code: grpc.StatusCode, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Inference:
    """A connection to TorchServe's inference service; an async context manager."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_CHANNEL_OPTIONS)
        self._stub: inference_pb2_grpc.InferenceAPIsServiceAsyncStub = inference_pb2_grpc.InferenceAPIsServiceStub(
            self._channel
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self, *, grace_s: float | None = None) -> None:
        """Close the connection; calls in flight are cancelled after the grace period."""
        await self._channel.close(grace_s)

    async def generate(
        self, request: CommentaryRequest, *, model: str, version: str, timeout_s: float, contract: int = CONTRACT
    ) -> CommentaryResponse:
        """Ask one version for samples.

        Raises:
            InferenceError: the request fails; it holds the status for the client.
        """
        message = inference_pb2.PredictionsRequest(
            model_name=model, model_version=version, input={INPUT_FIELD: request.to_json(contract)}
        )
        try:
            answer = await self._stub.Predictions(message, timeout=timeout_s)
        except grpc.aio.AioRpcError as failure:
            code, reason = translate(failure.code(), failure.details() or "")
            raise InferenceError(code, f"{model} {version}: {reason}") from failure
        except grpc.aio.UsageError as cause:
            # The channel was closed meanwhile, which happens to a request that arrives while TorchServe ends.
            raise InferenceError(grpc.StatusCode.UNAVAILABLE, f"TorchServe is shutting down: {cause}") from cause
        try:
            return decode_answer(answer.prediction)
        except ContractError as fault:
            raise InferenceError(_STATUS_OF_CONTRACT[fault.code], str(fault), field=fault.field) from fault


def translate(code: grpc.StatusCode, details: str) -> tuple[grpc.StatusCode, str]:
    """Translate a status of TorchServe to the status and the reason for the client."""
    reason = details.splitlines()[0] if details else "no reason given"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return code, "the answer did not come within the deadline"
    if any(sign in details for sign in _PASSING):
        return grpc.StatusCode.UNAVAILABLE, f"{reason.rstrip('.')}; retry later"
    if "Prediction failed" in details:
        return grpc.StatusCode.INTERNAL, "the handler raised an exception; its traceback is in workers.log"
    if code is grpc.StatusCode.UNAVAILABLE:
        return code, f"TorchServe does not answer ({reason}); retry later"
    return grpc.StatusCode.INTERNAL, f"TorchServe answered {code.name}: {reason}"
