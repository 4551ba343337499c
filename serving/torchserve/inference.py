"""Client of TorchServe's inference service."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import grpc
from typing_extensions import override

from serving.torchserve.api import inference_pb2, inference_pb2_grpc
from serving.torchserve.faults import failure_in, translate
from serving.torchserve.keys import bearer
from serving.workers.faults import Failure, InferenceError
from serving.workers.inference import Inference

MAX_ANSWER_BYTES: Final = 8 * 2**20
"""Limit above the largest answer of TorchServe, which kills a worker that answers with more than 6.5 MB."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),  # it is on loopback
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    # After a restart of TorchServe a new channel is opened, so a long backoff would be useless.
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # A call before the port listens must not make those of the next second fail.
    ("grpc.initial_reconnect_backoff_ms", 50),
)
_PING: Final = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/Ping"
_NO_ANSWER: Final = frozenset(
    {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
)


class TorchServeInference(Inference):
    """A connection to TorchServe's inference service; an async context manager.

    Args:
        target: address of the service.
        key: key that it asks its callers for; empty for one that asks for none.
    """

    def __init__(self, target: str, *, key: str = "") -> None:
        self._metadata = (("authorization", bearer(key)),) if key else ()
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

    @override
    async def close(self, *, grace_s: float | None = None) -> None:
        """Close the connection; calls in flight are cancelled after the grace period."""
        await self._channel.close(grace_s)

    @override
    async def answers_ping(self, *, timeout_s: float) -> bool:
        """Return whether TorchServe answers at all within the time, whatever state its workers are in.

        Its /ping would not do: a thread that answers it may be waiting for a version to be loaded.
        """
        ping: Any = self._channel.unary_unary(_PING)
        try:
            await ping(b"", timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as failure:
            return failure.code() not in _NO_ANSWER
        except grpc.aio.UsageError:  # the connection was closed meanwhile
            return False
        return True

    @override
    async def predict(self, fields: dict[str, bytes], *, model: str, version: str, timeout_s: float) -> bytes:
        message = inference_pb2.PredictionsRequest(model_name=model, model_version=version, input=fields)
        try:
            answer = await self._stub.Predictions(message, timeout=timeout_s, metadata=self._metadata)
        except grpc.aio.AioRpcError as failure:
            details = failure.details() or ""
            code, reason = translate(failure.code(), details)
            kind = failure_in(failure.code(), details)
            raise InferenceError(code, f"{model} {version}: {reason}", failure=kind) from failure
        except grpc.aio.UsageError as cause:
            # The channel was closed meanwhile, which happens to a request that arrives while TorchServe ends.
            raise InferenceError(
                grpc.StatusCode.UNAVAILABLE, f"TorchServe is shutting down: {cause}", failure=Failure.UNREACHABLE
            ) from cause
        return answer.prediction
